//! The emulated Lambda: a pool of instances per function. Each instance is a child process with its own Runtime API.
//!
//! A file uses only files that are listed before it:
//!
//! - [`settings`]: what every function has in common.
//! - [`environment`]: the environment variables of a child process.
//! - [`logs`]: the output of a child process.
//! - [`invocation`]: one request and its outcome.
//! - [`connection`]: whether a child process read what was sent to it.
//! - [`lifecycle`]: orders to an instance, and how an instance ended.
//! - [`slot`]: the pool's record of one instance.
//! - [`function`]: the pool, which assigns invocations to instances.
//! - [`streaming`]: a streamed reply, as an instance posts it.
//! - [`runtime_api`]: what Lambda serves to a child process.
//! - [`instance`]: one child process, from its start to its end.
//! - [`functions`]: every function of the product.

mod connection;
pub(crate) mod environment;
mod function;
mod functions;
mod instance;
mod invocation;
mod lifecycle;
mod logs;
mod runtime_api;
mod settings;
mod slot;
mod streaming;

pub(crate) use function::Function;
pub(crate) use functions::Functions;
pub(crate) use invocation::{Outcome, REQUEST_LIMIT, Reply, StreamedReply};
pub(crate) use settings::Settings;

//! The emulated Lambda: a pool of instances per function, each a child process with a Runtime API of its own.
//!
//! - [`function`]: the pool: which instance gets which invocation, and what becomes of it.
//! - [`instance`]: one child process, from its start to its end.
//! - [`runtime_api`]: what Lambda serves to that process.
//! - [`connection`]: whether that process read what it was sent.
//! - [`invocation`]: one request and its outcome.
//! - [`environment`]: the environment variables of a child.
//! - [`logs`]: its output.

mod connection;
pub(crate) mod environment;
mod function;
mod instance;
mod invocation;
mod logs;
mod runtime_api;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use mneme_api::routes::FUNCTIONS;

use crate::Log;

pub(crate) use function::Function;
pub(crate) use invocation::{Outcome, REQUEST_LIMIT};

/// What every function has in common.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) binaries: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) region: String,
    pub(crate) timeout: Duration,
    pub(crate) memory_mib: u32,
    pub(crate) max_instances: usize,
    pub(crate) log: Log,
}

/// Every function of the product, by name.
#[derive(Debug)]
pub(crate) struct Functions(BTreeMap<&'static str, Arc<Function>>);

impl Functions {
    pub(crate) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self(FUNCTIONS.iter().map(|&name| (name, Function::new(name, Arc::clone(&settings)))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Function>> {
        self.0.get(name)
    }

    /// Takes no further invocation, ends every instance and waits until they are gone.
    pub(crate) async fn close(&self) {
        // All are told first, so that the grace periods run side by side.
        for function in self.0.values() {
            function.begin_close();
        }
        for function in self.0.values() {
            function.closed().await;
        }
    }

    /// Kills every instance; does not wait.
    pub(crate) fn abort(&self) {
        for function in self.0.values() {
            function.abort();
        }
    }
}

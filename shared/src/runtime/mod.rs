//! The life of a function: logs, configuration, client, and Lambda's loop.
//!
//! - [`invocation`]: what an operation may use and records.
//! - [`http`]: the loop of a function whose replies may be streamed.
//! - [`metrics`]: figures and failures of an invocation.
//! - `runtime_api`: Lambda's Runtime API for such a function.
//! - `emf`: the log line with CloudWatch metrics.

mod emf;
pub mod http;
pub mod invocation;
pub mod metrics;
mod runtime_api;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use futures::future::BoxFuture;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use mneme_api::event::{self, Event, Payload, Reply, RequestFields};
use mneme_api::operations::OperationSpec;
use mneme_aws::client_config;
use mneme_aws::server_time::ServerTime;
use mneme_aws::tls_roots::TlsRoots;
use mneme_model::clock::Clock;
use mneme_model::config::Config;
use mneme_model::error::Error;
use mneme_store::table::Table;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cache::{Cache, out_of_time};
use emf::{EmfWriter, InvocationOutcome};
use invocation::Invocation;

/// What one function does.
pub trait Operation: Send + Sync + 'static {
    /// Its declaration: the name, the routes, the errors and the permissions.
    const SPEC: &'static OperationSpec;
    /// The request.
    type Request: DeserializeOwned + Send;
    /// The response object.
    type Response: Serialize + Send;

    /// The request that a scheduled event makes; `None`: scheduled events are refused.
    fn on_schedule() -> Option<RequestFields> {
        None
    }

    /// Answers one request. The implementation calls [`Invocation::authorize`] or [`Invocation::visible_namespaces`]
    /// before it uses a namespace.
    fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        request: Self::Request,
    ) -> impl Future<Output = Result<Reply<Self::Response>, Error>> + Send;
}

/// Sets up logs, reads the configuration and creates the client. Returns `None` for a bad configuration, after it has
/// logged every bad variable. The function then exits, and Lambda reports `Runtime.ExitError`.
pub async fn start() -> Option<Cache> {
    // `AWS_LAMBDA_LOG_LEVEL` is Lambda's own variable. The SDK and hyper log warnings only. The runtime's layer is off
    // because it would log each function error a second time.
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()).to_lowercase();
    let directives = format!("warn,lambda_runtime::layers::panic=off,mneme={level}");
    // `EnvFilter` is not used, because its regular expressions would take a twentieth of each binary.
    let filter = directives.parse().unwrap_or_else(|_| Targets::new().with_default(Level::INFO));
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    match Config::from_env() {
        Ok(config) => {
            let roots = if config.pins_tls_roots { TlsRoots::Pinned } else { TlsRoots::System };
            let aws = client_config::from_env(roots).await;
            // All instances go by the clock of the table, so that an entry expires for all of them at once.
            let offset = Arc::new(AtomicI64::new(0));
            let client = aws_sdk_dynamodb::config::Builder::from(&aws).interceptor(ServerTime::new(offset.clone()));
            let table = Table::over(&Client::from_conf(client.build()), &config.table_name);
            Some(Cache::new(config, table, aws, Clock::Corrected(offset)))
        }
        Err(error) => {
            tracing::error!(complaints = ?error.0, "the configuration is not usable");
            None
        }
    }
}

/// Runs `hook` when Lambda shuts the environment down. The hook has 500 ms. To be called before [`serve`].
///
/// Lambda sends SIGTERM only to environments with an extension, so this registers an extension that does nothing
/// (Lambda Developer Guide, "Shutdown phase").
pub async fn on_shutdown(hook: impl Future<Output = ()> + Send + 'static) {
    lambda_runtime::spawn_graceful_shutdown_handler(move || hook).await;
}

/// Runs Lambda's loop until the environment is shut down.
pub async fn serve<O: Operation>(cache: Cache, operation: O) -> ExitCode {
    let writer = EmfWriter::new(O::SPEC.name, cache.config.metric_namespaces);
    let (cache, operation, writer) = (&cache, &operation, &writer);
    let ran = lambda_runtime::run(service_fn(async move |event: LambdaEvent<Payload>| {
        let remaining = event.context.deadline().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        invoke(operation, &cache.for_invocation(remaining), writer, event.payload, &event.context.request_id).await
    }))
    .await;
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the runtime ended");
            ExitCode::FAILURE
        }
    }
}

/// Answers one event in its caller's format, and writes the invocation's log line.
async fn invoke<O: Operation>(
    operation: &O,
    cache: &Cache,
    writer: &EmfWriter,
    payload: Payload,
    request_id: &str,
) -> Result<Box<RawValue>, Diagnostic> {
    let begun = Instant::now();
    let Event { caller, identity, fields } = event::read(payload, O::SPEC.name, O::on_schedule(), &cache.config.claims);
    let invocation = Invocation::new(identity);
    let result = match fields {
        Ok(fields) => answer(operation, cache, &invocation, fields).await,
        Err(error) => Err(error),
    };
    let outcome = InvocationOutcome {
        request_id,
        caller,
        status: result.as_ref().map_or_else(|error| error.kind.status(), |reply| reply.status.as_u16()),
        error: result.as_ref().err(),
        latency: begun.elapsed(),
        usage: cache.table.capacity().take(),
    };
    writer.write(&outcome, &invocation.into_record());
    event::render(caller, result)
        .map_err(|error| Diagnostic { error_type: error.kind.name().to_owned(), error_message: error.to_string() })
}

async fn answer<O: Operation>(
    operation: &O,
    cache: &Cache,
    invocation: &Invocation,
    fields: RequestFields,
) -> Result<Reply<O::Response>, Error> {
    invocation.authorize_operation(O::SPEC)?;
    // The future is boxed, because the SDK's futures nest so deeply that the compiler cannot compute the layout.
    let handled: BoxFuture<'_, _> = Box::pin(operation.handle(cache, invocation, event::parse(fields)?));
    timeout_at(cache.deadline, handled).await.unwrap_or_else(|_| Err(out_of_time()))
}

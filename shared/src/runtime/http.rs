//! The loop of a function whose replies are HTTP responses that may be streamed.

use std::convert::Infallible;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use lambda_runtime::{Diagnostic, MetadataPrelude};
use mneme_api::access::Identity;
use mneme_api::event::Caller;
use mneme_api::event::raw::{self, RawEvent, RawRequest};
use mneme_api::http::{HeaderMap, StatusCode};
use mneme_api::operations::OperationSpec;
use mneme_model::error::Error;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::emf::{EmfWriter, InvocationOutcome};
use super::invocation::Invocation;
use super::runtime_api::{Next, RuntimeApi, RuntimeApiError, Streamed};
use crate::cache::Cache;
use crate::cache::out_of_time;

/// How many parts of a streamed reply may wait to be sent. A slow caller slows the function down.
const WAITING_PARTS: usize = 2;

/// What a function does whose replies are HTTP responses.
pub trait HttpOperation: Send + Sync + 'static {
    /// Its declaration.
    const SPEC: &'static OperationSpec;

    /// The identity of the caller of `event`. Errors: the caller is not let in.
    fn identify(&self, event: &RawEvent) -> Result<Identity, Error>;

    /// Answers one request through `responder`. An error before the reply has begun is the reply, as
    /// [`HttpOperation::error_reply`] writes it. A later one only goes to the log.
    ///
    /// The implementation calls [`Invocation::authorize`] before it uses a namespace.
    fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        request: RawRequest,
        responder: &mut Responder,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The headers and the body of a reply with `error`.
    fn error_reply(&self, error: &Error) -> (HeaderMap, Vec<u8>);
}

/// The reply of one invocation. It is streamed if the caller's door can stream, and else collected.
pub struct Responder {
    head: Option<oneshot::Sender<Streamed>>,
    reply: Reply,
}

enum Reply {
    NotBegun,
    Streamed(StatusCode, mpsc::Sender<Bytes>),
    Collected(StatusCode, HeaderMap, Vec<u8>),
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Responder {
    /// Begins the reply. A second call has no effect.
    pub fn begin(&mut self, status: StatusCode, headers: HeaderMap) {
        if !matches!(self.reply, Reply::NotBegun) {
            return;
        }
        let Some(head) = self.head.take() else {
            self.reply = Reply::Collected(status, headers, Vec::new());
            return;
        };
        let (sender, body) = mpsc::channel(WAITING_PARTS);
        let mut prelude = MetadataPrelude::default();
        (prelude.status_code, prelude.headers) = (status, headers);
        // The runtime may be gone. Then nobody waits for the reply.
        let _ = head.send(Streamed { prelude, body });
        self.reply = Reply::Streamed(status, sender);
    }

    /// Sends a part of the body. Nobody may be listening any more; the function goes on all the same, because what it
    /// reads may be stored.
    pub async fn send(&mut self, chunk: Bytes) {
        match &mut self.reply {
            Reply::Streamed(_, sender) => drop(sender.send(chunk).await),
            Reply::Collected(_, _, body) => body.extend_from_slice(&chunk),
            Reply::NotBegun => {}
        }
    }

    /// The status, once the reply has begun.
    fn status(&self) -> Option<StatusCode> {
        match &self.reply {
            Reply::NotBegun => None,
            Reply::Streamed(status, _) | Reply::Collected(status, ..) => Some(*status),
        }
    }
}

/// What all invocations of an instance share.
struct Function<O> {
    cache: Cache,
    operation: O,
    writer: EmfWriter,
}

/// Runs Lambda's loop until the environment is shut down.
pub async fn serve_http<O: HttpOperation>(cache: Cache, operation: O) -> ExitCode {
    let writer = EmfWriter::new(O::SPEC.name, cache.config.metric_namespaces);
    let Err(error) = run(&Arc::new(Function { cache, operation, writer })).await;
    tracing::error!(%error, "the runtime ended");
    ExitCode::FAILURE
}

async fn run<O: HttpOperation>(function: &Arc<Function<O>>) -> Result<Infallible, RuntimeApiError> {
    let api = RuntimeApi::from_env()?;
    loop {
        let next = api.next().await?;
        let id = next.id.clone();
        let (sender, head) = oneshot::channel();
        // A task of its own goes on while the reply is sent.
        let task = tokio::spawn(invoke(Arc::clone(function), next, sender));
        if let Ok(streamed) = head.await {
            // A reply that could not be sent whole is Lambda's to report. What the task has to store is stored.
            if let Err(error) = api.stream(&id, streamed).await {
                tracing::warn!(%error, "a streamed reply was cut off");
            }
            if let Err(error) = task.await {
                tracing::error!(%error, "an invocation failed after its reply had begun");
            }
            continue;
        }
        match task.await.unwrap_or_else(|error| Err(diagnostic(&Error::internal(error)))) {
            Ok(reply) => api.reply(&id, Box::<str>::from(reply).into_string()).await?,
            Err(error) => api.fail(&id, &error).await?,
        }
    }
}

fn diagnostic(error: &Error) -> Diagnostic {
    Diagnostic { error_type: error.kind.name().to_owned(), error_message: error.to_string() }
}

/// Answers one event, and writes the invocation's log line before the reply ends, because Lambda may freeze the
/// environment as soon as it has.
async fn invoke<O: HttpOperation>(
    function: Arc<Function<O>>,
    next: Next,
    head: oneshot::Sender<Streamed>,
) -> Result<Box<RawValue>, Diagnostic> {
    let begun = Instant::now();
    let Function { cache, operation, writer } = &*function;
    let cache = cache.for_invocation(next.remaining);
    let payload = serde_json::from_slice(&next.payload).map_err(|error| diagnostic(&Error::internal(error)))?;
    let mut event_read = raw::read(payload, O::SPEC.name, &cache.config.claims);
    let identity = operation.identify(&event_read);
    let caller = event_read.caller;
    let head = event_read.is_function_url.then_some(head);
    let mut responder = Responder { head, reply: Reply::NotBegun };
    let (identity, identified) = match identity {
        Ok(identity) => (identity, Ok(())),
        Err(error) => (event_read.identity.clone(), Err(error)),
    };
    let invocation = Invocation::new(identity);
    let request = std::mem::replace(&mut event_read.request, Err(Error::internal("the request was taken")));
    let result = match identified.and_then(|()| invocation.authorize_operation(O::SPEC)).and(request) {
        Ok(request) => {
            // The future is boxed, because the SDK's futures nest so deeply that the compiler cannot compute the layout.
            let handled = Box::pin(operation.handle(&cache, &invocation, request, &mut responder));
            timeout_at(cache.deadline, handled).await.unwrap_or_else(|_| Err(out_of_time()))
        }
        Err(error) => Err(error),
    };
    let is_direct = caller == Caller::Direct;
    if let Err(error) = &result
        && !is_direct
    {
        let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (headers, body) = operation.error_reply(error);
        if responder.status().is_none() {
            responder.begin(status, headers);
            responder.send(body.into()).await;
        }
    }
    let status = responder.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let outcome = InvocationOutcome {
        request_id: &next.id.request_id,
        caller,
        status: result.as_ref().err().filter(|_| is_direct).map_or(status.as_u16(), |error| error.kind.status()),
        error: result.as_ref().err(),
        latency: begun.elapsed(),
        usage: cache.table.capacity().take(),
    };
    writer.write(&outcome, &invocation.into_record());
    match (responder.reply, result) {
        (_, Err(error)) if is_direct => Err(diagnostic(&error)),
        (Reply::Collected(status, headers, body), _) => {
            raw::render(caller, status, headers, body).map_err(|error| diagnostic(&error))
        }
        // The caller has the reply, or there is none because the operation forgot it.
        (Reply::Streamed(..) | Reply::NotBegun, _) => Err(diagnostic(&Error::internal("the operation gave no reply"))),
    }
}

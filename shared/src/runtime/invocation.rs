//! One invocation: which namespaces its caller may use, and what it records for the log.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mneme_api::access::{Access, Identity, Scope};
use mneme_api::operations::OperationSpec;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::Serialize;

use super::metrics::{Failure, InvocationRecord, Metric};

/// How many failures of one invocation its log line describes. Further ones are only counted.
const MAX_FAILURES: usize = 10;
/// How many results of one invocation its log line has. Further ones are only counted.
const MAX_RESULTS: usize = 20;

/// The caller's identity, and what the operation records about the invocation.
#[derive(Debug)]
pub struct Invocation {
    identity: Identity,
    record: Mutex<InvocationRecord>,
}

impl Invocation {
    /// An invocation of a caller with `identity`.
    pub fn new(identity: Identity) -> Self {
        Self { identity, record: Mutex::default() }
    }

    /// Checks that the caller may use the operation at all: it has the operation's scope, and a namespace. A public
    /// operation needs neither.
    ///
    /// Errors: `InsufficientScope`, `NamespaceForbidden`.
    pub(super) fn authorize_operation(&self, operation: &OperationSpec) -> Result<(), Error> {
        if operation.scope == Scope::Public {
            return Ok(());
        }
        self.authorize_scope(operation.scope)?;
        self.identity.access.check_any()
    }

    /// Checks that the caller has the scope `needed`. An operation calls this for an action that needs more than the
    /// operation itself.
    ///
    /// Errors: `InsufficientScope`.
    pub fn authorize_scope(&self, needed: Scope) -> Result<(), Error> {
        self.identity.check_scope(needed)
    }

    /// The caller's name: the subject of its token, or the ARN of its IAM user or role. `None` if it is not known.
    pub fn principal(&self) -> Option<&str> {
        self.identity.principal.as_deref()
    }

    /// Whether a claim binds the caller to namespaces.
    pub fn is_bound(&self) -> bool {
        self.identity.access.is_bound()
    }

    /// Checks that the caller may use `namespace`, and records the namespace. An operation calls this before it reads
    /// or writes anything in `namespace`.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn authorize(&self, namespace: &Namespace) -> Result<(), Error> {
        self.identity.access.check(namespace)?;
        self.lock().namespaces.insert(namespace.clone());
        Ok(())
    }

    /// The namespaces that a request concerns: `namespace` if the request names one, else all that the caller may use.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn visible_namespaces(&self, namespace: Option<&Namespace>) -> Result<Access, Error> {
        match namespace {
            Some(namespace) => self.authorize(namespace).map(|()| Access::from(namespace)),
            None => Ok(self.identity.access.clone()),
        }
    }

    /// Checks that the caller may use the whole cache. An operation calls this before it does anything that concerns
    /// all namespaces. `what`: the subject of the error's sentence.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn authorize_all(&self, what: &str) -> Result<(), Error> {
        self.identity.access.check_all(what)
    }

    /// Adds `value` to the sum of `metric`.
    pub fn record(&self, metric: Metric, value: f64) {
        *self.lock().metrics.entry(metric).or_default() += value;
    }

    /// Records the failure of `what` that does not fail the invocation itself. An error that the caller caused is
    /// ignored.
    pub fn record_failure(&self, what: &'static str, error: &Error) {
        if !error.kind.is_ours() {
            return;
        }
        let mut record = self.lock();
        record.failure_count += 1;
        if record.failures.len() < MAX_FAILURES {
            record.failures.push(Failure::new(what, error));
        }
    }

    /// Records one of the results of the operation for the log line. `result`: a JSON object that holds no query, no
    /// response, no embedding, no metadata and no secret.
    pub fn record_result(&self, result: impl Serialize) {
        let mut record = self.lock();
        record.result_count += 1;
        if record.results.len() < MAX_RESULTS {
            record.results.extend(serde_json::to_value(result));
        }
    }

    fn lock(&self) -> MutexGuard<'_, InvocationRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_record(self) -> InvocationRecord {
        self.record.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

//! One invocation: which namespaces its caller may use, and what there is to say of it in the log.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::metrics::{Failure, InvocationRecord, Metric};
use mneme_api::access::Access;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;

/// How many failures of one invocation are told apart in its log line.
const MAX_FAILURES: usize = 10;

/// What an operation knows of its invocation beside the request, and tells of it.
#[derive(Debug)]
pub struct Invocation {
    access: Access,
    record: Mutex<InvocationRecord>,
}

impl Invocation {
    /// An invocation of a caller with `access`.
    pub fn new(access: Access) -> Self {
        Self { access, record: Mutex::default() }
    }

    /// Has to be called before anything of `namespace` is read for the caller, or written.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn authorize(&self, namespace: &Namespace) -> Result<(), Error> {
        self.access.check(namespace)?;
        self.lock().namespaces.insert(namespace.clone());
        Ok(())
    }

    /// The namespaces that a request is about: `namespace` where it names one, else all that the caller may use.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn visible_namespaces(&self, namespace: Option<&Namespace>) -> Result<Access, Error> {
        match namespace {
            Some(namespace) => self.authorize(namespace).map(|()| Access::from(namespace)),
            None => Ok(self.access.clone()),
        }
    }

    /// Has to be called before anything that concerns the whole cache. `what` is the subject of the error's sentence.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn authorize_all(&self, what: &str) -> Result<(), Error> {
        self.access.check_all(what)
    }

    /// Adds `value` to a figure.
    pub fn record(&self, metric: Metric, value: f64) {
        *self.lock().metrics.entry(metric).or_default() += value;
    }

    /// Adds something that went wrong and is not the invocation's own error, unless the caller is to mend it.
    pub fn record_failure(&self, what: &'static str, error: &Error) {
        if !error.kind.is_ours() {
            return;
        }
        let mut record = self.lock();
        record.failed += 1;
        if record.failures.len() < MAX_FAILURES {
            record.failures.push(Failure::new(what, error));
        }
    }

    fn lock(&self) -> MutexGuard<'_, InvocationRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_record(self) -> InvocationRecord {
        self.record.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

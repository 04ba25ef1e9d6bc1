//! One invocation: which namespaces its caller may use, and what there is to say of it in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::access::Access;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::report::{Failure, Metric};

/// How many failures of one invocation are told apart in its log line.
const MOST_FAILURES: usize = 10;

/// What an operation knows of its invocation beside the request, and tells of it.
#[derive(Debug)]
pub struct Invocation {
    access: Access,
    told: Mutex<Told>,
}

/// What the log line says of an invocation.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The namespaces it used.
    pub(crate) namespaces: BTreeSet<Namespace>,
    /// Its figures.
    pub(crate) metrics: BTreeMap<Metric, f64>,
    /// What went wrong in it through no fault of the caller's, the first few.
    pub(crate) failures: Vec<Failure>,
    /// How much of it went wrong in all.
    pub(crate) failed: u32,
}

impl Invocation {
    /// An invocation of a caller with `access`.
    pub fn new(access: Access) -> Self {
        Self { access, told: Mutex::default() }
    }

    /// Has to be called before anything of `namespace` is read for the caller, or written.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn enter(&self, namespace: &Namespace) -> Result<(), Error> {
        self.access.check(namespace)?;
        self.told().namespaces.insert(namespace.clone());
        Ok(())
    }

    /// The namespaces that a request is about: `namespace` where it names one, else all that the caller may use.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn scope(&self, namespace: Option<&Namespace>) -> Result<Access, Error> {
        match namespace {
            Some(namespace) => self.enter(namespace).map(|()| Access::from(namespace)),
            None => Ok(self.access.clone()),
        }
    }

    /// Has to be called before anything that concerns the whole cache. `what` is the subject of the error's sentence.
    ///
    /// Errors: `NamespaceForbidden`.
    pub fn enter_all(&self, what: &str) -> Result<(), Error> {
        self.access.check_all(what)
    }

    /// Adds `value` to a figure.
    pub fn observe(&self, metric: Metric, value: f64) {
        *self.told().metrics.entry(metric).or_default() += value;
    }

    /// Adds something that went wrong and is not the invocation's own error, unless the caller is to mend it.
    pub fn fail(&self, what: &'static str, error: &Error) {
        if !error.kind.is_ours() {
            return;
        }
        let mut told = self.told();
        told.failed += 1;
        if told.failures.len() < MOST_FAILURES {
            told.failures.push(Failure::new(what, error));
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_told(self) -> Told {
        self.told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

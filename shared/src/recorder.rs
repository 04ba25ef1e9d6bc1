//! Counting lookups without a write for each: counts wait in memory and go to the tallies together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::cache::Cache;
use crate::key::RowKey;
use crate::namespace::Namespace;
use crate::table::tally::Counts;

/// How long the first count waits for others before they are written.
const LINGER: Duration = Duration::from_secs(1);

/// The counts that are not written yet.
///
/// Bound: written a second after the first of them while the instance runs, and at SIGTERM. Lambda freezes an idle
/// instance, which writes when it is next invoked or shut down; an instance that is killed loses what waited, and one
/// that is frozen amid a write may count that write twice.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    pending: Arc<Mutex<HashMap<Namespace, Counts>>>,
    arrived: Arc<Notify>,
}

impl Recorder {
    /// Adds `counts` to what waits for `namespace`.
    pub fn record(&self, namespace: &Namespace, counts: Counts) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.entry(namespace.clone()).or_default().add(&counts);
        self.arrived.notify_one();
    }

    /// Writes what waits; what cannot be written waits on.
    ///
    /// Writes: one UpdateItem per namespace, on its tally.
    pub async fn flush(&self, cache: &Cache) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        for (namespace, counts) in pending {
            let written = cache.table.add_counts(RowKey::tally(&namespace), namespace.as_str(), &counts).await;
            if let Err(error) = written {
                tracing::warn!(%error, causes = error.causes(), "counts could not be written");
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                pending.entry(namespace).or_default().add(&counts);
            }
        }
    }

    /// Writes what waits a second after it began to wait, for as long as the instance lives.
    pub async fn run(self, cache: Cache) {
        loop {
            self.arrived.notified().await;
            tokio::time::sleep(LINGER).await;
            self.flush(&cache).await;
        }
    }
}

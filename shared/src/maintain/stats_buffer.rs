//! Counting lookups without a write for each: counts wait in memory and go to the tallies together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::cache::Cache;
use crate::runtime::metrics::causes;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::key::RowKey;
use mneme_store::namespace_stats::EventCounts;

/// How long the first counts of an instance wait for others before they are written; each time twice as long, …
const MIN_WAIT: Duration = Duration::from_secs(1);
/// … up to this.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The counts that are not written yet.
///
/// Bound: written within a second at first and within a minute in the long run, and at SIGTERM. Lambda freezes an idle
/// instance, which writes when it is next invoked or shut down; an instance that is killed loses what waited, and one
/// that is frozen amid a write may count that write twice. Namespaces without a tally share one, so that questions
/// about names that nobody uses leave nothing behind.
#[derive(Debug, Clone, Default)]
pub struct StatsBuffer {
    pending: Arc<Mutex<HashMap<Namespace, EventCounts>>>,
    arrived: Arc<Notify>,
}

impl StatsBuffer {
    /// Adds `counts` to what waits for `namespace`.
    pub fn record(&self, namespace: &Namespace, counts: EventCounts) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.entry(namespace.clone()).or_default().add(&counts);
        self.arrived.notify_one();
    }

    /// Writes what waits; what cannot be written waits on.
    ///
    /// Writes: one UpdateItem per namespace, on its tally, and one for the rest.
    pub async fn flush(&self, cache: &Cache) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut strangers = EventCounts::default();
        for (namespace, counts) in pending {
            let key = RowKey::namespace_stats(&namespace);
            match cache.table.add_counts(key, namespace.as_str(), &counts, false).await {
                Ok(true) => {}
                Ok(false) => strangers.add(&counts),
                Err(error) => self.put_back(namespace, &counts, &error),
            }
        }
        if let Err(error) = cache.table.add_counts(RowKey::UNKNOWN_NAMESPACE_STATS, "", &strangers, true).await {
            self.put_back(Namespace::from_row(String::new()), &strangers, &error);
        }
    }

    fn put_back(&self, namespace: Namespace, counts: &EventCounts, error: &Error) {
        tracing::warn!(%error, causes = causes(error), "counts could not be written");
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.entry(namespace).or_default().add(counts);
    }

    /// Writes what waits, at growing intervals, for as long as the instance lives.
    pub async fn run(self, cache: Cache) {
        let mut wait = MIN_WAIT;
        loop {
            self.arrived.notified().await;
            tokio::time::sleep(wait).await;
            self.flush(&cache).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
    }
}

//! Counts of lookups, collected in memory so that a lookup need not write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::key::RowKey;
use mneme_store::namespace_stats::EventCounts;
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::error_causes::causes;

/// How long an instance collects its first counts before it writes them. Each further wait is twice as long, …
const MIN_WAIT: Duration = Duration::from_secs(1);
/// … up to this one.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The counts of an instance that are not written yet.
///
/// Counts are written within a second at first, within a minute later, and at SIGTERM. Lambda freezes an idle instance,
/// which then writes when it is next invoked or shut down. An instance that is killed loses its unwritten counts. An
/// instance that is frozen during a write may count that write twice. Namespaces without stored statistics share one
/// item, so that questions about unused names leave no item of their own.
#[derive(Debug, Clone, Default)]
pub struct StatsBuffer {
    pending: Arc<Mutex<HashMap<Namespace, EventCounts>>>,
    recorded: Arc<Notify>,
}

impl StatsBuffer {
    /// Adds `counts` to the pending counts of `namespace`.
    pub fn record(&self, namespace: &Namespace, counts: EventCounts) {
        self.add(namespace.clone(), &counts);
        self.recorded.notify_one();
    }

    /// Writes the pending counts. Counts that cannot be written stay pending.
    ///
    /// Writes: one UpdateItem for each namespace, on its statistics, and one for all namespaces without statistics.
    pub async fn flush(&self, cache: &Cache) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut unknown = EventCounts::default();
        for (namespace, counts) in pending {
            let key = RowKey::namespace_stats(&namespace);
            match cache.table.add_counts(key, namespace.as_str(), &counts, false).await {
                Ok(true) => {}
                Ok(false) => unknown.add(&counts),
                Err(error) => self.put_back(namespace, &counts, &error),
            }
        }
        if let Err(error) = cache.table.add_counts(RowKey::UNKNOWN_NAMESPACE_STATS, "", &unknown, true).await {
            self.put_back(Namespace::from_row(String::new()), &unknown, &error);
        }
    }

    fn put_back(&self, namespace: Namespace, counts: &EventCounts, error: &Error) {
        tracing::warn!(%error, causes = causes(error), "counts could not be written");
        self.add(namespace, counts);
    }

    fn add(&self, namespace: Namespace, counts: &EventCounts) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.entry(namespace).or_default().add(counts);
    }

    /// Writes pending counts at growing intervals. Never returns.
    pub async fn run(self, cache: Cache) {
        let mut wait = MIN_WAIT;
        loop {
            self.recorded.notified().await;
            tokio::time::sleep(wait).await;
            self.flush(&cache).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
    }
}

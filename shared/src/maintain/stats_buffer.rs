//! Counts of lookups and what they saved, collected in memory so that a lookup need not write.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::hour_stats::{HOUR_SECS, LookupTally};
use mneme_store::key::RowKey;
use mneme_store::namespace_stats::EventCounts;
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::error_causes::causes;

/// How long an instance collects its first counts before it writes them. Each further wait is twice as long, …
const MIN_WAIT: Duration = Duration::from_secs(1);
/// … up to this one.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The counts of one namespace that are not written yet.
#[derive(Debug, Default)]
struct PendingCounts {
    counts: EventCounts,
    /// By hours since the epoch.
    hours: BTreeMap<i64, LookupTally>,
}

impl PendingCounts {
    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        other.hours.iter().for_each(|(hour, tally)| self.add_to_hour(*hour, tally));
    }

    fn add_to_hour(&mut self, hour: i64, tally: &LookupTally) {
        self.hours.entry(hour).or_default().add(tally);
    }
}

/// The pending counts of an instance, by namespace. Those of the whole cache are at `None`.
type Pending = HashMap<Option<Namespace>, PendingCounts>;

/// The counts of an instance that are not written yet.
///
/// Counts are written within a second at first, within a minute later, and at SIGTERM. Lambda freezes an idle instance,
/// which then writes when it is next invoked or shut down. An instance that is killed loses its unwritten counts. An
/// instance that is frozen during a write may count that write twice. Namespaces without stored statistics share one
/// item, so that questions about unused names leave no item of their own. The hours of the whole cache count them, too.
#[derive(Debug, Clone, Default)]
pub struct StatsBuffer {
    pending: Arc<Mutex<Pending>>,
    recorded: Arc<Notify>,
}

impl StatsBuffer {
    /// Adds a lookup in `namespace` at `now_secs` to the pending counts: `counts`, and `tally` to its hour.
    pub fn record(&self, namespace: &Namespace, now_secs: i64, counts: EventCounts, tally: &LookupTally) {
        let hours = BTreeMap::from([(now_secs.div_euclid(HOUR_SECS), tally.clone())]);
        let whole_cache = PendingCounts { counts: EventCounts::default(), hours: hours.clone() };
        self.add(Some(namespace.clone()), &PendingCounts { counts, hours });
        self.add(None, &whole_cache);
        self.recorded.notify_one();
    }

    /// Writes the pending counts. Counts that cannot be written stay pending.
    ///
    /// Writes: one UpdateItem for each namespace, on its statistics, and one for all namespaces without statistics. Then
    /// one for each hour of a namespace with statistics, and one for each hour of the whole cache.
    pub async fn flush(&self, cache: &Cache) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut unknown = EventCounts::default();
        for (namespace, PendingCounts { counts, hours }) in pending {
            if let Some(namespace) = &namespace {
                let key = RowKey::namespace_stats(namespace);
                match cache.table.add_counts(key, namespace.as_str(), &counts, false).await {
                    Ok(true) => {}
                    Ok(false) => {
                        unknown.add(&counts);
                        continue;
                    }
                    Err(error) => {
                        self.put_back(Some(namespace.clone()), &PendingCounts { counts, hours }, &error);
                        continue;
                    }
                }
            }
            for (hour, tally) in hours {
                if let Err(error) = cache.table.add_to_hour(namespace.as_ref(), hour, &tally).await {
                    let hours = BTreeMap::from([(hour, tally)]);
                    self.put_back(namespace.clone(), &PendingCounts { hours, ..PendingCounts::default() }, &error);
                }
            }
        }
        if let Err(error) = cache.table.add_counts(RowKey::UNKNOWN_NAMESPACE_STATS, "", &unknown, true).await {
            let counts = PendingCounts { counts: unknown, ..PendingCounts::default() };
            self.put_back(Some(Namespace::from_row(String::new())), &counts, &error);
        }
    }

    fn put_back(&self, namespace: Option<Namespace>, counts: &PendingCounts, error: &Error) {
        tracing::warn!(%error, causes = causes(error), "counts could not be written");
        self.add(namespace, counts);
    }

    fn add(&self, namespace: Option<Namespace>, counts: &PendingCounts) {
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

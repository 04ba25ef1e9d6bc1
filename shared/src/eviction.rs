//! Keeping to quotas and to the table's cap: expired entries go first, then the least recently used.

use crate::cache::Cache;
use crate::error::Error;
use crate::key::RowKey;
use crate::namespace::Namespace;
use crate::table::tally::Tally;
use crate::table::{LruKey, Projection};
use crate::write::remove::{Reason, RowRef};

/// How many of the least recently used entries are looked at for expired ones: all, up to this cap.
const EXAMINED: usize = 1000;

/// What a cap is on.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    Namespace(&'a Namespace),
    Table,
}

/// What keeping to the caps removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Entries whose time was over.
    pub expired: u64,
    /// Live entries, least recently used first.
    pub evicted: u64,
}

impl Evicted {
    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        self.expired += other.expired;
        self.evicted += other.evicted;
    }
}

/// How many of `live` entries go when `cap` may stay: the excess, or a tenth of the cap if that is more, so that
/// the next eviction is a while off; at least one. None when they fit.
///
/// Source: `mneme-cache` 1.0, `_compute_batch`.
pub fn eviction_batch(live: u64, cap: u64) -> u64 {
    match live.saturating_sub(cap) {
        0 => 0,
        excess => excess.max(cap / 10).max(1).min(live),
    }
}

impl Cache {
    /// Brings the namespace back under its quota, or, where it has none, the table under `MNEME_MAX_ENTRIES`:
    /// what a put does after it has stored.
    ///
    /// Reads: one tally; past the cap, `gsi_lru` and the rows to go. Writes: removals.
    /// A table whose size is not known (its tally vanished, or the cap is new) is left to `vacuum`.
    pub async fn enforce_caps(&self, namespace: &Namespace, quota: Option<u64>) -> Result<Evicted, Error> {
        if self.config.max_entries.is_some() {
            self.register(namespace).await?;
        }
        match (quota, self.config.max_entries) {
            (Some(quota), _) => self.shrink(Scope::Namespace(namespace), true, quota).await,
            (None, Some(cap)) => self.shrink(Scope::Table, true, cap).await,
            (None, None) => Ok(Evicted::default()),
        }
    }

    /// Counts the namespace and brings it under `cap`.
    pub async fn shrink_namespace(&self, namespace: &Namespace, cap: u64) -> Result<Evicted, Error> {
        self.shrink(Scope::Namespace(namespace), false, cap).await
    }

    /// Counts the table, namespace by namespace of the directory, and brings it under `cap`.
    pub async fn shrink_table(&self, cap: u64) -> Result<Evicted, Error> {
        self.shrink(Scope::Table, false, cap).await
    }

    /// Brings `scope` under `cap`, going by its tally if that is to be trusted and knows, else by a count.
    async fn shrink(&self, scope: Scope<'_>, trust_tally: bool, cap: u64) -> Result<Evicted, Error> {
        let key = match scope {
            Scope::Namespace(namespace) => RowKey::tally(namespace),
            Scope::Table => RowKey::TABLE_TALLY,
        };
        let read = self.table.tally(key).await?;
        if trust_tally && !read.counted && matches!(scope, Scope::Table) {
            return Ok(Evicted::default());
        }
        let tally = Tally { counted: read.counted && trust_tally, ..read };
        if tally.counted && tally.entries <= cap as i64 {
            return Ok(Evicted::default());
        }
        // DynamoDB's own TTL removes rows without a word to the tally, so where entries expire it only raises the
        // question.
        let must_count = !tally.counted || tally.has_ttl;
        let may_expire = tally.has_ttl || !tally.counted;
        let tallied = tally.entries.max(0) as u64;
        let batch = eviction_batch(tallied, cap) as usize;
        let wanted = match (must_count, may_expire) {
            (true, _) => usize::MAX,
            (false, true) => (2 * batch).max(EXAMINED),
            (false, false) => batch,
        };
        let keys = self.oldest(scope, wanted).await?;
        let rows = if must_count { keys.len() as u64 } else { tallied };
        let examined = if may_expire { keys.len().min((2 * batch).max(EXAMINED)) } else { batch };
        let found = self.table.batch_get(keys.iter().take(examined).map(|key| key.id.into()), Projection::Ages).await?;
        let candidates: Vec<RowRef> =
            keys.iter().filter_map(|key| RowRef::from_item(found.get(key.id.into())?)).collect();
        let now = self.now_secs();
        let (expired, live): (Vec<RowRef>, Vec<RowRef>) = candidates.into_iter().partition(|row| row.is_expired(now));
        let live_rows = rows - expired.len() as u64;
        let has_ttl = live.iter().any(|row| row.expires_at.is_some()) || keys.len() > examined && may_expire;
        let victims = &live[..(eviction_batch(live_rows, cap) as usize).min(live.len())];
        let removed = Evicted {
            expired: self.remove(&expired, Reason::Expired).await?,
            evicted: self.remove(victims, Reason::Evicted).await?,
        };
        if must_count {
            let gone = removed.expired + removed.evicted;
            let moved = Tally { entries: tally.entries - gone as i64, ..tally };
            self.table.recount(key, moved, rows - gone, has_ttl).await?;
        }
        Ok(removed)
    }

    /// At least `count` of the least recently used entries of `scope`, or all there are, in order.
    async fn oldest(&self, scope: Scope<'_>, count: usize) -> Result<Vec<LruKey>, Error> {
        match scope {
            Scope::Namespace(namespace) => self.table.least_recently_used(namespace, None, count).await,
            Scope::Table => {
                let mut keys = Vec::new();
                for namespace in self.registered_namespaces().await? {
                    keys.extend(self.table.least_recently_used(&namespace, None, count).await?);
                }
                keys.sort_unstable();
                Ok(keys)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn batches_are_the_python_librarys() {
        // The examples of `_compute_batch`'s documentation.
        assert_eq!(eviction_batch(120, 100), 20);
        assert_eq!(eviction_batch(1050, 1000), 100);
        assert_eq!(eviction_batch(3, 2), 1);
        assert_eq!(eviction_batch(2, 2), 0);
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_is_not_nothing_by_accident(live in 0u64..10_000, cap in 1u64..10_000) {
            let batch = eviction_batch(live, cap);
            prop_assert!(live - batch <= cap);
            prop_assert_eq!(batch == 0, live <= cap);
            prop_assert!(live == 0 || live - batch >= cap - cap / 10 || batch == 0);
        }
    }
}

//! Keeping to quotas and to the table's cap: expired entries go first, then the least recently used.

use crate::cache::Cache;
use crate::error::Error;
use crate::key::RowKey;
use crate::namespace::Namespace;
use crate::table::tally::Tally;
use crate::table::{LruKey, Projection};
use crate::write::remove::{Reason, RowRef};

/// How many of the least recently used entries are looked at for expired ones, where any expire: all, up to this cap.
const EXAMINED: usize = 1000;

/// What a cap is on.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    Namespace(&'a Namespace),
    Table,
}

impl Scope<'_> {
    fn tally(self) -> RowKey {
        match self {
            Self::Namespace(namespace) => RowKey::tally(namespace),
            Self::Table => RowKey::TABLE_TALLY,
        }
    }
}

/// What keeping to the caps removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Entries whose time was over.
    pub expired: u64,
    /// Live entries, least recently used first.
    pub evicted: u64,
    /// Whether the time was up before all that had to go was gone.
    pub unfinished: bool,
}

impl Evicted {
    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        self.expired += other.expired;
        self.evicted += other.evicted;
        self.unfinished |= other.unfinished;
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
    /// Reads: one tally; past the cap, the keys of `gsi_lru` and the rows to go. Writes: removals.
    /// A table that was never counted (its tally vanished, or the cap is new) is left to `vacuum`, which finds the
    /// namespaces that the directory lacks.
    pub async fn enforce_caps(&self, namespace: &Namespace, quota: Option<u64>) -> Result<Evicted, Error> {
        if self.config.max_entries.is_some() {
            self.register(namespace).await?;
        }
        let (scope, cap) = match (quota, self.config.max_entries) {
            (Some(quota), _) => (Scope::Namespace(namespace), quota),
            (None, Some(cap)) => (Scope::Table, cap),
            (None, None) => return Ok(Evicted::default()),
        };
        let tally = self.table.tally(scope.tally()).await?;
        let fits = tally.counted && tally.entries <= i64::try_from(cap).unwrap_or(i64::MAX);
        if fits || (!tally.counted && matches!(scope, Scope::Table)) {
            return Ok(Evicted::default());
        }
        self.shrink(scope, tally, cap).await
    }

    /// Counts the namespace and brings it under `cap`.
    pub async fn shrink_namespace(&self, namespace: &Namespace, cap: u64) -> Result<Evicted, Error> {
        let scope = Scope::Namespace(namespace);
        self.shrink(scope, self.table.tally(scope.tally()).await?, cap).await
    }

    /// Counts the table, namespace by namespace of the directory, and brings it under `cap`.
    pub async fn shrink_table(&self, cap: u64) -> Result<Evicted, Error> {
        self.shrink(Scope::Table, self.table.tally(Scope::Table.tally()).await?, cap).await
    }

    /// Counts `scope`, removes what is over `cap`, and sets the tally right. A tally only raises the question: rows go
    /// and come without it, by DynamoDB's own TTL and by the Python library.
    async fn shrink(&self, scope: Scope<'_>, tally: Tally, cap: u64) -> Result<Evicted, Error> {
        let keys = self.oldest_first(scope).await?;
        let rows = keys.len() as u64;
        let batch = eviction_batch(rows, cap) as usize;
        // Whether any entry expires is known of a tally that was counted; the first count finds it out.
        let looks_for_expired = !tally.counted || (tally.has_ttl && batch > 0);
        let examined = if looks_for_expired { keys.len().min((2 * batch).max(EXAMINED)) } else { batch };
        let (expired, live) = self.examine(&keys[..examined]).await?;
        let has_ttl = !tally.counted && (examined < keys.len() || live.iter().any(|row| row.expires_at.is_some()));
        let victims = eviction_batch(rows - expired.len() as u64, cap) as usize;
        let expired = self.remove(&expired, Reason::Expired).await?;
        let evicted = self.remove(&live[..victims.min(live.len())], Reason::Evicted).await?;
        let removed =
            Evicted { expired: expired.removed, evicted: evicted.removed, unfinished: expired.left + evicted.left > 0 };
        let gone = removed.expired + removed.evicted;
        let moved = Tally { entries: tally.entries - gone as i64, ..tally };
        self.table.recount(scope.tally(), moved, rows - gone, has_ttl).await?;
        Ok(removed)
    }

    /// Reads the rows behind `keys` and tells the expired from the live; both stay in the order of the keys.
    async fn examine(&self, keys: &[LruKey]) -> Result<(Vec<RowRef>, Vec<RowRef>), Error> {
        let rows = self.table.batch_get(keys.iter().map(|key| key.id.into()), Projection::Ages).await?;
        let now = self.now_secs();
        Ok(keys
            .iter()
            .filter_map(|key| RowRef::from_item(rows.get(key.id.into())?))
            .partition(|row| row.is_expired(now)))
    }

    /// All entries of `scope`, least recently used first.
    async fn oldest_first(&self, scope: Scope<'_>) -> Result<Vec<LruKey>, Error> {
        match scope {
            Scope::Namespace(namespace) => self.table.least_recently_used(namespace, None, usize::MAX).await,
            Scope::Table => {
                let mut keys = Vec::new();
                for namespace in self.registered_namespaces().await? {
                    keys.extend(self.table.least_recently_used(&namespace, None, usize::MAX).await?);
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

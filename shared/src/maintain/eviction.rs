//! Keeping to quotas and to the table's cap: expired entries go first, then the least recently used.

use std::time::Duration;

use mneme_model::entry::EntryHeader;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::entry_row::header_from_item;
use mneme_store::index::LruKey;
use mneme_store::key::RowKey;
use mneme_store::namespace_stats::NamespaceStats;
use mneme_store::read::Projection;
use tokio::time::Instant;

use super::directory::{register, registered_namespaces};
use crate::cache::Cache;
use crate::write::remove::{Reason, remove};

/// How many of the least recently used entries are looked at for expired ones, where any expire: all, up to this cap.
const EXAMINED: usize = 1000;

/// What a cap is on.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    Namespace(&'a Namespace),
    Table,
}

impl Scope<'_> {
    fn stats_key(self) -> RowKey {
        match self {
            Self::Namespace(namespace) => RowKey::namespace_stats(namespace),
            Self::Table => RowKey::TABLE_STATS,
        }
    }
}

/// What keeping to the caps removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Entries whose time was over.
    pub expired: u64,
    /// Live entries, least recently used first.
    pub evicted: u64,
    /// Whether the time was up before all that had to go was gone.
    pub unfinished: bool,
}

impl Evictions {
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

/// How long `vacuum` waits for the index to show what was written, before it believes the index more than a stats.
const INDEX_LAG: Duration = Duration::from_secs(2);

/// How far one enforcement of a cap may go.
#[derive(Debug, Clone, Copy)]
struct EvictionLimits {
    /// Keys of `gsi_lru` read.
    keys: usize,
    /// Namespaces looked into, for the table's cap.
    namespaces: usize,
    /// Entries removed.
    removals: usize,
    /// Whether nothing goes that the stats does not call excess: it lacks only what the Python library put.
    believes_stats: bool,
}

/// How far a stats may be above what `gsi_lru` shows before a put lowers it: the index lags, and a stats that is too high
/// only makes puts count.
const SLACK: i64 = 100;

/// Of a put, whose time and cost must not grow with the table.
const PUT_LIMITS: EvictionLimits = EvictionLimits { keys: 5000, namespaces: 32, removals: 200, believes_stats: true };

/// Of `vacuum`, which has its function's time.
const VACUUM_LIMITS: EvictionLimits =
    EvictionLimits { keys: usize::MAX, namespaces: usize::MAX, removals: usize::MAX, believes_stats: false };

/// The least recently used entries of a scope.
#[derive(Debug, Default)]
struct Oldest {
    /// In that order.
    keys: Vec<LruKey>,
    /// Whether these are all there are.
    all: bool,
}

/// What bringing a scope under its cap came to.
#[derive(Debug, Clone, Copy, Default)]
struct CapEnforcement {
    evicted: Evictions,
    /// Whether the stats differs from what the index shows, one of which is wrong.
    is_doubtful: bool,
}

/// What is to go.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    expired: Vec<EntryHeader>,
    evicted: Vec<EntryHeader>,
    /// Whether the cap is not kept yet when these are gone.
    more: bool,
}

/// Chooses from `examined`, the least recently used of `rows` rows in that order, what goes so that no more than `cap`
/// live ones stay: expired ones first, then live ones in their order; `most` in all.
fn choose(examined: Vec<EntryHeader>, rows: u64, cap: u64, most: usize, now_secs: i64) -> Choice {
    let (mut expired, mut live): (Vec<_>, Vec<_>) = examined.into_iter().partition(|row| row.is_expired(now_secs));
    let victims = eviction_batch(rows.saturating_sub(expired.len() as u64), cap);
    let victims = usize::try_from(victims).unwrap_or(usize::MAX);
    let wanted = expired.len().saturating_add(victims);
    expired.truncate(most);
    live.truncate(victims.min(most - expired.len()));
    let more = wanted > expired.len() + live.len();
    Choice { expired, evicted: live, more }
}

/// Brings the namespace back under its quota, or, where it has none, the table under `MNEME_MAX_ENTRIES`:
/// what a put does after it has stored.
///
/// Reads: one stats; past the cap, up to 5,000 keys of `gsi_lru`, and up to 1,000 of the rows, where any expire.
/// Writes: removals, up to 200; what is over the cap then is the next put's, or `vacuum`'s.
/// Up to 5,000 rows are counted before any goes. Past that the stats is believed; one that was never counted (it
/// vanished, or the cap is new) is left to `vacuum`. Of more than 32 namespaces under the table's cap, 32 chosen at
/// random are looked into, as Redis samples keys: what goes is about the least recently used.
pub async fn enforce_caps(cache: &Cache, namespace: &Namespace, quota: Option<u64>) -> Result<Evictions, Error> {
    if cache.config.max_entries.is_some() {
        register(cache, namespace).await?;
    }
    let (scope, cap) = match (quota, cache.config.max_entries) {
        (Some(quota), _) => (Scope::Namespace(namespace), quota),
        (None, Some(cap)) => (Scope::Table, cap),
        (None, None) => return Ok(Evictions::default()),
    };
    let stats = cache.table.namespace_stats(scope.stats_key()).await?;
    let fits = stats.counted && stats.entries <= i64::try_from(cap).unwrap_or(i64::MAX);
    // The directory of a table that was never counted may lack namespaces, which `vacuum` finds.
    let countable = matches!(scope, Scope::Namespace(_)) && cap <= PUT_LIMITS.keys as u64;
    if fits || (!stats.counted && !countable) {
        return Ok(Evictions::default());
    }
    Ok(enforce_cap(cache, scope, stats, cap, PUT_LIMITS).await?.evicted)
}

/// EventCounts each of `quotas`, and the table where `cap` is given, namespace by namespace of the directory; brings them under
/// it, and sets tallies right: what `vacuum` does. It takes two seconds where a stats and the index differ.
pub async fn enforce_all_caps(
    cache: &Cache,
    quotas: &[(Namespace, u64)],
    cap: Option<u64>,
) -> Result<Evictions, Error> {
    let scopes = quotas.iter().map(|(namespace, quota)| (Scope::Namespace(namespace), *quota));
    let mut removed = Evictions::default();
    let mut doubtful = Vec::new();
    for (scope, cap) in scopes.chain(cap.map(|cap| (Scope::Table, cap))) {
        let enforced =
            enforce_cap(cache, scope, cache.table.namespace_stats(scope.stats_key()).await?, cap, VACUUM_LIMITS)
                .await?;
        removed.add(enforced.evicted);
        if enforced.is_doubtful {
            doubtful.push((scope, cache.table.namespace_stats(scope.stats_key()).await?));
        }
    }
    if !doubtful.is_empty() && Instant::now() + INDEX_LAG < cache.deadline {
        tokio::time::sleep(INDEX_LAG).await;
        for (scope, stats) in doubtful {
            // One that moves is left to a quieter time: what is new may not show yet.
            if cache.table.namespace_stats(scope.stats_key()).await? == stats {
                let rows = oldest_first(cache, scope, VACUUM_LIMITS).await?.keys.len() as u64;
                cache.table.recount(scope.stats_key(), stats, rows, false).await?;
            }
        }
    }
    Ok(removed)
}

/// EventCounts `scope` and removes what is over `cap`, each as far as `limits` allow. A stats only raises the question: rows go
/// and come without it, by DynamoDB's own TTL and by the Python library. The index, which answers it, lags: it may
/// still show rows that are gone, and lack new ones.
async fn enforce_cap(
    cache: &Cache,
    scope: Scope<'_>,
    stats: NamespaceStats,
    cap: u64,
    limits: EvictionLimits,
) -> Result<CapEnforcement, Error> {
    let oldest = oldest_first(cache, scope, limits).await?;
    let seen = oldest.keys.len() as u64;
    let told = u64::try_from(stats.entries).unwrap_or(0);
    // Of as many as the index shows. What is gone and still shown counts as excess otherwise, and so live rows would go.
    let rows_of = |shown: u64| match (oldest.all, stats.counted && limits.believes_stats) {
        (false, _) => shown.max(told),
        (true, true) => shown.min(told),
        (true, false) => shown,
    };
    let batch = usize::try_from(eviction_batch(rows_of(seen), cap)).unwrap_or(usize::MAX).min(limits.removals);
    // Whether any entry expires is known of a stats that was counted; the first count finds it out.
    let looks_for_expired = !stats.counted || (stats.has_ttl && batch > 0);
    let wanted = if looks_for_expired { batch.saturating_mul(2).max(EXAMINED) } else { batch };
    let examined = wanted.min(oldest.keys.len());
    let rest = examined < oldest.keys.len() || !oldest.all;
    let keys = &oldest.keys[..examined];
    let examined = headers(cache, keys).await?;
    let shown = seen - (keys.len() - examined.len()) as u64;
    let now = cache.now_secs();
    let mortal = examined.iter().any(|row| row.expires_at.is_some() && !row.is_expired(now));
    let choice = choose(examined, rows_of(shown), cap, limits.removals, now);
    let expired = remove(cache, &choice.expired, Reason::Expired).await?;
    let evicted = remove(cache, &choice.evicted, Reason::Evicted).await?;
    let removed = Evictions {
        expired: expired.removed,
        evicted: evicted.removed,
        unfinished: choice.more || expired.left + evicted.left > 0,
    };
    let mut enforced = CapEnforcement { evicted: removed, is_doubtful: false };
    if oldest.all {
        let gone = (removed.expired + removed.evicted) as i64;
        let moved = NamespaceStats { entries: stats.entries - gone, ..stats };
        let shown = shown as i64 - gone;
        if !stats.counted {
            let entries = u64::try_from(shown.max(moved.entries)).unwrap_or(0);
            if entries > 0 {
                cache.table.recount(scope.stats_key(), moved, entries, rest || mortal).await?;
            }
        } else if shown + SLACK < moved.entries {
            let entries = u64::try_from(shown + SLACK).unwrap_or(0);
            cache.table.recount(scope.stats_key(), moved, entries, false).await?;
        }
        enforced.is_doubtful = shown != moved.entries;
    }
    Ok(enforced)
}

/// The rows behind `keys` that are there, in the order of the keys.
async fn headers(cache: &Cache, keys: &[LruKey]) -> Result<Vec<EntryHeader>, Error> {
    let rows = cache.table.batch_get(keys.iter().map(|key| key.id.into()), Projection::Lru).await?;
    Ok(keys.iter().filter_map(|key| header_from_item(rows.get(key.id.into())?)).collect())
}

/// The entries of `scope`, least recently used first, within `limits`.
async fn oldest_first(cache: &Cache, scope: Scope<'_>, limits: EvictionLimits) -> Result<Oldest, Error> {
    let (namespaces, mut all) = match scope {
        Scope::Namespace(namespace) => (vec![namespace.clone()], true),
        Scope::Table => {
            let registered = registered_namespaces(cache).await?;
            let all = registered.len() <= limits.namespaces;
            let some = limits.namespaces.min(registered.len());
            (fastrand::choose_multiple(registered, some), all)
        }
    };
    let most = (limits.keys / namespaces.len().max(1)).max(limits.removals);
    let mut keys = Vec::new();
    for namespace in namespaces {
        let (some, complete) = cache.table.oldest(&namespace, most).await?;
        keys.extend(some);
        all &= complete;
    }
    keys.sort_unstable();
    Ok(Oldest { keys, all })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use mneme_model::entry_id::EntryId;
    use mneme_model::normalize::QueryHash;

    fn row(at: usize, last_accessed_at: i64, expires_at: Option<i64>) -> EntryHeader {
        EntryHeader {
            id: EntryId::new(at as u64 + 1).unwrap(),
            namespace: Namespace::default(),
            query_hash: QueryHash::of(&at.to_string(), true),
            created_at: 0,
            last_accessed_at,
            expires_at,
        }
    }

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
        /// What goes is expired or, in order, the least recently used; what stays fits, unless the bound was reached; and
        /// nothing live goes where the expired alone suffice.
        #[test]
        fn any_choice_takes_the_expired_and_then_the_oldest(
            ages in prop::collection::vec((0i64..50, prop::option::of(0i64..50)), 0..120),
            unseen in 0u64..40, cap in 1u64..150, most in 0usize..100,
        ) {
            let now = 25;
            let mut rows: Vec<EntryHeader> = ages.iter().enumerate().map(|(at, (used, ttl))| row(at, *used, *ttl)).collect();
            rows.sort_by_key(|row| (row.last_accessed_at, row.id));
            let total = rows.len() as u64 + unseen;
            let choice = choose(rows.clone(), total, cap, most, now);
            let (over, live): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_expired(now));
            prop_assert!(choice.expired.len() + choice.evicted.len() <= most);
            prop_assert!(over.starts_with(&choice.expired) && live.starts_with(&choice.evicted));
            let left = total - (choice.expired.len() + choice.evicted.len()) as u64;
            if choice.more {
                prop_assert!(choice.expired.len() + choice.evicted.len() == most || choice.evicted.len() == live.len());
            } else {
                prop_assert_eq!(choice.expired.len(), over.len());
                prop_assert!(left <= cap);
            }
            if total - over.len() as u64 <= cap {
                prop_assert!(choice.evicted.is_empty());
            }
        }

        #[test]
        fn what_stays_fits_and_is_not_nothing_by_accident(live in 0u64..10_000, cap in 1u64..10_000) {
            let batch = eviction_batch(live, cap);
            prop_assert!(live - batch <= cap);
            prop_assert_eq!(batch == 0, live <= cap);
            prop_assert!(live == 0 || live - batch >= cap - cap / 10 || batch == 0);
        }
    }
}

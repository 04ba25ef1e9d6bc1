//! Enforcing quotas and the cap on the table: expired entries are removed first, then the least recently used ones.
//!
//! Two sources say how many entries there are, and neither is exact. The stored statistics still count rows that
//! DynamoDB's TTL deleted, and lack rows that the Python library wrote. The index `gsi_lru` lags: it may still show
//! rows that are gone, and lack new ones. A put consults the index only when the statistics exceed the cap or were
//! never counted.

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
use super::victims::{choose_victims, eviction_batch};
use crate::cache::Cache;
use crate::write::remove::{Reason, remove};

/// How many of the least recently used entries are read to find expired ones, if the namespace has entries that expire.
const MIN_EXAMINED: usize = 1000;

/// How long `vacuum` waits for the index to show recent writes, before it corrects statistics that differ from the
/// index.
const INDEX_LAG: Duration = Duration::from_secs(2);

/// How far the statistics may exceed the number of entries in `gsi_lru` before a put lowers them. The index lags, and
/// statistics that are too high only cause further counts.
const STATS_TOLERANCE: i64 = 100;

/// What a cap limits.
#[derive(Debug, Clone, Copy)]
enum CapScope<'a> {
    Namespace(&'a Namespace),
    Table,
}

impl CapScope<'_> {
    fn stats_key(self) -> RowKey {
        match self {
            Self::Namespace(namespace) => RowKey::namespace_stats(namespace),
            Self::Table => RowKey::TABLE_STATS,
        }
    }
}

/// What enforcing caps removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Expired entries.
    pub expired: u64,
    /// Live entries, least recently used first.
    pub evicted: u64,
    /// Whether entries remain that have to be removed.
    pub unfinished: bool,
}

impl Evictions {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        self.expired += other.expired;
        self.evicted += other.evicted;
        self.unfinished |= other.unfinished;
    }
}

/// The limits of one enforcement of a cap.
#[derive(Debug, Clone, Copy)]
struct EvictionLimits {
    /// Keys of `gsi_lru` that are read.
    keys: usize,
    /// Namespaces that are read, for the cap on the table.
    namespaces: usize,
    /// Entries that are removed.
    removals: usize,
    /// Whether only entries are removed that the statistics count as excess, too. Statistics that were counted lack
    /// only rows that the Python library wrote.
    trusts_stats: bool,
}

/// The limits of a put of up to 100 entries. Its time and cost must not grow with the table.
const PUT_LIMITS: EvictionLimits = EvictionLimits { keys: 5000, namespaces: 32, removals: 200, trusts_stats: true };

/// The limits of `vacuum`, which may use all the time of its function.
const VACUUM_LIMITS: EvictionLimits =
    EvictionLimits { keys: usize::MAX, namespaces: usize::MAX, removals: usize::MAX, trusts_stats: false };

/// The least recently used entries of a scope.
#[derive(Debug, Default)]
struct LruList {
    /// Least recently used first.
    keys: Vec<LruKey>,
    /// Whether these are all entries of the scope that the index shows.
    is_complete: bool,
}

/// The result of enforcing one cap.
#[derive(Debug, Clone, Copy, Default)]
struct Enforcement {
    removed: Evictions,
    /// Whether the statistics differ from what the index shows.
    stats_differ: bool,
}

/// Brings the namespace under its quota. If it has none, brings the table under `MNEME_MAX_ENTRIES`. A put calls this
/// after it has stored its entry.
///
/// Up to 5,000 keys are counted before any entry is removed. Above that number the stored statistics are trusted. If
/// these were never counted (they were lost, or the cap is new), nothing is removed, and `vacuum` counts. If more than
/// 32 namespaces are under the cap of the table, 32 are chosen at random, as Redis samples keys. The victims are then
/// only approximately the least recently used.
///
/// `quota`: the namespace's quota. `stored`: how many entries the put has stored. It removes up to twice as many, so that
/// batches cannot outgrow the cap.
///
/// Reads: one item of statistics. Above the cap: up to 5,000
/// keys of `gsi_lru`, and the rows of the victims; up to 1,000 rows if entries expire. Writes: up to 200 removals, or
/// twice `stored`. The next put or `vacuum` removes the rest.
/// Errors: `StoreBackendError`.
pub async fn enforce_caps(
    cache: &Cache,
    namespace: &Namespace,
    quota: Option<u64>,
    stored: usize,
) -> Result<Evictions, Error> {
    if cache.config.max_entries.is_some() {
        register(cache, namespace).await?;
    }
    let (scope, cap) = match (quota, cache.config.max_entries) {
        (Some(quota), _) => (CapScope::Namespace(namespace), quota),
        (None, Some(cap)) => (CapScope::Table, cap),
        (None, None) => return Ok(Evictions::default()),
    };
    let stats = cache.table.namespace_stats(scope.stats_key()).await?;
    let fits = stats.counted && stats.entries <= i64::try_from(cap).unwrap_or(i64::MAX);
    // The directory of a table that was never counted may lack namespaces, which `vacuum` adds.
    let is_countable = matches!(scope, CapScope::Namespace(_)) && cap <= PUT_LIMITS.keys as u64;
    if fits || (!stats.counted && !is_countable) {
        return Ok(Evictions::default());
    }
    let limits = EvictionLimits { removals: PUT_LIMITS.removals.max(2 * stored), ..PUT_LIMITS };
    Ok(enforce_cap(cache, scope, stats, cap, limits).await?.removed)
}

/// Counts the entries of each namespace in `quotas`, and of the whole table if `table_cap` is given, brings them under
/// their caps and corrects the statistics. `vacuum` calls this.
///
/// Reads: the directory, all keys of `gsi_lru` of these namespaces, the statistics, and the rows of the victims.
/// Writes: removals and statistics. Takes two seconds longer if statistics differ from the index. Errors:
/// `StoreBackendError`.
pub(crate) async fn enforce_all_caps(
    cache: &Cache,
    quotas: &[(Namespace, u64)],
    table_cap: Option<u64>,
) -> Result<Evictions, Error> {
    let scopes = quotas.iter().map(|(namespace, quota)| (CapScope::Namespace(namespace), *quota));
    let mut removed = Evictions::default();
    let mut differing = Vec::new();
    for (scope, cap) in scopes.chain(table_cap.map(|cap| (CapScope::Table, cap))) {
        let stats = cache.table.namespace_stats(scope.stats_key()).await?;
        let enforcement = enforce_cap(cache, scope, stats, cap, VACUUM_LIMITS).await?;
        removed.add(enforcement.removed);
        if enforcement.stats_differ {
            differing.push((scope, cache.table.namespace_stats(scope.stats_key()).await?));
        }
    }
    if !differing.is_empty() && Instant::now() + INDEX_LAG < cache.deadline {
        tokio::time::sleep(INDEX_LAG).await;
        for (scope, stats) in differing {
            // Statistics that change meanwhile are corrected by a later pass, because the index may not show the newest
            // rows.
            if cache.table.namespace_stats(scope.stats_key()).await? == stats {
                let rows = least_recently_used(cache, scope, VACUUM_LIMITS).await?.keys.len() as u64;
                cache.table.recount(scope.stats_key(), stats, rows, false).await?;
            }
        }
    }
    Ok(removed)
}

/// Counts the entries of `scope` and removes the excess over `cap`, within `limits`. Corrects the statistics if they
/// were never counted or are too high.
async fn enforce_cap(
    cache: &Cache,
    scope: CapScope<'_>,
    stats: NamespaceStats,
    cap: u64,
    limits: EvictionLimits,
) -> Result<Enforcement, Error> {
    let LruList { keys, is_complete } = least_recently_used(cache, scope, limits).await?;
    let counted = u64::try_from(stats.entries).unwrap_or(0);
    // The number of rows, from the number that the index shows. A row that is gone and still shown must not count as
    // excess, because a live row would be removed for it.
    let estimate = |shown: u64| match (is_complete, stats.counted && limits.trusts_stats) {
        (false, _) => shown.max(counted),
        (true, true) => shown.min(counted),
        (true, false) => shown,
    };
    let shown = keys.len() as u64;
    let batch = usize::try_from(eviction_batch(estimate(shown), cap)).unwrap_or(usize::MAX).min(limits.removals);
    // Counted statistics say whether any entry expires. The first count finds it out.
    let examines_expiry = !stats.counted || (stats.has_ttl && batch > 0);
    let wanted = if examines_expiry { batch.saturating_mul(2).max(MIN_EXAMINED) } else { batch };
    let examined_keys = &keys[..wanted.min(keys.len())];
    let examined_all = examined_keys.len() == keys.len() && is_complete;
    let examined = headers(cache, examined_keys).await?;
    let rows = shown - (examined_keys.len() - examined.len()) as u64;
    let now = cache.now_secs();
    let has_ttl = examined.iter().any(|row| row.expires_at.is_some() && !row.is_expired(now));
    let victims = choose_victims(examined, estimate(rows), cap, limits.removals, now);
    let expired = remove(cache, &victims.expired, Reason::Expired).await?;
    let evicted = remove(cache, &victims.evicted, Reason::Evicted).await?;
    let removed = Evictions {
        expired: expired.removed,
        evicted: evicted.removed,
        unfinished: victims.is_incomplete || expired.left + evicted.left > 0,
    };
    if !is_complete {
        return Ok(Enforcement { removed, stats_differ: false });
    }
    let removed_rows = (removed.expired + removed.evicted) as i64;
    let current = NamespaceStats { entries: stats.entries - removed_rows, ..stats };
    let rows = rows as i64 - removed_rows;
    if !stats.counted {
        let entries = u64::try_from(rows.max(current.entries)).unwrap_or(0);
        if entries > 0 {
            cache.table.recount(scope.stats_key(), current, entries, !examined_all || has_ttl).await?;
        }
    } else if rows + STATS_TOLERANCE < current.entries {
        let entries = u64::try_from(rows + STATS_TOLERANCE).unwrap_or(0);
        cache.table.recount(scope.stats_key(), current, entries, false).await?;
    }
    Ok(Enforcement { removed, stats_differ: rows != current.entries })
}

/// The rows of `keys` that exist, in the order of the keys. Reads: the rows, strongly.
async fn headers(cache: &Cache, keys: &[LruKey]) -> Result<Vec<EntryHeader>, Error> {
    let rows = cache.table.batch_get(keys.iter().map(|key| key.id.into()), Projection::Lru).await?;
    Ok(keys.iter().filter_map(|key| header_from_item(rows.get(key.id.into())?)).collect())
}

/// The entries of `scope`, least recently used first, within `limits`. Reads: `gsi_lru`; for the table also the
/// directory.
async fn least_recently_used(cache: &Cache, scope: CapScope<'_>, limits: EvictionLimits) -> Result<LruList, Error> {
    let (namespaces, mut is_complete) = match scope {
        CapScope::Namespace(namespace) => (vec![namespace.clone()], true),
        CapScope::Table => {
            let registered = registered_namespaces(cache).await?;
            let is_complete = registered.len() <= limits.namespaces;
            let count = limits.namespaces.min(registered.len());
            (fastrand::choose_multiple(registered, count), is_complete)
        }
    };
    let keys_each = (limits.keys / namespaces.len().max(1)).max(limits.removals);
    let mut keys = Vec::new();
    for namespace in namespaces {
        let (oldest, has_all) = cache.table.oldest(&namespace, keys_each).await?;
        keys.extend(oldest);
        is_complete &= has_all;
    }
    keys.sort_unstable();
    Ok(LruList { keys, is_complete })
}

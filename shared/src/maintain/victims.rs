//! Which entries an eviction removes.

use mneme_model::entry::EntryHeader;

/// The entries that an eviction removes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Victims {
    /// Entries that have expired.
    pub(super) expired: Vec<EntryHeader>,
    /// Live entries, least recently used first.
    pub(super) evicted: Vec<EntryHeader>,
    /// Whether the cap is still exceeded, or expired entries remain, after these are removed.
    pub(super) is_incomplete: bool,
}

/// How many of `live` entries are removed for a cap of `cap` entries: none if they fit. Otherwise the excess, or a
/// tenth of the cap if that is more, so that the next eviction is not due at once; at least one.
///
/// Source: `mneme-cache` 1.0, `_compute_batch`.
pub(super) fn eviction_batch(live: u64, cap: u64) -> u64 {
    match live.saturating_sub(cap) {
        0 => 0,
        excess => excess.max(cap / 10).max(1).min(live),
    }
}

/// Chooses the victims among `examined` so that at most `cap` live entries remain: first expired entries, then live
/// ones in their order.
///
/// `examined`: the least recently used entries, in that order. `rows`: how many entries there are in all, these
/// included.
/// `max_removals`: the most victims.
pub(super) fn choose_victims(
    examined: Vec<EntryHeader>,
    rows: u64,
    cap: u64,
    max_removals: usize,
    now_secs: i64,
) -> Victims {
    let (mut expired, mut live): (Vec<_>, Vec<_>) = examined.into_iter().partition(|row| row.is_expired(now_secs));
    let batch = eviction_batch(rows.saturating_sub(expired.len() as u64), cap);
    let batch = usize::try_from(batch).unwrap_or(usize::MAX);
    let wanted = expired.len().saturating_add(batch);
    expired.truncate(max_removals);
    live.truncate(batch.min(max_removals - expired.len()));
    let is_incomplete = wanted > expired.len() + live.len();
    Victims { expired, evicted: live, is_incomplete }
}

#[cfg(test)]
mod tests {
    use mneme_model::entry_id::EntryId;
    use mneme_model::namespace::Namespace;
    use mneme_model::normalize::QueryHash;
    use mneme_model::tag::Tags;
    use proptest::prelude::*;

    use super::*;

    fn row(at: usize, last_accessed_at: i64, expires_at: Option<i64>) -> EntryHeader {
        EntryHeader {
            id: EntryId::new(at as u64 + 1).unwrap(),
            namespace: Namespace::default(),
            query_hash: QueryHash::of(&at.to_string(), true),
            created_at: 0,
            last_accessed_at,
            expires_at,
            tags: Tags::default(),
            has_answer_item: false,
        }
    }

    #[test]
    fn eviction_batch_matches_the_examples_of_the_python_library() {
        // The examples of `_compute_batch`'s documentation.
        assert_eq!(eviction_batch(120, 100), 20);
        assert_eq!(eviction_batch(1050, 1000), 100);
        assert_eq!(eviction_batch(3, 2), 1);
        assert_eq!(eviction_batch(2, 2), 0);
    }

    proptest! {
        /// Victims are expired, or the least recently used in their order. The remaining entries fit under the cap,
        /// unless `max_removals` was reached. No live entry is a victim if removing the expired ones suffices.
        #[test]
        fn victims_are_expired_entries_and_then_the_least_recently_used(
            ages in prop::collection::vec((0i64..50, prop::option::of(0i64..50)), 0..120),
            unseen in 0u64..40, cap in 1u64..150, max_removals in 0usize..100,
        ) {
            let now = 25;
            let mut rows: Vec<EntryHeader> =
                ages.iter().enumerate().map(|(at, (used, ttl))| row(at, *used, *ttl)).collect();
            rows.sort_by_key(|row| (row.last_accessed_at, row.id));
            let total = rows.len() as u64 + unseen;
            let victims = choose_victims(rows.clone(), total, cap, max_removals, now);
            let (expired, live): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_expired(now));
            prop_assert!(victims.expired.len() + victims.evicted.len() <= max_removals);
            prop_assert!(expired.starts_with(&victims.expired) && live.starts_with(&victims.evicted));
            let left = total - (victims.expired.len() + victims.evicted.len()) as u64;
            if victims.is_incomplete {
                let removals = victims.expired.len() + victims.evicted.len();
                prop_assert!(removals == max_removals || victims.evicted.len() == live.len());
            } else {
                prop_assert_eq!(victims.expired.len(), expired.len());
                prop_assert!(left <= cap);
            }
            if total - expired.len() as u64 <= cap {
                prop_assert!(victims.evicted.is_empty());
            }
        }

        #[test]
        fn entries_after_eviction_fit_and_fill_nine_tenths_of_the_cap(live in 0u64..10_000, cap in 1u64..10_000) {
            let batch = eviction_batch(live, cap);
            prop_assert!(live - batch <= cap);
            prop_assert_eq!(batch == 0, live <= cap);
            prop_assert!(live == 0 || live - batch >= cap - cap / 10 || batch == 0);
        }
    }
}

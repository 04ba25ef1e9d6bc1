//! Reading segments into the namespaces of a replica.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::error::Error;
use mneme_model::namespace::{Namespace, NamespaceHash};
use mneme_search::segment::CodeSegment;
use mneme_store::key::RowKey;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::segment::{Segment, SegmentEntry};
use mneme_store::table::Table;

use super::replica::Replica;

/// How many segments one call reads: 6 MB.
const SEGMENTS_AT_ONCE: usize = 40;
/// How many of these calls run at once.
const BATCHES_AT_ONCE: usize = 4;

impl Replica {
    /// Loads the segments of `ranges` into the namespaces held. Returns the ranges that must be read row by row,
    /// because their segment is missing, corrupt or from another basis, or because the name of one of its namespaces is
    /// not known. Ranges known to be empty are not returned.
    ///
    /// Reads: the segments, eventually consistent. A segment does not change, and one that is not visible yet counts as
    /// missing. Errors: `StoreBackendError`.
    pub(super) async fn load_segments(
        &mut self,
        table: &Table,
        manifest: &SegmentManifest,
        ranges: Range<u64>,
    ) -> Result<HashSet<u64>, Error> {
        let mut missing = HashSet::new();
        let held: HashMap<NamespaceHash, Namespace> =
            self.namespaces.keys().map(|namespace| (namespace.hash(), namespace.clone())).collect();
        let ranges: Vec<u64> = ranges.filter(|range| !manifest.empty_ranges.contains(*range)).collect();
        let key = |range: u64| RowKey::segment(manifest.basis_version, range);
        let batches: Vec<Vec<u64>> = ranges.chunks(SEGMENTS_AT_ONCE).map(<[u64]>::to_vec).collect();
        let mut reads = stream::iter(batches)
            .map(async |batch| {
                let items = table.batch_get_eventual(batch.iter().copied().map(key)).await?;
                Ok::<_, Error>((batch, items))
            })
            .buffered(BATCHES_AT_ONCE);
        while let Some((batch, items)) = reads.try_next().await? {
            for range in batch {
                let segment = items.get(key(range)).and_then(|item| Segment::from_item(item, range));
                if !segment.is_some_and(|segment| self.load_segment(&segment, &held)) {
                    missing.insert(range);
                }
            }
        }
        Ok(missing)
    }

    /// Loads a segment into the namespaces `held`. Returns false if its rows must be read instead.
    ///
    /// A segment has only the hash of a namespace. If the replica holds all namespaces, a new one must be added under
    /// its name, which only the rows have.
    pub(super) fn load_segment(&mut self, segment: &Segment, held: &HashMap<NamespaceHash, Namespace>) -> bool {
        let mut entries: Vec<Vec<&SegmentEntry>> = vec![Vec::new(); segment.contexts.len()];
        segment.entries.iter().for_each(|entry| entries[usize::from(entry.context)].push(entry));
        let mut codes = None;
        for ((namespace, context_key), entries) in segment.contexts.iter().zip(entries) {
            let index = held.get(namespace).and_then(|namespace| self.namespaces.get_mut(namespace));
            let Some(index) = index else {
                if self.has_all {
                    return false;
                }
                continue;
            };
            if let Some(bytes) = &segment.codes {
                let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
                let codes = codes.get_or_insert_with(|| CodeSegment::read(bytes));
                let loaded =
                    codes.as_ref().map_err(Clone::clone).and_then(|codes| index.load(*context_key, codes, &ids));
                if let Err(error) = loaded {
                    tracing::debug!(%error, "a segment cannot be used, so its rows are read");
                    return false;
                }
            }
            entries.iter().for_each(|entry| index.note(entry.id, entry.hash_prefix, entry.number_fingerprint));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use mneme_model::normalize::QueryHash;

    use super::super::namespace_index::NamespaceIndex;
    use super::*;

    fn name(name: &str) -> Namespace {
        Namespace::try_from(name.to_owned()).unwrap()
    }

    /// A segment without codes: one entry in each of `namespaces`, with ids from 1 on.
    fn segment(namespaces: &[&str]) -> Segment {
        let entry = |at: usize| SegmentEntry {
            id: at as u64 + 1,
            context: at as u16,
            hash_prefix: QueryHash::of(namespaces[at], true).prefix(),
            number_fingerprint: None,
        };
        Segment {
            contexts: namespaces.iter().map(|namespace| (name(namespace).hash(), None)).collect(),
            entries: (0..namespaces.len()).map(entry).collect(),
            codes: None,
        }
    }

    fn replica(namespaces: &[&str]) -> (Replica, HashMap<NamespaceHash, Namespace>) {
        let held = namespaces.iter().map(|namespace| (name(namespace).hash(), name(namespace))).collect();
        let indexes = namespaces.iter().map(|namespace| (name(namespace), NamespaceIndex::new(None)));
        (Replica { namespaces: indexes.collect(), ..Replica::default() }, held)
    }

    #[test]
    fn segment_fills_the_namespaces_held_and_skips_the_others() {
        let (mut replica, held) = replica(&["a"]);
        assert!(replica.load_segment(&segment(&["a", "b"]), &held));
        assert_eq!(replica.by_hash(&name("a"), &QueryHash::of("a", true)).len(), 1);
        assert!(!replica.holds(&name("b")));
    }

    #[test]
    fn segment_with_an_unknown_namespace_is_refused_by_a_replica_that_holds_all() {
        let (replica, held) = replica(&["a"]);
        let mut replica = Replica { has_all: true, ..replica };
        assert!(replica.load_segment(&segment(&["a"]), &held));
        assert!(!replica.load_segment(&segment(&["a", "b"]), &held));
    }

    #[test]
    fn segment_with_corrupt_codes_is_refused() {
        let (mut replica, held) = replica(&["a"]);
        assert!(!replica.load_segment(&Segment { codes: Some(vec![1, 2, 3]), ..segment(&["a"]) }, &held));
    }
}

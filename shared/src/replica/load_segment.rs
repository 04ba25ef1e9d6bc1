//! Taking the entries of one segment into a replica.

use mneme_search::segment::CodeSegment;
use mneme_store::segments::segment::{Segment, SegmentEntry};

use super::replica::{Coverage, Replica};

impl Replica {
    /// Loads a segment into the namespaces taken up, except those that are complete if `skips_complete`. Returns false
    /// if its rows must be read instead.
    pub(super) fn load_segment(&mut self, segment: &Segment, skips_complete: bool) -> bool {
        let mut entries: Vec<Vec<&SegmentEntry>> = vec![Vec::new(); segment.contexts.len()];
        segment.entries.iter().for_each(|entry| entries[usize::from(entry.context)].push(entry));
        let mut codes = None;
        for ((namespace, context_key), entries) in segment.contexts.iter().zip(entries) {
            match self.coverage {
                Coverage::Filling | Coverage::All if !self.namespaces.contains_key(namespace) => {
                    self.add(*namespace, self.coverage == Coverage::All);
                }
                _ => {}
            }
            let index = self.namespaces.get_mut(namespace).filter(|index| !(skips_complete && index.is_complete));
            let Some(index) = index else { continue };
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
    use mneme_model::namespace::Namespace;
    use mneme_model::normalize::QueryHash;

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

    /// A replica that holds `namespaces`.
    fn replica(namespaces: &[&str], coverage: Coverage) -> Replica {
        let mut replica = Replica { coverage, ..Replica::default() };
        namespaces.iter().for_each(|namespace| replica.add(name(namespace).hash(), true));
        replica
    }

    fn knows(replica: &Replica, namespace: &str) -> bool {
        !replica.by_hash(&name(namespace), &QueryHash::of(namespace, true)).is_empty()
    }

    #[test]
    fn segment_fills_the_namespaces_taken_up_and_skips_the_others() {
        let mut listed = replica(&["a"], Coverage::Listed);
        assert!(listed.load_segment(&segment(&["a", "b"]), false));
        assert!(knows(&listed, "a") && !knows(&listed, "b") && !listed.holds(&name("b")));
        let mut filling = replica(&[], Coverage::Filling);
        assert!(filling.load_segment(&segment(&["a", "b"]), true));
        assert!(knows(&filling, "a") && knows(&filling, "b") && !filling.holds(&name("b")));
        filling.complete();
        assert!(filling.holds(&name("b")) && filling.holds(&name("c")));
    }

    #[test]
    fn segment_of_a_load_skips_namespaces_that_are_complete() {
        let mut replica = replica(&["a"], Coverage::Filling);
        assert!(replica.load_segment(&segment(&["a", "b"]), true));
        assert!(!knows(&replica, "a") && knows(&replica, "b"));
    }

    #[test]
    fn segment_with_corrupt_codes_is_refused() {
        let mut replica = replica(&["a"], Coverage::Listed);
        assert!(!replica.load_segment(&Segment { codes: Some(vec![1, 2, 3]), ..segment(&["a"]) }, false));
    }
}

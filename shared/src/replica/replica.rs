//! What an instance holds of the table, and the questions that it answers from memory.

use std::sync::Arc;

use mneme_guard::NumberFingerprint;
use mneme_model::config::Config;
use mneme_model::context_key::ContextKey;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::namespace::{Namespace, NamespaceHash};
use mneme_model::normalize::QueryHash;
use mneme_search::{Basis, Candidates};
use mneme_store::entry_row::{
    context_key, entry_id, expires_at, namespace, number_fingerprint, query_hash, served_vector,
};
use mneme_store::item::Item;
use mneme_store::segments::manifest::SegmentManifest;

use super::context_index::Nearest;
use super::memory::{MemoryBudget, Namespaces, drop_least_recently_used, resident_bytes};
use super::namespace_index::NamespaceIndex;

/// Which namespaces a replica takes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Those that it has. Others may have entries that were never read.
    #[default]
    Some,
    /// Those that it has, because all of them together do not fit in memory.
    Listed,
    /// All, and the entries of new ones are being read.
    Filling,
    /// All. A namespace that is missing has no entries.
    All,
}

/// The namespaces of an instance.
#[derive(Debug, Default)]
pub struct Replica {
    /// The embedder of the vectors; `None`: nothing was read.
    pub(super) served: Option<ServedEmbedder>,
    pub(super) namespaces: Namespaces,
    pub(super) coverage: Coverage,
    /// The basis of the segments, with its version.
    pub(super) basis: Option<(u64, Arc<Basis>)>,
    /// How often a namespace was used. This number orders namespaces by their last use.
    pub(super) uses: u64,
    pub(super) budget: MemoryBudget,
}

impl Replica {
    /// An empty replica. Its memory budget follows from the memory of the function, as `config` has it.
    pub fn new(config: &Config) -> Self {
        Self { budget: MemoryBudget::new(config), ..Self::default() }
    }

    /// An empty replica with the same memory budget.
    pub(super) fn emptied(&self) -> Self {
        Self { budget: self.budget, ..Self::default() }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && matches!(self.coverage, Coverage::Some | Coverage::Listed)
    }

    /// Whether the namespace's entries have been read.
    pub fn holds(&self, namespace: &Namespace) -> bool {
        match self.namespaces.get(&namespace.hash()) {
            Some(index) => index.is_complete,
            None => self.coverage == Coverage::All,
        }
    }

    /// Whether the vectors in memory, if there are any, are valid for `served`.
    pub(super) fn has_vectors_of(&self, served: &ServedEmbedder) -> bool {
        self.served.as_ref().is_none_or(|own| own.is_same(served))
    }

    /// Whether the basis of `manifest` is in memory.
    pub(super) fn has_basis_of(&self, manifest: &SegmentManifest) -> bool {
        self.basis.as_ref().is_some_and(|(version, _)| *version == manifest.basis_version)
    }

    /// Resident bytes, without the basis that indexes share.
    pub fn bytes(&self) -> usize {
        resident_bytes(&self.namespaces)
    }

    /// Records a use of `namespace`.
    pub(super) fn mark_used(&mut self, namespace: &NamespaceHash) {
        self.uses += 1;
        if let Some(index) = self.namespaces.get_mut(namespace) {
            index.last_used = self.uses;
        }
    }

    /// Takes `namespace` up without entries.
    pub(super) fn add(&mut self, namespace: NamespaceHash, is_complete: bool) {
        let basis = self.basis.as_ref().map(|(_, basis)| basis.clone());
        self.namespaces.insert(namespace, NamespaceIndex::new(basis, is_complete));
    }

    /// Notes that the entries of every namespace held were read.
    pub(super) fn complete(&mut self) {
        self.namespaces.values_mut().for_each(|index| index.is_complete = true);
        if self.coverage == Coverage::Filling {
            self.coverage = Coverage::All;
        }
    }

    /// Drops namespaces until the rest fits the memory budget: first those that are being read in addition to `wanted`,
    /// then the least recently used ones. Returns false if `wanted` alone does not fit.
    pub(super) fn make_room(&mut self, wanted: &NamespaceHash) -> bool {
        if self.budget.fits(&self.namespaces) {
            return true;
        }
        self.coverage = Coverage::Listed;
        self.namespaces.retain(|namespace, index| namespace == wanted || index.is_complete);
        if !self.namespaces.contains_key(wanted) {
            self.add(*wanted, false);
        }
        self.drop_excess(wanted);
        self.budget.fits(&self.namespaces)
    }

    /// Drops the least recently used namespaces, except `kept`, until the rest fits the memory budget.
    pub(super) fn drop_excess(&mut self, kept: &NamespaceHash) {
        while !self.budget.fits(&self.namespaces) && drop_least_recently_used(&mut self.namespaces, kept) {
            self.coverage = Coverage::Listed;
        }
    }

    /// Drops `namespace`.
    pub(super) fn drop_namespace(&mut self, namespace: &NamespaceHash) {
        self.namespaces.remove(namespace);
    }

    /// Adds the entry in `item`, or updates its vector and expiry. Ignores items that are not entries, and entries of
    /// namespaces that are not taken up. Returns whether nothing more has to be read of the row: false for an entry that
    /// has no vector of the served embedder.
    pub fn upsert(&mut self, item: &Item) -> bool {
        let (Some(id), Some(namespace), Some(hash)) = (entry_id(item), namespace(item), query_hash(item)) else {
            return true;
        };
        let namespace = namespace.hash();
        if !self.namespaces.contains_key(&namespace) {
            match self.coverage {
                Coverage::Some | Coverage::Listed => return true,
                Coverage::Filling => self.add(namespace, false),
                Coverage::All => self.add(namespace, true),
            }
        }
        let vector = self.served.as_ref().and_then(|served| served_vector(item, served));
        if let Some(index) = self.namespaces.get_mut(&namespace) {
            index.note(id.get(), hash.prefix(), number_fingerprint(item));
            index.upsert(id, context_key(item), vector.as_ref(), expires_at(item));
        }
        vector.is_some()
    }

    /// Forgets the namespace's entry `id` with this context key, which was found to be deleted. Ids are never reused, so
    /// it stays deleted. `hash`: the query hash that it is forgotten for. Under any other hash,
    /// [`by_hash`](Self::by_hash) may still return the id.
    pub fn forget(
        &mut self,
        namespace: &Namespace,
        context_key: Option<ContextKey>,
        id: EntryId,
        hash: Option<&QueryHash>,
    ) {
        if let Some(index) = self.namespaces.get_mut(&namespace.hash()) {
            index.forget(context_key, id, hash);
        }
    }

    /// The entries that are known for the entry key, in ascending order. Only 32 bits of the hash are compared, so an
    /// entry of another query may be among them.
    pub fn by_hash(&self, namespace: &Namespace, hash: &QueryHash) -> Vec<EntryId> {
        self.namespaces.get(&namespace.hash()).map(|index| index.by_hash(hash)).unwrap_or_default()
    }

    /// The entries with this namespace and context key whose similarity to `query` may reach `threshold`, highest upper
    /// bound first, ties by lower id. No entry that reaches it is missing. Expired and deleted entries may be among
    /// them.
    ///
    /// `query`: unit norm. There are no candidates for a query of another dimension than the entries. Reads: memory
    /// only.
    pub fn candidates(
        &mut self,
        namespace: &Namespace,
        context_key: Option<ContextKey>,
        query: &Embedding,
        threshold: f32,
    ) -> Candidates {
        self.namespaces
            .get_mut(&namespace.hash())
            .map(|index| index.candidates(context_key, query, threshold))
            .unwrap_or_default()
    }

    /// Whether the namespace's entry `id` is known to contradict a question with `fingerprint` in a number or an
    /// identifier. The guard would veto such an entry. Reads: memory only.
    pub fn contradicts(&self, namespace: &NamespaceHash, id: u64, fingerprint: NumberFingerprint) -> bool {
        self.namespaces.get(namespace).is_some_and(|index| index.contradicts(id, fingerprint))
    }

    /// The context keys of the namespace's entries that have a vector. Reads: memory only.
    pub fn context_keys(&self, namespace: &Namespace) -> impl Iterator<Item = Option<ContextKey>> {
        self.namespaces.get(&namespace.hash()).into_iter().flat_map(NamespaceIndex::context_keys)
    }

    /// What is known of the nearest entry to `query` with this namespace and context key, among those that `filter`
    /// accepts and that are not known to have expired at `now_secs`. Reads: memory only.
    pub fn nearest(
        &self,
        namespace: &Namespace,
        context_key: Option<ContextKey>,
        query: &Embedding,
        now_secs: i64,
        filter: impl Fn(EntryId) -> bool,
    ) -> Nearest {
        let index = self.namespaces.get(&namespace.hash());
        index.map_or(Nearest::Nothing, |index| index.nearest(context_key, query, now_secs, filter))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use mneme_model::embedder::EmbedderGeneration;
    use mneme_model::entry::Entry;
    use mneme_model::row_vectors::RowVectors;
    use mneme_store::entry_row::{entry_to_item, vector_attributes};
    use proptest::prelude::*;

    use super::*;

    fn item(id: u64, namespace: &str, vector: &[f32], expires_at: Option<i64>) -> Item {
        let entry = Entry {
            namespace: Namespace::try_from(namespace.to_owned()).unwrap(),
            query_hash: QueryHash::of(&format!("{id}"), true),
            response: String::new(),
            vectors: RowVectors {
                embedding: Some(Embedding::normalized(vector.to_vec()).unwrap().to_bytes()),
                ..RowVectors::default()
            },
            created_at: 1000,
            last_accessed_at: 1000,
            expires_at,
            ..Entry::example(id)
        };
        entry_to_item(&entry).unwrap()
    }

    fn served(number: u64) -> ServedEmbedder {
        ServedEmbedder {
            generation: EmbedderGeneration::new(number),
            base_generation: EmbedderGeneration::new(0),
            switches: 0,
            dim: None,
            fingerprint: None,
            scale: None,
        }
    }

    fn name(name: &str) -> Namespace {
        Namespace::try_from(name.to_owned()).unwrap()
    }

    /// A replica that holds every namespace, as after a scan of an empty table.
    fn empty() -> Replica {
        Replica { coverage: Coverage::All, served: Some(served(0)), ..Replica::default() }
    }

    fn ids(replica: &mut Replica, namespace: &str, query: &[f32], threshold: f32) -> Vec<u64> {
        let query = Embedding::normalized(query.to_vec()).unwrap();
        replica.candidates(&name(namespace), None, &query, threshold).map(|candidate| candidate.id).collect()
    }

    #[test]
    fn candidates_are_of_one_namespace_and_ties_are_ordered_by_id() {
        let mut replica = empty();
        for (id, namespace) in [(3, "a"), (1, "a"), (2, "b"), (9, "a")] {
            replica.upsert(&item(id, namespace, &[1.0, 0.0], None));
        }
        replica.upsert(&item(4, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&mut replica, "a", &[1.0, 0.1], 0.5), [1, 3, 9]);
        assert_eq!(ids(&mut replica, "b", &[1.0, 0.1], 0.5), [2]);
        replica.forget(&name("a"), None, EntryId::new(1).unwrap(), None);
        replica.forget(&name("a"), None, EntryId::new(1).unwrap(), None);
        assert_eq!(ids(&mut replica, "a", &[1.0, 0.1], -1.0), [3, 9, 4]);
        replica.forget(&name("b"), None, EntryId::new(2).unwrap(), None);
        assert!(ids(&mut replica, "b", &[1.0, 0.1], -1.0).is_empty());
    }

    #[test]
    fn upsert_with_another_vector_replaces_the_vector() {
        let mut replica = empty();
        replica.upsert(&item(1, "a", &[1.0, 0.0], None));
        replica.upsert(&item(2, "a", &[1.0, 1.0], None));
        replica.upsert(&item(1, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&mut replica, "a", &[0.0, 1.0], 0.0), [1, 2]);
    }

    #[test]
    fn upsert_uses_only_the_vector_of_the_served_embedder() {
        let mut row = item(1, "a", &[1.0, 0.0], None);
        let second = RowVectors {
            next: Some((EmbedderGeneration::new(1), Embedding::normalized(vec![0.0, 1.0]).unwrap().to_bytes())),
            ..RowVectors::default()
        };
        row.extend(vector_attributes(&second).into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        for (number, near, far) in [(0, [1.0, 0.0], [0.0, 1.0]), (1, [0.0, 1.0], [1.0, 0.0])] {
            let mut replica = Replica { served: Some(served(number)), ..empty() };
            replica.upsert(&row);
            assert_eq!(ids(&mut replica, "a", &near, 0.9), [1]);
            assert!(ids(&mut replica, "a", &far, 0.9).is_empty());
        }
        let mut replica = Replica { served: Some(served(2)), ..empty() };
        replica.upsert(&row);
        assert!(ids(&mut replica, "a", &[1.0, 1.0], -1.0).is_empty());
        assert_eq!(replica.by_hash(&name("a"), &QueryHash::of("1", true)).len(), 1);
    }

    #[test]
    fn rows_with_one_hash_are_all_known_until_each_is_forgotten() {
        let mut replica = empty();
        for id in [2, 1, 3] {
            let mut row = item(id, "a", &[1.0, 0.0], None);
            row.insert("query_hash".to_owned(), AttributeValue::S("0".repeat(64)));
            replica.upsert(&row);
            replica.upsert(&row);
        }
        let hash = QueryHash::try_from("0".repeat(64)).unwrap();
        for (gone, left) in [(2, vec![1, 3]), (7, vec![1, 3]), (1, vec![3]), (3, vec![])] {
            replica.forget(&name("a"), None, EntryId::new(gone).unwrap(), Some(&hash));
            let known: Vec<u64> = replica.by_hash(&name("a"), &hash).iter().map(|id| id.get()).collect();
            assert_eq!((&known, ids(&mut replica, "a", &[1.0, 0.0], 0.9)), (&left, left.clone()));
        }
    }

    #[test]
    fn nearest_ignores_expired_and_filtered_entries() {
        let mut replica = empty();
        replica.upsert(&item(1, "a", &[1.0, 0.0], Some(2000)));
        replica.upsert(&item(2, "a", &[0.0, 1.0], None));
        let query = Embedding::normalized(vec![1.0, 0.0]).unwrap();
        let nearest = |now, last: u64| replica.nearest(&name("a"), None, &query, now, |id| id.get() <= last);
        let entry = |id, similarity| Nearest::Entry { id: EntryId::new(id).unwrap(), similarity };
        assert_eq!(nearest(1999, 9), entry(1, 1.0));
        assert_eq!(nearest(2000, 9), entry(2, 0.0));
        assert_eq!(nearest(2000, 1), Nearest::Nothing);
        assert_eq!(replica.nearest(&name("b"), None, &query, 0, |_| true), Nearest::Nothing);
    }

    #[tokio::test]
    async fn training_replaces_float32_by_codes_and_loses_no_candidate() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut vector = |near: Option<&[f32]>| -> Vec<f32> {
            (0..64).map(|at| near.map_or(0.0, |near| near[at] * 8.0) + rng.f32() - 0.5).collect()
        };
        let mut replica = empty();
        let query = vector(None);
        for id in 1..=4500u64 {
            let near = id.is_multiple_of(10).then_some(query.as_slice());
            replica.upsert(&item(id, "a", &vector(near), Some(5000)));
        }
        let expected = ids(&mut replica, "a", &query, 0.9);
        assert!(expected.len() > 100);
        let bytes = replica.bytes();
        let unit = Embedding::normalized(query.clone()).unwrap();
        while replica.nearest(&name("a"), None, &unit, 0, |_| true) != Nearest::Unknown {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            ids(&mut replica, "a", &query, 0.9);
        }
        let found = ids(&mut replica, "a", &query, 0.9);
        assert!(expected.iter().all(|id| found.contains(id)));
        assert!(replica.bytes() < bytes, "{} of {bytes}", replica.bytes());
    }

    #[test]
    fn least_recently_used_namespace_is_dropped_when_memory_is_used_up() {
        let mut replica = Replica { budget: MemoryBudget(Some(3000)), ..empty() };
        for (id, namespace) in [(1, "a"), (2, "b"), (3, "c")] {
            replica.upsert(&item(id, namespace, &[1.0; 400], None));
        }
        replica.namespaces.get_mut(&name("b").hash()).unwrap().last_used = 1;
        replica.namespaces.get_mut(&name("c").hash()).unwrap().last_used = 2;
        replica.drop_excess(&name("a").hash());
        assert!(replica.holds(&name("a")) && !replica.holds(&name("b")) && !replica.holds(&name("z")));
        replica.upsert(&item(4, "b", &[1.0; 400], None));
        assert!(!replica.holds(&name("b")), "a row does not bring its dropped namespace back");
    }

    proptest! {
        /// Compares with a float64 loop over all vectors: the same similarities, in the same order.
        #[test]
        fn candidates_agree_with_brute_force(
            vectors in prop::collection::vec(prop::collection::vec(-4i8..=4, 5), 1..40),
            query in prop::collection::vec(-4i8..=4, 5),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            k in 1usize..6,
        ) {
            let floats = |v: &[i8]| v.iter().map(|x| f32::from(*x)).collect::<Vec<f32>>();
            let Ok(unit) = Embedding::normalized(floats(&query)) else { return Ok(()) };
            let mut replica = empty();
            let mut kept: Vec<(u64, Vec<f32>)> = Vec::new();
            for (at, vector) in vectors.iter().enumerate() {
                if vector.iter().any(|x| *x != 0) {
                    replica.upsert(&item(at as u64 + 1, "a", &floats(vector), None));
                    kept.push((at as u64 + 1, floats(vector)));
                }
            }
            for index in gone {
                if !kept.is_empty() {
                    let (id, _) = kept.remove(index.index(kept.len()));
                    replica.forget(&name("a"), None, EntryId::new(id).unwrap(), None);
                }
            }
            let cosine = |v: &[f32]| -> f64 {
                let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                v.iter().zip(unit.as_slice()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / norm
            };
            let mut expected: Vec<f64> = kept.iter().map(|(_, vector)| cosine(vector)).collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            let found: Vec<_> = replica.candidates(&name("a"), None, &unit, -1.0).take(k).collect();
            prop_assert_eq!(found.len(), k.min(kept.len()));
            for (candidate, best) in found.iter().zip(&expected) {
                let own = cosine(&kept.iter().find(|(id, _)| *id == candidate.id).unwrap().1);
                prop_assert!((f64::from(candidate.bound) - best).abs() < 1e-5);
                prop_assert!((f64::from(candidate.bound) - own).abs() < 1e-5);
            }
            let order: Vec<(f32, u64)> = found.iter().map(|c| (-c.bound, c.id)).collect();
            prop_assert!(order.is_sorted_by(|a, b| a.0 < b.0 || (a.0 == b.0 && a.1 < b.1)));
        }
    }
}

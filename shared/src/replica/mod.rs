//! The replica: the vectors of the namenamespaces that this instance serves, brought up to date by id range.
//!
//! The replica only suggests; rows that are read again by key decide. It holds the vectors of one embedder. Ids are a log, and
//! an embedder's vector of an id does not change, so catching up means reading the ids after the last one seen. A row that
//! was deleted or has expired is found out when it is read again before it is served.
//!
//! - `namespace_index`: one namespace in memory.
//! - `context_index`: the vectors of one of its context keys.
//! - `load`: reading what is new, or a namespace for the first time.

mod context_index;
mod load;
mod namespace_index;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use mneme_guard::NumberFingerprint;
use mneme_model::config::Config;
use mneme_model::context_key::ContextKey;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_search::Basis;
use mneme_store::counter::Counter;
use mneme_store::entry_row::{
    context_key, entry_id, expires_at, namespace, number_fingerprint, query_hash, served_vector,
};
use mneme_store::item::Item;
use mneme_store::table::Table;

pub use context_index::Nearest;
pub use mneme_search::{Candidate, Candidates, similarity};
use namespace_index::NamespaceIndex;

/// What an instance needs beside the replica: its code, its client, and a batch of rows on their way.
const OTHER_BYTES: u64 = 128 << 20;
/// The least that the replica may take, however small the function is.
const MIN_BYTES: u64 = 16 << 20;

/// The namenamespaces of an instance, as of the last id seen.
#[derive(Debug, Default)]
pub struct Replica {
    /// Whose vectors are in here; `None`: nothing was read.
    served: Option<ServedEmbedder>,
    /// Every row with a lower id is in here that belongs to a namespace held, but for those deleted. 0: nothing was read.
    next_id: u64,
    namespaces: HashMap<Namespace, NamespaceIndex>,
    /// Whether a namespace that is not held has no entries.
    has_all: bool,
    /// The basis of the packed segments, by its generation.
    basis: Option<(u64, Arc<Basis>)>,
    /// EventCounts questions, to tell which namespace was used last.
    questions: u64,
    /// The most resident bytes; `None`: no bound.
    budget: Option<usize>,
}

impl Replica {
    /// An empty replica that keeps to the memory of the function that `config` is of.
    pub fn new(config: &Config) -> Self {
        let budget = config.memory_mb.map(|mb| {
            let bytes = (mb << 20).saturating_sub(OTHER_BYTES) / 3 * 2;
            usize::try_from(bytes.max(MIN_BYTES)).unwrap_or(usize::MAX)
        });
        Self { budget, ..Self::default() }
    }

    /// Whether the namespace's entries have been read.
    pub fn holds(&self, namespace: &Namespace) -> bool {
        self.has_all || self.namespaces.contains_key(namespace)
    }

    /// Whether the namespace may have rows, or vectors of the embedder `served`, that the replica has not seen, `counter` being
    /// read after the request came in.
    pub fn is_behind(&self, counter: &Counter, served: &ServedEmbedder, namespace: &Namespace) -> bool {
        self.next_id != counter.next_id || !self.holds(namespace) || self.served.as_ref() != Some(served)
    }

    fn is_of(&self, served: &ServedEmbedder) -> bool {
        self.served.as_ref().is_none_or(|own| own.is_same(served))
    }

    /// Resident bytes, what indexes share left out.
    pub fn bytes(&self) -> usize {
        self.namespaces.values().map(NamespaceIndex::bytes).sum()
    }

    /// Takes in the `served` embedder's vector of every row of `namespace`, and of the other namenamespaces held, that was committed before `counter` was read, and
    /// tells whether one of them may have been replaced meanwhile by a row that was committed after: a new id was gone
    /// already, or the namespace was read for the first time, which is no snapshot.
    ///
    /// Reads: of a namespace that is not held yet, its packed segments and the rows after them, or, where there are none,
    /// the whole table by one strongly consistent scan; then the ids since the last call, by BatchGetItem. Namenamespaces
    /// that were not used for long are dropped when the memory is used up.
    /// Errors: `StoreBackendError`; the replica is then as before, or holds nothing.
    pub async fn catch_up(
        &mut self,
        table: &Table,
        counter: &Counter,
        served: &ServedEmbedder,
        namespace: &Namespace,
    ) -> Result<bool, Error> {
        // The table has been made anew, or another embedder's vectors are asked for.
        if counter.next_id < self.next_id || !self.is_of(served) {
            *self = Self { budget: self.budget, ..Self::default() };
        }
        self.served = Some(served.clone());
        let mut incomplete = false;
        if !self.namespaces.is_empty() || self.has_all {
            incomplete = self.read_on(table, counter.next_id).await?;
        }
        if !self.holds(namespace) {
            self.read_first(table, counter, namespace).await?;
            incomplete = true;
        }
        self.next_id = counter.next_id;
        self.questions += 1;
        let questions = self.questions;
        if let Some(index) = self.namespaces.get_mut(namespace) {
            index.used = questions;
        }
        self.keep_within(namespace);
        Ok(incomplete)
    }

    /// Drops the namenamespaces that were not used for longest, but for `asked`, until the rest keeps to the budget.
    fn keep_within(&mut self, asked: &Namespace) {
        while !self.fits_beside(&HashMap::new()) && drop_least_used(&mut self.namespaces, asked) {
            self.has_all = false;
        }
    }

    /// Whether it keeps to the budget together with `others`.
    fn fits_beside(&self, others: &HashMap<Namespace, NamespaceIndex>) -> bool {
        let others: usize = others.values().map(NamespaceIndex::bytes).sum();
        self.budget.is_none_or(|budget| self.bytes() + others <= budget)
    }

    /// Adds the entry in `item`, or brings its vector and expiry up to date; other items, and those of namenamespaces that are
    /// not held, are passed over.
    pub fn upsert(&mut self, item: &Item) {
        let (Some(id), Some(namespace), Some(hash)) = (entry_id(item), namespace(item), query_hash(item)) else {
            return;
        };
        if !self.holds(&namespace) {
            return;
        }
        let vector = self.served.as_ref().and_then(|served| served_vector(item, served));
        let basis = self.basis.as_ref().map(|(_, basis)| basis);
        let index = self.namespaces.entry(namespace).or_insert_with(|| NamespaceIndex::new(basis.cloned()));
        index.note(id.get(), hash.prefix(), number_fingerprint(item));
        index.upsert(id, context_key(item), vector.as_ref(), expires_at(item));
    }

    /// Forgets the namespace's entry `id`, which was found deleted and, ids never being reused, stays so. `hash`: of its query,
    /// where it is known.
    pub fn forget(&mut self, namespace: &Namespace, id: EntryId, hash: Option<&QueryHash>) {
        if let Some(index) = self.namespaces.get_mut(namespace) {
            index.forget(id, hash);
        }
    }

    /// The entries known for the pair, ascending; one of another query may be among them.
    pub fn by_hash(&self, namespace: &Namespace, hash: &QueryHash) -> Vec<EntryId> {
        self.namespaces.get(namespace).map(|index| index.by_hash(hash)).unwrap_or_default()
    }

    /// The entries of the namespace's context_key whose similarity to `query` may reach `threshold`, highest upper bound first,
    /// ties by lower id: none that does is left out. An expired or deleted one may be among them.
    ///
    /// `query`: unit norm. Of another dimension than the entries': none. Reads: memory only.
    pub fn candidates(
        &mut self,
        namespace: &Namespace,
        context_key: Option<ContextKey>,
        query: &Embedding,
        threshold: f32,
    ) -> Candidates {
        self.namespaces
            .get_mut(namespace)
            .map(|index| index.candidates(context_key, query, threshold))
            .unwrap_or_default()
    }

    /// Whether the entry `id` of the namespace is known to contradict a question of `digest` in a number or an identifier, so that
    /// with the guard on its answer is none for it. Reads: memory only.
    pub fn contradicts(&self, namespace: &Namespace, id: u64, digest: NumberFingerprint) -> bool {
        self.namespaces.get(namespace).is_some_and(|index| index.contradicts(id, digest))
    }

    /// What is known of the entry of the namespace's context_key nearest to `query` that is not known to have expired at `now_secs` and that
    /// `keep` wants. Reads: memory only.
    pub fn nearest(
        &self,
        namespace: &Namespace,
        context_key: Option<ContextKey>,
        query: &Embedding,
        now_secs: i64,
        keep: impl Fn(EntryId) -> bool,
    ) -> Nearest {
        let index = self.namespaces.get(namespace);
        index.map_or(Nearest::Nothing, |index| index.nearest(context_key, query, now_secs, keep))
    }
}

/// Drops the namespace that was not used for longest, the largest of several, but for `asked`. False where there is none.
fn drop_least_used(namespaces: &mut HashMap<Namespace, NamespaceIndex>, asked: &Namespace) -> bool {
    let others = namespaces.iter().filter(|(name, _)| *name != asked);
    let Some(name) = others.min_by_key(|(_, index)| (index.used, Reverse(index.bytes()))).map(|(name, _)| name.clone())
    else {
        return false;
    };
    tracing::info!(namespace = %name, "dropped from memory");
    namespaces.remove(&name);
    true
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;
    use serde_json::Map;

    use mneme_store::entry_row::{entry_to_item, vector_attributes};

    use super::*;
    use mneme_model::embedder::EmbedderGeneration;
    use mneme_model::entry::Entry;
    use mneme_model::row_vectors::RowVectors;

    fn item(id: u64, namespace: &str, vector: &[f32], expires_at: Option<i64>) -> Item {
        let entry = Entry {
            id: EntryId::new(id).unwrap(),
            namespace: Namespace::try_from(namespace.to_owned()).unwrap(),
            query_hash: QueryHash::of(&format!("{id}"), true),
            query: None,
            response: String::new(),
            vectors: RowVectors {
                embedding: Some(Embedding::normalized(vector.to_vec()).unwrap().to_bytes()),
                ..RowVectors::default()
            },
            metadata: Map::new(),
            confidence_score: 1.0,
            created_at: 1000,
            last_accessed_at: 1000,
            expires_at,
            access_count: 0,
            context_key: None,
            signature: None,
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
        }
    }

    fn name(name: &str) -> Namespace {
        Namespace::try_from(name.to_owned()).unwrap()
    }

    /// A replica that holds every namespace, as after a scan of an empty table.
    fn empty() -> Replica {
        Replica { has_all: true, served: Some(served(0)), ..Replica::default() }
    }

    fn ids(replica: &mut Replica, namespace: &str, query: &[f32], threshold: f32) -> Vec<u64> {
        let query = Embedding::normalized(query.to_vec()).unwrap();
        replica.candidates(&name(namespace), None, &query, threshold).map(|candidate| candidate.id).collect()
    }

    #[test]
    fn namenamespaces_are_walls_and_ties_go_to_the_lower_id() {
        let mut replica = empty();
        for (id, namespace) in [(3, "a"), (1, "a"), (2, "b"), (9, "a")] {
            replica.upsert(&item(id, namespace, &[1.0, 0.0], None));
        }
        replica.upsert(&item(4, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&mut replica, "a", &[1.0, 0.1], 0.5), [1, 3, 9]);
        assert_eq!(ids(&mut replica, "b", &[1.0, 0.1], 0.5), [2]);
        replica.forget(&name("a"), EntryId::new(1).unwrap(), None);
        replica.forget(&name("a"), EntryId::new(1).unwrap(), None);
        assert_eq!(ids(&mut replica, "a", &[1.0, 0.1], -1.0), [3, 9, 4]);
        replica.forget(&name("b"), EntryId::new(2).unwrap(), None);
        assert!(ids(&mut replica, "b", &[1.0, 0.1], -1.0).is_empty());
    }

    #[test]
    fn a_vector_written_again_by_another_library_is_taken_over() {
        let mut replica = empty();
        replica.upsert(&item(1, "a", &[1.0, 0.0], None));
        replica.upsert(&item(2, "a", &[1.0, 1.0], None));
        replica.upsert(&item(1, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&mut replica, "a", &[0.0, 1.0], 0.0), [1, 2]);
    }

    #[test]
    fn only_the_vectors_of_the_embedder_served_are_taken_in() {
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
    fn rows_of_one_query_are_all_kept_until_they_are_gone() {
        let mut replica = empty();
        for id in [2, 1, 3] {
            let mut row = item(id, "a", &[1.0, 0.0], None);
            row.insert(mneme_store::attribute::QUERY_HASH.to_owned(), AttributeValue::S("0".repeat(64)));
            replica.upsert(&row);
            replica.upsert(&row);
        }
        let hash = QueryHash::try_from("0".repeat(64)).unwrap();
        for (gone, left) in [(2, vec![1, 3]), (7, vec![1, 3]), (1, vec![3]), (3, vec![])] {
            replica.forget(&name("a"), EntryId::new(gone).unwrap(), Some(&hash));
            let known: Vec<u64> = replica.by_hash(&name("a"), &hash).iter().map(|id| id.get()).collect();
            assert_eq!((&known, ids(&mut replica, "a", &[1.0, 0.0], 0.9)), (&left, left.clone()));
        }
    }

    #[test]
    fn the_nearest_is_one_that_has_not_expired() {
        let mut replica = empty();
        replica.upsert(&item(1, "a", &[1.0, 0.0], Some(2000)));
        replica.upsert(&item(2, "a", &[0.0, 1.0], None));
        let query = Embedding::normalized(vec![1.0, 0.0]).unwrap();
        let nearest = |now, keep: u64| replica.nearest(&name("a"), None, &query, now, |id| id.get() <= keep);
        assert_eq!(nearest(1999, 9), Nearest::Similarity(1.0));
        assert_eq!(nearest(2000, 9), Nearest::Similarity(0.0));
        assert_eq!(nearest(2000, 1), Nearest::Nothing);
        assert_eq!(replica.nearest(&name("b"), None, &query, 0, |_| true), Nearest::Nothing);
    }

    #[tokio::test]
    async fn codes_take_the_place_of_float32_and_give_the_same_candidates() {
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
    fn the_namenamespaces_least_used_go_when_the_memory_is_used_up() {
        let mut replica = Replica { budget: Some(3000), ..empty() };
        for (id, namespace) in [(1, "a"), (2, "b"), (3, "c")] {
            replica.upsert(&item(id, namespace, &[1.0; 400], None));
        }
        replica.namespaces.get_mut(&name("b")).unwrap().used = 1;
        replica.namespaces.get_mut(&name("c")).unwrap().used = 2;
        replica.keep_within(&name("a"));
        assert!(replica.holds(&name("a")) && !replica.holds(&name("b")) && !replica.holds(&name("z")));
        replica.upsert(&item(4, "b", &[1.0; 400], None));
        assert!(!replica.holds(&name("b")), "a namespace that is not held is not begun in its middle");
    }

    proptest! {
        /// Against a plain float64 loop: the same ids wherever similarities are not nearly tied.
        #[test]
        fn nearest_agrees_with_brute_force(
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
                    replica.forget(&name("a"), EntryId::new(id).unwrap(), None);
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

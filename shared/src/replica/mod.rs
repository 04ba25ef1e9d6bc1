//! The replica: what a search needs of the namespaces that this instance serves, brought up to date by id range.
//!
//! It only suggests. It holds the vectors of one embedder. Ids are a log and an embedder's vector of an id does not change, so catching up is reading the ids since the last one
//! seen; that a row was deleted or expired shows when it is re-read before it is served.
//!
//! - `space`: one namespace in memory.
//! - `group`: the vectors of one of its partitions.
//! - `load`: reading what is new, or a namespace for the first time.

mod group;
mod load;
mod space;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use mneme_guard::NumberFingerprint;
use mneme_search::Basis;

use crate::cache::Cache;
use crate::config::Config;
use crate::embedders::Serving;
use crate::embedding::Embedding;
use crate::entry::{Item, exact_digest, expires_at, text};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::question::Partition;
use crate::table::counter::Counter;

pub use group::Nearest;
pub use mneme_search::{Candidate, Candidates, similarity};
use space::Space;

/// What an instance needs beside the replica: its code, its client, and a batch of rows on their way.
const OTHER_BYTES: u64 = 128 << 20;
/// The least that the replica may take, however small the function is.
const LEAST_BYTES: u64 = 16 << 20;

/// The namespaces of an instance, as of the last id seen.
#[derive(Debug, Default)]
pub struct Replica {
    /// Whose vectors are in here; `None`: nothing was read.
    serving: Option<Serving>,
    /// Every row with a lower id is in here that belongs to a namespace held, but for those deleted. 0: nothing was read.
    next_id: u64,
    spaces: HashMap<Namespace, Space>,
    /// Whether a namespace that is not held has no entries.
    has_all: bool,
    /// The basis of the packed segments, by its generation.
    basis: Option<(u64, Arc<Basis>)>,
    /// Counts questions, to tell which namespace was used last.
    questions: u64,
    /// The most resident bytes; `None`: no bound.
    budget: Option<usize>,
}

impl Replica {
    /// An empty replica that keeps to the memory of the function that `config` is of.
    pub fn new(config: &Config) -> Self {
        let budget = config.memory_mb.map(|mb| {
            let bytes = (mb << 20).saturating_sub(OTHER_BYTES) / 3 * 2;
            usize::try_from(bytes.max(LEAST_BYTES)).unwrap_or(usize::MAX)
        });
        Self { budget, ..Self::default() }
    }

    /// Whether the namespace's entries have been read.
    pub fn holds(&self, namespace: &Namespace) -> bool {
        self.has_all || self.spaces.contains_key(namespace)
    }

    /// Whether the namespace may have rows, or vectors of the embedder `serving`, that the replica has not seen, `counter` being
    /// read after the request came in.
    pub fn is_behind(&self, counter: &Counter, serving: &Serving, namespace: &Namespace) -> bool {
        self.next_id != counter.next_id || !self.holds(namespace) || self.serving.as_ref() != Some(serving)
    }

    fn is_of(&self, serving: &Serving) -> bool {
        self.serving.as_ref().is_none_or(|own| own.is_same(serving))
    }

    /// Resident bytes, what indexes share left out.
    pub fn bytes(&self) -> usize {
        self.spaces.values().map(Space::bytes).sum()
    }

    /// Takes in the `serving` embedder's vector of every row of `namespace`, and of the other namespaces held, that was committed before `counter` was read, and
    /// tells whether one of them may have been replaced meanwhile by a row that was committed after: a new id was gone
    /// already, or the namespace was read for the first time, which is no snapshot.
    ///
    /// Reads: of a namespace that is not held yet, its packed segments and the rows after them, or, where there are none,
    /// the whole table by one strongly consistent scan; then the ids since the last call, by BatchGetItem. Namespaces
    /// that were not used for long are dropped when the memory is used up.
    /// Errors: `StoreBackendError`; the replica is then as before, or holds nothing.
    pub async fn catch_up(
        &mut self,
        cache: &Cache,
        counter: &Counter,
        serving: &Serving,
        namespace: &Namespace,
    ) -> Result<bool, Error> {
        // The table has been made anew, or another embedder's vectors are asked for.
        if counter.next_id < self.next_id || !self.is_of(serving) {
            *self = Self { budget: self.budget, ..Self::default() };
        }
        self.serving = Some(serving.clone());
        let mut incomplete = false;
        if !self.spaces.is_empty() || self.has_all {
            incomplete = self.read_on(cache, counter.next_id).await?;
        }
        if !self.holds(namespace) {
            self.read_first(cache, counter, namespace).await?;
            incomplete = true;
        }
        self.next_id = counter.next_id;
        self.questions += 1;
        let questions = self.questions;
        if let Some(space) = self.spaces.get_mut(namespace) {
            space.used = questions;
        }
        self.keep_within(namespace);
        Ok(incomplete)
    }

    /// Drops the namespaces that were not used for longest, but for `asked`, until the rest keeps to the budget.
    fn keep_within(&mut self, asked: &Namespace) {
        while !self.fits_beside(&HashMap::new()) && drop_least_used(&mut self.spaces, asked) {
            self.has_all = false;
        }
    }

    /// Whether it keeps to the budget together with `others`.
    fn fits_beside(&self, others: &HashMap<Namespace, Space>) -> bool {
        let others: usize = others.values().map(Space::bytes).sum();
        self.budget.is_none_or(|budget| self.bytes() + others <= budget)
    }

    /// Adds the entry in `item`, or brings its vector and expiry up to date; other items, and those of namespaces that are
    /// not held, are passed over.
    pub fn take_in(&mut self, item: &Item) {
        let id = item.get("id").and_then(RowKey::from_attribute).and_then(RowKey::entry);
        let namespace = text(item, "namespace").map(Namespace::from_row);
        let hash = text(item, "query_hash").and_then(|hash| QueryHash::try_from(hash).ok());
        let (Some(id), Some(namespace), Some(hash)) = (id, namespace, hash) else { return };
        if !self.holds(&namespace) {
            return;
        }
        let vector = self.serving.as_ref().and_then(|serving| serving.vector(item));
        let basis = self.basis.as_ref().map(|(_, basis)| basis);
        let space = self.spaces.entry(namespace).or_insert_with(|| Space::new(basis.cloned()));
        space.note(id.get(), hash.prefix(), exact_digest(item));
        space.take_in(id, Partition::in_row(item), vector.as_ref(), expires_at(item));
    }

    /// Forgets the namespace's entry `id`, which was found deleted and, ids never being reused, stays so. `hash`: of its query,
    /// where it is known.
    pub fn forget(&mut self, namespace: &Namespace, id: EntryId, hash: Option<&QueryHash>) {
        if let Some(space) = self.spaces.get_mut(namespace) {
            space.forget(id, hash);
        }
    }

    /// The entries known for the pair, ascending; one of another query may be among them.
    pub fn by_hash(&self, namespace: &Namespace, hash: &QueryHash) -> Vec<EntryId> {
        self.spaces.get(namespace).map(|space| space.by_hash(hash)).unwrap_or_default()
    }

    /// The entries of the namespace's partition whose similarity to `query` may reach `threshold`, highest upper bound first,
    /// ties by lower id: none that does is left out. An expired or deleted one may be among them.
    ///
    /// `query`: unit norm. Of another dimension than the entries': none. Reads: memory only.
    pub fn candidates(
        &mut self,
        namespace: &Namespace,
        partition: Option<Partition>,
        query: &Embedding,
        threshold: f32,
    ) -> Candidates {
        self.spaces.get_mut(namespace).map(|space| space.candidates(partition, query, threshold)).unwrap_or_default()
    }

    /// Whether the entry `id` of the namespace is known to contradict a question of `digest` in a number or an identifier, so that
    /// with the guard on its answer is none for it. Reads: memory only.
    pub fn contradicts(&self, namespace: &Namespace, id: u64, digest: NumberFingerprint) -> bool {
        self.spaces.get(namespace).is_some_and(|space| space.contradicts(id, digest))
    }

    /// What is known of the entry of the namespace's partition nearest to `query` that is not known to have expired at `now_secs` and that
    /// `keep` wants. Reads: memory only.
    pub fn nearest(
        &self,
        namespace: &Namespace,
        partition: Option<Partition>,
        query: &Embedding,
        now_secs: i64,
        keep: impl Fn(EntryId) -> bool,
    ) -> Nearest {
        let space = self.spaces.get(namespace);
        space.map_or(Nearest::Nothing, |space| space.nearest(partition, query, now_secs, keep))
    }
}

/// Drops the namespace that was not used for longest, the largest of several, but for `asked`. False where there is none.
fn drop_least_used(spaces: &mut HashMap<Namespace, Space>, asked: &Namespace) -> bool {
    let others = spaces.iter().filter(|(name, _)| *name != asked);
    let Some(name) = others.min_by_key(|(_, space)| (space.used, Reverse(space.bytes()))).map(|(name, _)| name.clone())
    else {
        return false;
    };
    tracing::info!(namespace = %name, "dropped from memory");
    spaces.remove(&name);
    true
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::embedders::{Era, RowVectors};
    use crate::entry::Entry;

    fn item(id: u64, namespace: &str, vector: &[f32], expires_at: Option<i64>) -> Item {
        Entry {
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
            partition: None,
            signature: None,
        }
        .to_item()
        .unwrap()
    }

    fn serving(era: u64) -> Serving {
        Serving { era: Era::new(era), base: Era::new(0), switches: 0, dim: None, fingerprint: None }
    }

    fn name(name: &str) -> Namespace {
        Namespace::try_from(name.to_owned()).unwrap()
    }

    /// A replica that holds every namespace, as after a scan of an empty table.
    fn empty() -> Replica {
        Replica { has_all: true, serving: Some(serving(0)), ..Replica::default() }
    }

    fn ids(replica: &mut Replica, namespace: &str, query: &[f32], threshold: f32) -> Vec<u64> {
        let query = Embedding::normalized(query.to_vec()).unwrap();
        replica.candidates(&name(namespace), None, &query, threshold).map(|candidate| candidate.id).collect()
    }

    #[test]
    fn namespaces_are_walls_and_ties_go_to_the_lower_id() {
        let mut replica = empty();
        for (id, namespace) in [(3, "a"), (1, "a"), (2, "b"), (9, "a")] {
            replica.take_in(&item(id, namespace, &[1.0, 0.0], None));
        }
        replica.take_in(&item(4, "a", &[0.0, 1.0], None));
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
        replica.take_in(&item(1, "a", &[1.0, 0.0], None));
        replica.take_in(&item(2, "a", &[1.0, 1.0], None));
        replica.take_in(&item(1, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&mut replica, "a", &[0.0, 1.0], 0.0), [1, 2]);
    }

    #[test]
    fn only_the_vectors_of_the_embedder_served_are_taken_in() {
        let mut row = item(1, "a", &[1.0, 0.0], None);
        let second = RowVectors {
            next: Some((Era::new(1), Embedding::normalized(vec![0.0, 1.0]).unwrap().to_bytes())),
            ..RowVectors::default()
        };
        second.put_into(&mut row);
        for (era, near, far) in [(0, [1.0, 0.0], [0.0, 1.0]), (1, [0.0, 1.0], [1.0, 0.0])] {
            let mut replica = Replica { serving: Some(serving(era)), ..empty() };
            replica.take_in(&row);
            assert_eq!(ids(&mut replica, "a", &near, 0.9), [1]);
            assert!(ids(&mut replica, "a", &far, 0.9).is_empty());
        }
        let mut replica = Replica { serving: Some(serving(2)), ..empty() };
        replica.take_in(&row);
        assert!(ids(&mut replica, "a", &[1.0, 1.0], -1.0).is_empty());
        assert_eq!(replica.by_hash(&name("a"), &QueryHash::of("1", true)).len(), 1);
    }

    #[test]
    fn rows_of_one_query_are_all_kept_until_they_are_gone() {
        let mut replica = empty();
        for id in [2, 1, 3] {
            let mut row = item(id, "a", &[1.0, 0.0], None);
            row.insert("query_hash".to_owned(), AttributeValue::S("0".repeat(64)));
            replica.take_in(&row);
            replica.take_in(&row);
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
        replica.take_in(&item(1, "a", &[1.0, 0.0], Some(2000)));
        replica.take_in(&item(2, "a", &[0.0, 1.0], None));
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
            replica.take_in(&item(id, "a", &vector(near), Some(5000)));
        }
        let expected = ids(&mut replica, "a", &query, 0.9);
        assert!(expected.len() > 100);
        let bytes = replica.bytes();
        let unit = Embedding::normalized(query.clone()).unwrap();
        while replica.nearest(&name("a"), None, &unit, 0, |_| true) != Nearest::Untold {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            ids(&mut replica, "a", &query, 0.9);
        }
        let found = ids(&mut replica, "a", &query, 0.9);
        assert!(expected.iter().all(|id| found.contains(id)));
        assert!(replica.bytes() < bytes, "{} of {bytes}", replica.bytes());
    }

    #[test]
    fn the_namespaces_least_used_go_when_the_memory_is_used_up() {
        let mut replica = Replica { budget: Some(3000), ..empty() };
        for (id, namespace) in [(1, "a"), (2, "b"), (3, "c")] {
            replica.take_in(&item(id, namespace, &[1.0; 400], None));
        }
        replica.spaces.get_mut(&name("b")).unwrap().used = 1;
        replica.spaces.get_mut(&name("c")).unwrap().used = 2;
        replica.keep_within(&name("a"));
        assert!(replica.holds(&name("a")) && !replica.holds(&name("b")) && !replica.holds(&name("z")));
        replica.take_in(&item(4, "b", &[1.0; 400], None));
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
                    replica.take_in(&item(at as u64 + 1, "a", &floats(vector), None));
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

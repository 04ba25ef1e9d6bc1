//! One namespace's vectors, and the search through them.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::embedding::Embedding;
use crate::key::EntryId;
use crate::normalize::QueryHash;
use crate::similarity::cosine;

/// A suggestion of the replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The entry.
    pub id: EntryId,
    /// Its cosine similarity to the query, larger being closer.
    pub similarity: f32,
}

impl Candidate {
    /// Closest first, ties by lower id.
    fn order(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.id.cmp(&other.id))
    }
}

/// What is known of an entry beside its vector.
#[derive(Debug)]
struct Fact {
    hash: QueryHash,
    /// Where its vector stands, if it has one.
    slot: Option<usize>,
}

/// Vectors in one stretch of memory, in no order; row `i` is `vectors[i * dim..][..dim]`.
#[derive(Debug, Default)]
pub(super) struct NamespaceRows {
    dim: usize,
    vectors: Vec<f32>,
    ids: Vec<EntryId>,
    expiries: Vec<i64>,
    facts: HashMap<EntryId, Fact>,
    /// Ascending; more than one where a replaced row's absence, or a duplicate's presence, is not known yet.
    by_hash: HashMap<QueryHash, Vec<EntryId>>,
}

impl NamespaceRows {
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    pub(super) fn by_hash(&self, hash: &QueryHash) -> &[EntryId] {
        self.by_hash.get(hash).map_or(&[], Vec::as_slice)
    }

    pub(super) fn take_in(&mut self, id: EntryId, hash: QueryHash, vector: Option<Embedding>, expires_at: Option<i64>) {
        self.forget(id);
        let ids = self.by_hash.entry(hash.clone()).or_default();
        ids.push(id);
        ids.sort_unstable();
        let slot = vector.and_then(|vector| {
            if self.ids.is_empty() {
                self.dim = vector.dim();
            }
            // A row of another dimension is nobody's neighbour; the exact layer still finds it.
            (vector.dim() == self.dim).then(|| {
                self.vectors.extend_from_slice(vector.as_slice());
                self.ids.push(id);
                self.expiries.push(expires_at.unwrap_or(i64::MAX));
                self.ids.len() - 1
            })
        });
        self.facts.insert(id, Fact { hash, slot });
    }

    pub(super) fn forget(&mut self, id: EntryId) {
        let Some(Fact { hash, slot }) = self.facts.remove(&id) else { return };
        if let Entry::Occupied(mut ids) = self.by_hash.entry(hash) {
            ids.get_mut().retain(|other| *other != id);
            if ids.get().is_empty() {
                ids.remove();
            }
        }
        if let Some(slot) = slot {
            let last = self.ids.len() - 1;
            self.vectors.copy_within(last * self.dim.., slot * self.dim);
            self.vectors.truncate(last * self.dim);
            self.ids.swap_remove(slot);
            self.expiries.swap_remove(slot);
            if let Some(fact) = self.ids.get(slot).and_then(|moved| self.facts.get_mut(moved)) {
                fact.slot = Some(slot);
            }
        }
    }

    /// See [`super::Replica::nearest`].
    pub(super) fn nearest(
        &self,
        query: &Embedding,
        k: usize,
        judged: &HashSet<EntryId>,
        threshold: f32,
        now_secs: i64,
    ) -> Vec<Candidate> {
        if query.dim() != self.dim || k == 0 {
            return Vec::new();
        }
        let mut best: Vec<Candidate> = Vec::with_capacity(k + 1);
        for ((vector, id), expires_at) in self.vectors.chunks_exact(self.dim).zip(&self.ids).zip(&self.expiries) {
            let similarity = cosine(query.as_slice(), vector);
            let candidate = Candidate { id: *id, similarity };
            if best.len() == k && best[k - 1].order(&candidate).is_le() {
                continue;
            }
            if judged.contains(id) || (*expires_at <= now_secs && similarity < threshold) {
                continue;
            }
            let at = best.partition_point(|other| other.order(&candidate).is_lt());
            best.insert(at, candidate);
            best.truncate(k);
        }
        best
    }
}

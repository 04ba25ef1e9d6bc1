//! One namespace of the replica: its vectors, and which entries its queries have.

use mneme_guard::NumberFingerprint;
use mneme_model::context_key::ContextKey;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::normalize::QueryHash;
use mneme_search::segment::CodeSegment;
use mneme_search::{Basis, Candidates};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::context_index::{ContextIndex, Nearest};

/// A namespace's entries, as far as a search needs them.
#[derive(Debug, Default)]
pub(super) struct NamespaceIndex {
    /// The vectors of each context_key that has some.
    contexts: HashMap<Option<ContextKey>, ContextIndex>,
    /// By which vectors are held as codes from the first on.
    basis: Option<Arc<Basis>>,
    /// Ids below 2^32 by [`QueryHash::prefix`]; the rows tell whether they are meant.
    by_hash: HashMap<u32, u32>,
    /// Further ids of a prefix: replaced rows whose absence is not known yet, duplicates of the Python library's, those that
    /// share 32 bits by chance, and those from 2^32 on.
    others: BTreeMap<u32, Vec<u64>>,
    /// What numbers the entries' questions have, of ids below 2^32 and where there are some.
    fingerprints: HashMap<u32, NumberFingerprint>,
    /// When it was last asked for, by the replica's count.
    pub(super) used: u64,
}

impl NamespaceIndex {
    /// An empty namespace whose vectors are held as codes where there is a `basis`.
    pub(super) fn new(basis: Option<Arc<Basis>>) -> Self {
        Self { basis, ..Self::default() }
    }

    /// Resident bytes.
    pub(super) fn bytes(&self) -> usize {
        // A hash table's slot is the pair and a byte, and at most 7 of 8 slots are taken.
        let by_hash = self.by_hash.capacity() * 8 / 7 * (2 * size_of::<u32>() + 1);
        let keys = self.contexts.capacity() * 8 / 7 * (size_of::<Option<ContextKey>>() + 1);
        let fingerprints =
            self.fingerprints.capacity() * 8 / 7 * (size_of::<u32>() + size_of::<NumberFingerprint>() + 1);
        size_of::<Self>()
            + fingerprints
            + self.contexts.values().map(ContextIndex::bytes).sum::<usize>()
            + keys
            + by_hash
    }

    /// The entries known for `hash`, ascending.
    pub(super) fn by_hash(&self, hash: &QueryHash) -> Vec<EntryId> {
        let prefix = hash.prefix();
        let others = self.others.get(&prefix).into_iter().flatten();
        let first = self.by_hash.get(&prefix).map(|id| u64::from(*id));
        let mut ids: Vec<u64> = first.into_iter().chain(others.copied()).collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(EntryId::new).collect()
    }

    /// Notes that the entry `id` has the query of `prefix`, and the numbers of `fingerprint`.
    pub(super) fn note(&mut self, id: u64, prefix: u32, fingerprint: Option<NumberFingerprint>) {
        if let (Ok(small), Some(fingerprint)) = (u32::try_from(id), fingerprint) {
            self.fingerprints.insert(small, fingerprint);
        }
        if let Ok(small) = u32::try_from(id)
            && *self.by_hash.entry(prefix).or_insert(small) == small
        {
            return;
        }
        let others = self.others.entry(prefix).or_default();
        if !others.contains(&id) {
            others.push(id);
        }
    }

    /// Takes in an entry's vector and expiry, or brings them up to date. An entry's context_key never changes: its query's hash
    /// depends on it.
    pub(super) fn upsert(
        &mut self,
        id: EntryId,
        context_key: Option<ContextKey>,
        vector: Option<&Embedding>,
        expires_at: Option<i64>,
    ) {
        match (vector, self.contexts.get_mut(&context_key)) {
            (Some(vector), Some(context)) => context.upsert(id.get(), vector, expires_at),
            (Some(vector), None) => {
                let context = ContextIndex::new(vector.dim(), self.basis.as_ref());
                self.contexts.entry(context_key).or_insert(context).upsert(id.get(), vector, expires_at);
            }
            (None, Some(context)) => context.remove(id.get()),
            (None, None) => {}
        }
    }

    /// Appends the rows `ids` of a packed segment to the vectors of `context_key`. Errors: as [`mneme_search::Index::load_some`].
    pub(super) fn load(
        &mut self,
        context_key: Option<ContextKey>,
        codes: &CodeSegment<'_>,
        ids: &[u64],
    ) -> Result<usize, mneme_search::Error> {
        let Some(basis) = &self.basis else { return Err(mneme_search::Error::BasisMismatch) };
        let context = self.contexts.entry(context_key).or_insert_with(|| ContextIndex::new(basis.dim(), Some(basis)));
        context.load(codes, ids)
    }

    /// Forgets the entry `id`, which is gone for good; `hash`: of its query, where it is known.
    pub(super) fn forget(&mut self, id: EntryId, hash: Option<&QueryHash>) {
        let id = id.get();
        self.contexts.retain(|_, context| {
            context.remove(id);
            !context.is_empty()
        });
        if let Ok(small) = u32::try_from(id) {
            self.fingerprints.remove(&small);
        }
        let Some(prefix) = hash.map(QueryHash::prefix) else { return };
        if self.by_hash.get(&prefix).is_some_and(|first| u64::from(*first) == id) {
            self.by_hash.remove(&prefix);
        }
        if let Some(others) = self.others.get_mut(&prefix) {
            others.retain(|other| *other != id);
            if others.is_empty() {
                self.others.remove(&prefix);
            }
        }
    }

    /// Whether the entry `id` is known to contradict a question of `fingerprint`.
    pub(super) fn contradicts(&self, id: u64, fingerprint: NumberFingerprint) -> bool {
        let own = u32::try_from(id).ok().and_then(|small| self.fingerprints.get(&small));
        own.is_some_and(|own| own.contradicts(fingerprint))
    }

    /// As [`ContextIndex::candidates`], of one context_key.
    pub(super) fn candidates(
        &mut self,
        context_key: Option<ContextKey>,
        query: &Embedding,
        threshold: f32,
    ) -> Candidates {
        let Some(context) = self.contexts.get_mut(&context_key) else { return Candidates::default() };
        context.poll_learning();
        context.candidates(query, threshold)
    }

    /// As [`ContextIndex::nearest`], of one context_key.
    pub(super) fn nearest(
        &self,
        context_key: Option<ContextKey>,
        query: &Embedding,
        now_secs: i64,
        keep: impl Fn(EntryId) -> bool,
    ) -> Nearest {
        self.contexts.get(&context_key).map_or(Nearest::Nothing, |context| context.nearest(query, now_secs, keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_768_dimensions_takes_200_bytes_at_most() {
        const ROWS: u64 = 20_000;
        let mut rng = fastrand::Rng::with_seed(5);
        // Most of the energy in few directions, as embeddings have it.
        let mut vector = || {
            let values = (0..768).map(|at| (rng.f32() - 0.5) / (1.0 + at as f32 / 20.0)).collect();
            Embedding::normalized(values).unwrap()
        };
        let sample: Vec<Embedding> = (0..2048).map(|_| vector()).collect();
        let basis = Basis::train(768, sample.iter().map(Embedding::as_slice)).unwrap();
        let mut index = NamespaceIndex::new(Some(Arc::new(basis)));
        for id in 1..=ROWS {
            index.upsert(EntryId::new(id).unwrap(), None, Some(&vector()), Some(5000));
            index.note(id, fastrand::u32(..), NumberFingerprint::from_bits(fastrand::u32(..)));
        }
        let bytes = index.bytes() as f64 / ROWS as f64;
        assert!((100.0..200.0).contains(&bytes), "{bytes} bytes a row");
    }

    #[test]
    fn large_ids_and_equal_prefixes_are_kept_apart() {
        let mut index = NamespaceIndex::default();
        let hash = QueryHash::of("q", true);
        let ids = [3, 1 << 40, 9, 1 << 41];
        for id in ids.into_iter().chain(ids) {
            index.note(id, hash.prefix(), None);
        }
        let known = |index: &NamespaceIndex| index.by_hash(&hash).iter().map(|id| id.get()).collect::<Vec<_>>();
        assert_eq!(known(&index), [3, 9, 1 << 40, 1 << 41]);
        for id in [3, 1 << 40] {
            index.forget(EntryId::new(id).unwrap(), Some(&hash));
        }
        assert_eq!(known(&index), [9, 1 << 41]);
    }
}

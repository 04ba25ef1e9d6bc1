//! One namespace in memory: its vectors, and the ids of its entries by query hash.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mneme_guard::NumberFingerprint;
use mneme_model::context_key::ContextKey;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::normalize::QueryHash;
use mneme_search::segment::CodeSegment;
use mneme_search::{Basis, Candidates};

use super::context_index::{ContextIndex, Nearest};

/// What a search needs of a namespace's entries.
#[derive(Debug, Default)]
pub(super) struct NamespaceIndex {
    /// The vectors by context key.
    contexts: HashMap<Option<ContextKey>, ContextIndex>,
    /// The basis for holding vectors as codes from the first one on.
    basis: Option<Arc<Basis>>,
    /// One id below 2^32 for each [`QueryHash::prefix`]. The rows decide whether the whole hash is equal.
    by_hash: HashMap<u32, u32>,
    /// Further ids of a prefix: rows that were replaced unnoticed, duplicates of the Python library, hashes that share
    /// 32 bits by chance, and ids from 2^32 on.
    others: BTreeMap<u32, Vec<u64>>,
    /// The number fingerprints of the entries with ids below 2^32 whose questions have numbers or identifiers.
    fingerprints: HashMap<u32, NumberFingerprint>,
    /// Whether all entries were read.
    pub(super) is_complete: bool,
    /// The replica's count of uses at the last use of this namespace.
    pub(super) last_used: u64,
}

impl NamespaceIndex {
    /// An empty namespace. With a `basis`, its vectors are held as codes.
    pub(super) fn new(basis: Option<Arc<Basis>>, is_complete: bool) -> Self {
        Self { basis, is_complete, ..Self::default() }
    }

    /// Resident bytes.
    pub(super) fn bytes(&self) -> usize {
        // A slot of a hash table takes the key, the value and a byte, and at most 7 of 8 slots are in use.
        let by_hash = self.by_hash.capacity() * 8 / 7 * (2 * size_of::<u32>() + 1);
        let keys = self.contexts.capacity() * 8 / 7 * (size_of::<Option<ContextKey>>() + 1);
        let fingerprints =
            self.fingerprints.capacity() * 8 / 7 * (size_of::<u32>() + size_of::<NumberFingerprint>() + 1);
        size_of::<Self>()
            + fingerprints
            + self.contexts.values().map(ContextIndex::bytes).sum::<usize>()
            + keys
            + by_hash
            + self.others.values().map(|ids| 3 * size_of::<u64>() + 8 * ids.capacity()).sum::<usize>()
    }

    /// The entries whose query hash has the same prefix as `hash`, in ascending order.
    pub(super) fn by_hash(&self, hash: &QueryHash) -> Vec<EntryId> {
        let prefix = hash.prefix();
        let others = self.others.get(&prefix).into_iter().flatten();
        let first = self.by_hash.get(&prefix).map(|id| u64::from(*id));
        let mut ids: Vec<u64> = first.into_iter().chain(others.copied()).collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(EntryId::new).collect()
    }

    /// Records the prefix of the entry's query hash, and its number fingerprint.
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

    /// Adds an entry's vector and expiry, or updates them. `None` as `vector` removes the vector. The context key of an
    /// entry never changes, because its query hash depends on it.
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

    /// Adds the codes of the entries `ids` in a segment to the vectors of `context_key`, and returns how many were new.
    /// Errors: `BasisMismatch` if the namespace has no basis; as [`mneme_search::Index::load_some`].
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

    /// Forgets the entry `id`, which is deleted, as a candidate for questions of `context_key`. `hash`: the query hash
    /// that it is forgotten for, too.
    pub(super) fn forget(&mut self, context_key: Option<ContextKey>, id: EntryId, hash: Option<&QueryHash>) {
        let id = id.get();
        if let Entry::Occupied(mut context) = self.contexts.entry(context_key) {
            context.get_mut().remove(id);
            if context.get().is_empty() {
                context.remove();
            }
        }
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

    /// The context keys of the entries that have a vector.
    pub(super) fn context_keys(&self) -> impl Iterator<Item = Option<ContextKey>> {
        self.contexts.keys().copied()
    }

    /// Whether the entry `id` is known to contradict a question of `fingerprint`.
    pub(super) fn contradicts(&self, id: u64, fingerprint: NumberFingerprint) -> bool {
        let own = u32::try_from(id).ok().and_then(|small| self.fingerprints.get(&small));
        own.is_some_and(|own| own.contradicts(fingerprint))
    }

    /// The candidates among the entries of `context_key`; see [`ContextIndex::candidates`].
    pub(super) fn candidates(
        &mut self,
        context_key: Option<ContextKey>,
        query: &Embedding,
        threshold: f32,
    ) -> Candidates {
        let Some(context) = self.contexts.get_mut(&context_key) else { return Candidates::default() };
        context.poll_training();
        context.candidates(query, threshold)
    }

    /// The nearest entry of `context_key`; see [`ContextIndex::nearest`].
    pub(super) fn nearest(
        &self,
        context_key: Option<ContextKey>,
        query: &Embedding,
        now_secs: i64,
        filter: impl Fn(EntryId) -> bool,
    ) -> Nearest {
        self.contexts.get(&context_key).map_or(Nearest::Nothing, |context| context.nearest(query, now_secs, filter))
    }
}

#[cfg(test)]
mod tests {
    use mneme_model::config::Config;
    use sha2::Digest as _;

    use super::super::memory::MemoryBudget;
    use super::*;

    #[test]
    fn entry_with_768_dimensions_takes_at_most_200_bytes() {
        const ROWS: u64 = 20_000;
        let mut rng = fastrand::Rng::with_seed(5);
        // Like those of embeddings, these vectors have most of their energy in few directions.
        let mut vector = || {
            let values = (0..768).map(|at| (rng.f32() - 0.5) / (1.0 + at as f32 / 20.0)).collect();
            Embedding::normalized(values).unwrap()
        };
        let sample: Vec<Embedding> = (0..2048).map(|_| vector()).collect();
        let basis = Basis::train(768, sample.iter().map(Embedding::as_slice)).unwrap();
        let mut index = NamespaceIndex::new(Some(Arc::new(basis)), true);
        for id in 1..=ROWS {
            index.upsert(EntryId::new(id).unwrap(), None, Some(&vector()), Some(5000));
            index.note(id, fastrand::u32(..), NumberFingerprint::from_bits(fastrand::u32(..)));
        }
        let bytes = index.bytes() as f64 / ROWS as f64;
        assert!((100.0..200.0).contains(&bytes), "{bytes} bytes for each entry");
    }

    #[test]
    fn two_hundred_thousand_entries_with_a_context_each_fit_a_function_of_1024_mb() {
        const ROWS: u64 = 2000;
        let mut rng = fastrand::Rng::with_seed(5);
        let mut vector = || Embedding::normalized((0..768).map(|_| rng.f32() - 0.5).collect()).unwrap();
        let sample: Vec<Embedding> = (0..1024).map(|_| vector()).collect();
        let basis = Basis::train(768, sample.iter().map(Embedding::as_slice)).unwrap();
        let mut index = NamespaceIndex::new(Some(Arc::new(basis)), true);
        for id in 1..=ROWS {
            let key = ContextKey::from_bytes(&sha2::Sha256::digest(id.to_le_bytes()));
            index.upsert(EntryId::new(id).unwrap(), key, Some(&vector()), None);
            index.note(id, fastrand::u32(..), None);
        }
        let bytes = index.bytes() as u64 / ROWS;
        let budget = MemoryBudget::new(&Config::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")])).0.unwrap();
        assert!(200_000 * bytes <= budget as u64, "{bytes} bytes for each entry");
    }

    #[test]
    fn forgetting_an_entry_visits_no_other_context_than_its_own() {
        let mut index = NamespaceIndex::default();
        let [own, other] = [1u8, 2].map(|byte| ContextKey::from_bytes(&[byte; 32]));
        let vector = Embedding::normalized(vec![1.0, 0.0]).unwrap();
        let id = EntryId::new(7).unwrap();
        // No entry is in two contexts. Here it shows which contexts are visited.
        for key in [own, other] {
            index.upsert(id, key, Some(&vector), None);
        }
        index.forget(own, id, None);
        assert_eq!(index.context_keys().collect::<Vec<_>>(), [other]);
    }

    #[test]
    fn entries_with_equal_prefix_or_large_id_are_all_known() {
        let mut index = NamespaceIndex::default();
        let hash = QueryHash::of("q", true);
        let ids = [3, 1 << 40, 9, 1 << 41];
        for id in ids.into_iter().chain(ids) {
            index.note(id, hash.prefix(), None);
        }
        let known = |index: &NamespaceIndex| index.by_hash(&hash).iter().map(|id| id.get()).collect::<Vec<_>>();
        assert_eq!(known(&index), [3, 9, 1 << 40, 1 << 41]);
        for id in [3, 1 << 40] {
            index.forget(None, EntryId::new(id).unwrap(), Some(&hash));
        }
        assert_eq!(known(&index), [9, 1 << 41]);
    }
}

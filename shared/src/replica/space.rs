//! One namespace of the replica: its vectors, and which entries its queries have.

use std::collections::{BTreeMap, HashMap};

use futures::FutureExt as _;
use mneme_search::{Basis, Candidates, Index, Learned};
use std::sync::Arc;
use tokio::task::JoinHandle;

use crate::embedding::Embedding;
use crate::key::EntryId;
use crate::normalize::QueryHash;

/// What is known of the entry nearest to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nearest {
    /// There is no entry with a vector.
    Nothing,
    /// There are some, and how similar the nearest is would have to be read from the table: only codes are resident.
    Untold,
    /// Its similarity.
    Similarity(f32),
}

/// The learning of codes on another thread.
type Job = JoinHandle<Result<Learned, mneme_search::Error>>;

/// A namespace's entries, as far as a search needs them.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// `None` until the first vector.
    index: Option<Index>,
    /// Ids below 2^32 by [`QueryHash::prefix`]; the rows tell whether they are meant.
    by_hash: HashMap<u32, u32>,
    /// Further ids of a prefix: replaced rows whose absence is not known yet, duplicates of the Python library's, those that
    /// share 32 bits by chance, and those from 2^32 on.
    others: BTreeMap<u32, Vec<u64>>,
    /// When entries expire, as long as their float32 is resident.
    expiries: HashMap<u64, i64>,
    learning: Option<Job>,
    /// When it was last asked for, by the replica's count.
    pub(super) used: u64,
}

impl Space {
    /// An empty namespace whose vectors are held as codes from the first on.
    pub(super) fn with_basis(basis: Arc<Basis>) -> Self {
        Self { index: Some(Index::with_basis(basis)), ..Self::default() }
    }

    /// Resident bytes.
    pub(super) fn bytes(&self) -> usize {
        // A hash table's slot is the pair and a byte, and at most 7 of 8 slots are taken.
        let by_hash = self.by_hash.capacity() * 8 / 7 * (2 * size_of::<u32>() + 1);
        let expiries = self.expiries.capacity() * 8 / 7 * (2 * size_of::<u64>() + 1);
        size_of::<Self>() + self.index.as_ref().map_or(0, Index::bytes) + by_hash + expiries
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

    /// Notes that the entry `id` has the query of `prefix`.
    pub(super) fn note(&mut self, id: u64, prefix: u32) {
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

    /// Takes in an entry's vector and expiry, or brings them up to date.
    pub(super) fn take_in(&mut self, id: EntryId, vector: Option<&Embedding>, expires_at: Option<i64>) {
        let id = id.get();
        if let Some(index) = &mut self.index {
            index.remove(id);
        }
        self.expiries.remove(&id);
        let Some(vector) = vector else { return };
        let index = self.index.get_or_insert_with(|| Index::new(vector.dim()));
        // A vector of another dimension is nobody's neighbour; the exact layer still finds its entry.
        if index.insert(id, vector.as_slice()).is_ok() && index.basis().is_none() {
            self.expiries.extend(expires_at.map(|at| (id, at)));
        }
    }

    /// Appends the rows of a packed segment that `keep` wants. Errors: as [`Index::load_some`].
    pub(super) fn load(&mut self, segment: &[u8], keep: impl Fn(u64) -> bool) -> Result<usize, mneme_search::Error> {
        match &mut self.index {
            Some(index) => index.load_some(segment, keep),
            None => Err(mneme_search::Error::ForeignBasis),
        }
    }

    /// Forgets the entry `id`, which is gone for good; `hash`: of its query, where it is known.
    pub(super) fn forget(&mut self, id: EntryId, hash: Option<&QueryHash>) {
        let id = id.get();
        if let Some(index) = &mut self.index {
            index.remove(id);
        }
        self.expiries.remove(&id);
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

    /// Every entry whose similarity to `query` may reach `threshold`, highest bound first. None for a query of another
    /// dimension.
    pub(super) fn candidates(&self, query: &Embedding, threshold: f32) -> Candidates {
        self.index.as_ref().and_then(|index| index.candidates(query.as_slice(), threshold).ok()).unwrap_or_default()
    }

    /// The nearest entry that is not known to have expired and that `keep` wants.
    pub(super) fn nearest(&self, query: &Embedding, now_secs: i64, keep: impl Fn(EntryId) -> bool) -> Nearest {
        let Some(index) = &self.index else { return Nearest::Nothing };
        let wanted =
            |id: u64| self.expiries.get(&id).is_none_or(|at| *at > now_secs) && EntryId::new(id).is_some_and(&keep);
        if index.basis().is_some() {
            return if index.ids().any(wanted) { Nearest::Untold } else { Nearest::Nothing };
        }
        match index.nearest(query.as_slice(), wanted) {
            Ok(Some(nearest)) => Nearest::Similarity(nearest.similarity),
            Ok(None) | Err(_) => Nearest::Nothing,
        }
    }

    /// Takes over codes that were learned meanwhile, and begins to learn them where enough float32 is held.
    pub(super) fn tend(&mut self) {
        let Some(index) = &mut self.index else { return };
        if let Some(job) = &mut self.learning
            && let Some(learned) = job.now_or_never()
        {
            self.learning = None;
            match learned.map(|learned| learned.and_then(|learned| index.adopt(learned, |_| None::<&[f32]>))) {
                Ok(Ok(())) => self.expiries = HashMap::new(),
                Ok(Err(error)) => tracing::warn!(%error, "float32 stays resident"),
                Err(error) => {
                    index.abandon_learning();
                    tracing::error!(%error, "learning codes panicked");
                }
            }
        }
        if self.learning.is_none()
            && index.is_ripe()
            && let Some(learning) = index.begin_learning()
        {
            self.learning = Some(tokio::task::spawn_blocking(|| learning.run()));
        }
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
        let basis = Basis::learn(768, sample.iter().map(Embedding::as_slice)).unwrap();
        let mut space = Space::with_basis(Arc::new(basis));
        for id in 1..=ROWS {
            space.take_in(EntryId::new(id).unwrap(), Some(&vector()), Some(5000));
            space.note(id, fastrand::u32(..));
        }
        let bytes = space.bytes() as f64 / ROWS as f64;
        assert!((100.0..200.0).contains(&bytes), "{bytes} bytes a row");
    }

    #[test]
    fn large_ids_and_equal_prefixes_are_kept_apart() {
        let mut space = Space::default();
        let hash = QueryHash::of("q", true);
        let ids = [3, 1 << 40, 9, 1 << 41];
        for id in ids.into_iter().chain(ids) {
            space.note(id, hash.prefix());
        }
        let known = |space: &Space| space.by_hash(&hash).iter().map(|id| id.get()).collect::<Vec<_>>();
        assert_eq!(known(&space), [3, 9, 1 << 40, 1 << 41]);
        for id in [3, 1 << 40] {
            space.forget(EntryId::new(id).unwrap(), Some(&hash));
        }
        assert_eq!(known(&space), [9, 1 << 41]);
    }
}

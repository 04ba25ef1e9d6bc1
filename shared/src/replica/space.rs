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
    /// Ids by [`QueryHash::prefix`]; the rows tell whether they are meant.
    by_hash: HashMap<u64, u64>,
    /// Further ids of a prefix: replaced rows whose absence is not known yet, duplicates of the Python library's, and those
    /// that share 64 bits by chance.
    others: BTreeMap<u64, Vec<u64>>,
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
        let by_hash = self.by_hash.capacity() * 8 / 7 * (2 * size_of::<u64>() + 1);
        let expiries = self.expiries.capacity() * 8 / 7 * (2 * size_of::<u64>() + 1);
        size_of::<Self>() + self.index.as_ref().map_or(0, Index::bytes) + by_hash + expiries
    }

    /// The entries known for `hash`, ascending.
    pub(super) fn by_hash(&self, hash: &QueryHash) -> Vec<EntryId> {
        let prefix = hash.prefix();
        let others = self.others.get(&prefix).into_iter().flatten();
        let mut ids: Vec<u64> = self.by_hash.get(&prefix).into_iter().chain(others).copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(EntryId::new).collect()
    }

    /// Notes that the entry `id` has the query of `prefix`.
    pub(super) fn note(&mut self, id: u64, prefix: u64) {
        let first = *self.by_hash.entry(prefix).or_insert(id);
        let others = self.others.get(&prefix);
        if first != id && others.is_none_or(|others| !others.contains(&id)) {
            self.others.entry(prefix).or_default().push(id);
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
        let mut others = self.others.remove(&prefix).unwrap_or_default();
        others.retain(|other| *other != id);
        if self.by_hash.get(&prefix) == Some(&id) {
            match others.pop() {
                Some(other) => self.by_hash.insert(prefix, other),
                None => self.by_hash.remove(&prefix),
            };
        }
        if !others.is_empty() {
            self.others.insert(prefix, others);
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

//! The vectors of one context_key of a namespace: those that a question is compared with.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt as _;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_search::segment::CodeSegment;
use mneme_search::{Basis, Candidates, Index, TrainedCodes};
use tokio::task::JoinHandle;

/// What is known of the entry nearest to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nearest {
    /// There is no entry with a vector.
    Nothing,
    /// There are some, and how similar the nearest is would have to be read from the table: only codes are resident.
    Unknown,
    /// Its similarity.
    Similarity(f32),
}

/// The learning of codes on another thread.
type Job = JoinHandle<Result<TrainedCodes, mneme_search::Error>>;

/// Vectors that are searched together.
#[derive(Debug)]
pub(super) struct ContextIndex {
    index: Index,
    /// When entries expire, as long as their float32 is resident.
    expiries: HashMap<u64, i64>,
    learning: Option<Job>,
}

impl ContextIndex {
    /// No vectors yet, of `dim` components; held as codes from the first on where `basis` is for such.
    pub(super) fn new(dim: usize, basis: Option<&Arc<Basis>>) -> Self {
        let index = match basis {
            Some(basis) if basis.dim() == dim => Index::with_basis(basis.clone()),
            _ => Index::new(dim),
        };
        Self { index, expiries: HashMap::new(), learning: None }
    }

    /// Resident bytes.
    pub(super) fn bytes(&self) -> usize {
        // A hash table's slot is the pair and a byte, and at most 7 of 8 slots are taken.
        let expiries = self.expiries.capacity() * 8 / 7 * (2 * size_of::<u64>() + 1);
        size_of::<Self>() + self.index.bytes() + expiries
    }

    /// Takes in an entry's vector and expiry, or brings them up to date.
    pub(super) fn upsert(&mut self, id: u64, vector: &Embedding, expires_at: Option<i64>) {
        self.remove(id);
        // A vector of another dimension is nobody's neighbour; the exact layer still finds its entry.
        if self.index.insert(id, vector.as_slice()).is_ok() && self.index.basis().is_none() {
            self.expiries.extend(expires_at.map(|at| (id, at)));
        }
    }

    /// Appends the rows `ids` of a packed segment. Errors: as [`Index::load_some`].
    pub(super) fn load(&mut self, codes: &CodeSegment<'_>, ids: &[u64]) -> Result<usize, mneme_search::Error> {
        self.index.load_some(codes, ids)
    }

    /// Whether there is no vector.
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.index.remove(id);
        self.expiries.remove(&id);
    }

    /// Every entry whose similarity to `query` may reach `threshold`, highest bound first. None for a query of another
    /// dimension.
    pub(super) fn candidates(&self, query: &Embedding, threshold: f32) -> Candidates {
        self.index.candidates(query.as_slice(), threshold).unwrap_or_default()
    }

    /// The nearest entry that is not known to have expired and that `keep` wants.
    pub(super) fn nearest(&self, query: &Embedding, now_secs: i64, keep: impl Fn(EntryId) -> bool) -> Nearest {
        let wanted =
            |id: u64| self.expiries.get(&id).is_none_or(|at| *at > now_secs) && EntryId::new(id).is_some_and(&keep);
        if self.index.basis().is_some() {
            return if self.index.ids().any(wanted) { Nearest::Unknown } else { Nearest::Nothing };
        }
        match self.index.nearest(query.as_slice(), wanted) {
            Ok(Some(nearest)) => Nearest::Similarity(nearest.similarity),
            Ok(None) | Err(_) => Nearest::Nothing,
        }
    }

    /// Takes over codes that were learned meanwhile, and begins to learn them where enough float32 is held.
    pub(super) fn poll_learning(&mut self) {
        if let Some(job) = &mut self.learning
            && let Some(learned) = job.now_or_never()
        {
            self.learning = None;
            match learned.map(|learned| learned.and_then(|learned| self.index.adopt(learned, |_| None::<&[f32]>))) {
                Ok(Ok(())) => self.expiries = HashMap::new(),
                Ok(Err(error)) => tracing::warn!(%error, "float32 stays resident"),
                Err(error) => {
                    self.index.abandon_training();
                    tracing::error!(%error, "learning codes panicked");
                }
            }
        }
        if self.learning.is_none()
            && self.index.should_train()
            && let Some(learning) = self.index.begin_training()
        {
            self.learning = Some(tokio::task::spawn_blocking(|| learning.run()));
        }
    }
}

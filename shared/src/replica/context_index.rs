//! The vectors of one context key of a namespace. A question is compared with these.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt as _;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_search::segment::CodeSegment;
use mneme_search::{Basis, Candidates, Index, TrainedCodes};
use tokio::task::JoinHandle;

/// What is known of the nearest entry to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nearest {
    /// There is no entry with a vector.
    Nothing,
    /// There is an entry. Its similarity is not known, because only codes are in memory.
    Unknown,
    /// The nearest entry.
    Entry {
        /// Its id.
        id: EntryId,
        /// Its similarity.
        similarity: f32,
    },
}

/// A training on another thread.
type Training = JoinHandle<Result<TrainedCodes, mneme_search::Error>>;

/// Vectors that are searched together.
#[derive(Debug)]
pub(super) struct ContextIndex {
    index: Index,
    /// The expiry of entries, in epoch seconds. It is kept only while the index holds float32.
    expiries: HashMap<u64, i64>,
    training: Option<Training>,
}

impl ContextIndex {
    /// An empty index for vectors of `dim` components. It holds codes from the first vector on if `basis` has this
    /// dimension.
    pub(super) fn new(dim: usize, basis: Option<&Arc<Basis>>) -> Self {
        let index = match basis {
            Some(basis) if basis.dim() == dim => Index::with_basis(basis.clone()),
            _ => Index::new(dim),
        };
        Self { index, expiries: HashMap::new(), training: None }
    }

    /// Resident bytes.
    pub(super) fn bytes(&self) -> usize {
        // A slot of a hash table takes the key, the value and a byte, and at most 7 of 8 slots are in use.
        let expiries = self.expiries.capacity() * 8 / 7 * (2 * size_of::<u64>() + 1);
        size_of::<Self>() + self.index.bytes() + expiries
    }

    /// Adds an entry's vector and expiry, or updates them.
    pub(super) fn upsert(&mut self, id: u64, vector: &Embedding, expires_at: Option<i64>) {
        self.remove(id);
        // A vector of another dimension is not similar to any question. The exact layer still finds its entry.
        if self.index.insert(id, vector.as_slice()).is_ok() && self.index.basis().is_none() {
            self.expiries.extend(expires_at.map(|at| (id, at)));
        }
    }

    /// Adds the codes of the entries `ids` in a segment, and returns how many were new. Errors: as
    /// [`Index::load_some`].
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

    /// Every entry whose similarity to `query` may reach `threshold`, highest upper bound first. Empty for a query of
    /// another dimension.
    pub(super) fn candidates(&self, query: &Embedding, threshold: f32) -> Candidates {
        self.index.candidates(query.as_slice(), threshold).unwrap_or_default()
    }

    /// What is known of the nearest entry among those that `filter` accepts and that are not known to have expired.
    pub(super) fn nearest(&self, query: &Embedding, now_secs: i64, filter: impl Fn(EntryId) -> bool) -> Nearest {
        let is_eligible =
            |id: u64| self.expiries.get(&id).is_none_or(|at| *at > now_secs) && EntryId::new(id).is_some_and(&filter);
        if self.index.basis().is_some() {
            return if self.index.ids().any(is_eligible) { Nearest::Unknown } else { Nearest::Nothing };
        }
        match self.index.nearest(query.as_slice(), is_eligible) {
            Ok(Some(nearest)) => EntryId::new(nearest.id)
                .map_or(Nearest::Nothing, |id| Nearest::Entry { id, similarity: nearest.similarity }),
            Ok(None) | Err(_) => Nearest::Nothing,
        }
    }

    /// Replaces float32 by codes if a training has ended, and starts a training if the index holds enough float32.
    pub(super) fn poll_training(&mut self) {
        if let Some(training) = &mut self.training
            && let Some(trained) = training.now_or_never()
        {
            self.training = None;
            match trained.map(|trained| trained.and_then(|trained| self.index.adopt(trained, |_| None::<&[f32]>))) {
                Ok(Ok(())) => self.expiries = HashMap::new(),
                Ok(Err(error)) => tracing::warn!(%error, "the training failed, and float32 stays in memory"),
                Err(error) => {
                    self.index.abandon_training();
                    tracing::error!(%error, "the training panicked");
                }
            }
        }
        if self.training.is_none()
            && self.index.should_train()
            && let Some(job) = self.index.begin_training()
        {
            self.training = Some(tokio::task::spawn_blocking(|| job.run()));
        }
    }
}

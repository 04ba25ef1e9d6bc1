//! Which embedder made a vector: a cache has one embedder, or two while it moves from one to another.
//!
//! Each embedder that a cache has had is an [`EmbedderGeneration`], whose number is never given out again. Every vector
//! in a row belongs to a generation, so that a vector of one embedder is never compared with a vector of another.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// One of the embedders that a cache has had, counted from 0. Each start of a move gives out a new number, also for an
/// embedder that the cache has had before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmbedderGeneration(u64);

impl EmbedderGeneration {
    /// The generation `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for EmbedderGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The embedder that is not the active one, while the cache moves from one embedder to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondEmbedder {
    /// The generation of its vectors.
    pub generation: EmbedderGeneration,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The dimension of its vectors.
    pub dim: u32,
    /// Whether the move is ending and its vectors are being removed. No instance serves it then.
    pub ending: bool,
}

/// The two ends of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MoveEnd {
    /// The embedder that the cache had before.
    Source,
    /// The embedder that the cache moves to.
    Target,
}

/// The embedder whose vectors an instance compares questions with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedEmbedder {
    /// The generation of its vectors.
    pub generation: EmbedderGeneration,
    /// The generation of a row's first vector, where the row does not name one.
    pub base_generation: EmbedderGeneration,
    /// How often the active embedder was switched. What an instance read before a switch is not trusted after it, because
    /// vectors of an embedder that is not active may appear under any id.
    pub switches: u64,
    /// The dimension of its vectors, once it is known.
    pub dim: Option<u32>,
    /// Its fingerprint, where the cache is stamped with one.
    pub fingerprint: Option<String>,
}

impl ServedEmbedder {
    /// Whether vectors read for `other` are also valid for this embedder: same generation, and no switch in between.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.generation, self.switches) == (other.generation, other.switches)
    }

    /// Checks that a vector of `dim` components can be compared. Errors: `EmbedderDimensionError`.
    pub fn check_dim(&self, dim: usize) -> Result<(), Error> {
        match self.dim {
            Some(expected) if expected as usize != dim => Err(Error::new(
                ErrorKind::EmbedderDimensionError,
                format!("the embedding has {dim} numbers, and the cache's have {expected}"),
                "embed with the model that the cache was built with",
            )),
            _ => Ok(()),
        }
    }
}

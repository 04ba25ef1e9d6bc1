//! The embedders of a cache, so that vectors of different embedders are never compared.
//!
//! A cache has one embedder, or two while it moves from one to another. Each embedder that a cache has had is an
//! [`EmbedderGeneration`], and its number is never given out again. Every vector in a row belongs to a generation.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::scale::Scale;

/// The number of an embedder that a cache has had, from 0 on. Each start of a move gives out a new number, also for an
/// embedder that the cache has had before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmbedderGeneration(u64);

impl EmbedderGeneration {
    /// The generation with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the generation.
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
    /// The fingerprint of the embedder.
    pub fingerprint: String,
    /// The dimension of its vectors.
    pub dim: u32,
    /// The scale of its similarities, once it is learned.
    pub scale: Option<Scale>,
    /// Whether the move is ending and the vectors of this embedder are being removed. No instance serves it then.
    pub ending: bool,
}

impl SecondEmbedder {
    /// Whether `other` is this embedder in the same phase of its move. Its scale may be learned meanwhile.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.generation, self.ending) == (other.generation, other.ending)
    }
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
    /// The generation of a row's first vector, if the row does not name one.
    pub base_generation: EmbedderGeneration,
    /// How often the active embedder was switched. An instance reads its vectors again after a switch, because a vector
    /// of an embedder that is not active may be added to any id.
    pub switches: u64,
    /// The dimension of its vectors, once it is known.
    pub dim: Option<u32>,
    /// The fingerprint of the embedder, if the cache is stamped with one.
    pub fingerprint: Option<String>,
    /// The scale of its similarities, once it is learned.
    pub scale: Option<Scale>,
}

impl ServedEmbedder {
    /// The scale on which its similarities are compared. A scale that is not learned changes nothing.
    pub fn scale(&self) -> Scale {
        self.scale.unwrap_or_default()
    }

    /// Whether vectors that were read for `other` are valid for this embedder: the generation is the same, and no
    /// switch happened in between.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn served(generation: u64, switches: u64, dim: Option<u32>) -> ServedEmbedder {
        let generation = EmbedderGeneration::new(generation);
        ServedEmbedder {
            generation,
            base_generation: EmbedderGeneration::new(0),
            switches,
            dim,
            fingerprint: None,
            scale: None,
        }
    }

    #[test]
    fn is_same_after_switch_or_with_other_generation_is_false() {
        let embedder = served(1, 1, None);
        assert!(embedder.is_same(&served(1, 1, Some(3))));
        assert!(!embedder.is_same(&served(1, 3, None)));
        assert!(!embedder.is_same(&served(0, 1, None)));
    }

    #[test]
    fn check_dim_with_other_dimension_is_refused() {
        served(0, 0, Some(3)).check_dim(3).unwrap();
        served(0, 0, None).check_dim(4).unwrap();
        let error = served(0, 0, Some(3)).check_dim(4).unwrap_err();
        assert_eq!(error.kind, ErrorKind::EmbedderDimensionError);
        assert!(error.detail.contains('3') && error.detail.contains('4'), "{error}");
    }
}

//! The vectors that one row of the table holds, and the embedder generations that they belong to.

use crate::embedder::EmbedderGeneration;
use crate::long_text::Unread;

/// The vectors of one row, as little-endian float32.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowVectors {
    /// The first vector. It is absent for an entry that only the exact layer finds. A vector of zeros counts as absent:
    /// tables shared with the Python library have such vectors.
    pub embedding: Option<Vec<u8>>,
    /// The generation of the first vector; `None`: the cache's base generation.
    pub generation: Option<EmbedderGeneration>,
    /// The second vector with its generation.
    pub next: Option<(EmbedderGeneration, Vec<u8>)>,
    /// What the embedder of one of the vectors did not read of the text. `None`: all of it was read, or an earlier
    /// release wrote the vectors.
    pub unread: Option<Unread>,
}

impl RowVectors {
    /// The vector of `generation`, if the row has one that is not zero. `base` is the generation of a first vector
    /// whose row names no generation.
    pub fn of(&self, generation: EmbedderGeneration, base: EmbedderGeneration) -> Option<&[u8]> {
        let bytes = if self.generation.unwrap_or(base) == generation {
            self.embedding.as_deref()
        } else {
            self.next.as_ref().filter(|(next, _)| *next == generation).map(|(_, bytes)| bytes.as_slice())
        };
        bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: EmbedderGeneration = EmbedderGeneration::new(2);
    const NEXT: EmbedderGeneration = EmbedderGeneration::new(4);

    #[test]
    fn of_with_two_vectors_returns_one_for_each_generation() {
        let row = RowVectors {
            embedding: Some(vec![1; 4]),
            generation: None,
            next: Some((NEXT, vec![2; 4])),
            ..RowVectors::default()
        };
        assert_eq!(row.of(BASE, BASE), Some(&[1; 4][..]));
        assert_eq!(row.of(NEXT, BASE), Some(&[2; 4][..]));
        assert_eq!(row.of(EmbedderGeneration::new(3), BASE), None);
    }

    #[test]
    fn of_with_generation_of_first_vector_ignores_base() {
        let row = RowVectors { embedding: Some(vec![1; 4]), generation: Some(NEXT), ..RowVectors::default() };
        assert_eq!((row.of(NEXT, BASE), row.of(BASE, BASE)), (Some(&[1; 4][..]), None));
    }

    #[test]
    fn of_with_vector_of_zeros_returns_none() {
        let row = RowVectors { embedding: Some(vec![0; 8]), ..RowVectors::default() };
        assert_eq!(row.of(BASE, BASE), None);
    }
}

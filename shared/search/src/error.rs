//! What can be wrong with an input.

use thiserror::Error;

/// A refused input. The index is as it was before the call.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// A vector, a basis or a segment of another dimension.
    #[error("dimension {found} where the index has {expected}: give vectors of the index's dimension")]
    Dimension {
        /// The index's or basis's dimension.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// The squared norm is not within 0.001 of one (or not finite).
    #[error("a vector of squared norm {squared_norm}: normalise it to length one first")]
    NotUnit {
        /// The vector's squared norm.
        squared_norm: f64,
    },
    /// The id stands in the index already; an id's vector never changes unless it is removed first.
    #[error("id {id} is in the index already: remove it first")]
    Occupied {
        /// The id.
        id: u64,
    },
    /// Bytes that are no basis or segment of this version, or were cut or changed.
    #[error("not a whole {what}: {fact}; build it again from the rows")]
    Torn {
        /// `basis` or `segment`.
        what: &'static str,
        /// What is wrong with the bytes.
        fact: &'static str,
    },
    /// A segment whose codes were made with another basis, or an index that holds float32 and no codes.
    #[error("the segment's codes belong to another basis than the index's: load the basis it names, or read the rows")]
    ForeignBasis,
    /// Too many rows for one segment.
    #[error("{rows} rows in one segment, of at most {limit}: pack a shorter range of ids")]
    TooManyRows {
        /// How many were asked for.
        rows: usize,
        /// [`crate::Basis::segment_rows`].
        limit: usize,
    },
    /// A basis of this dimension cannot be learned, or not from this few rows.
    #[error("{rows} rows of dimension {dim}: a basis takes at least {min_rows} rows and 64 to 4096 dimensions")]
    Unlearnable {
        /// Rows given.
        rows: usize,
        /// Their dimension.
        dim: usize,
        /// The least number of rows.
        min_rows: usize,
    },
    /// Rows that changed while a basis was learned, and whose float32 nobody has.
    #[error("{} rows changed while learning and are not resident: supply their vectors", .ids.len())]
    RowsNeeded {
        /// Their ids.
        ids: Vec<u64>,
    },
    /// No learning was begun on this index, or it was begun again since.
    #[error("the learned codes are of no learning that this index waits for: begin a new one")]
    StaleLearning,
}

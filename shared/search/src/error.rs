//! Errors of the index, the basis and the segments.

use thiserror::Error;

/// Why an input was refused. The index is unchanged, unless the method says otherwise.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// A vector, a basis or a segment of another dimension.
    #[error("the dimension is {found} and the index has {expected}: give vectors of the index's dimension")]
    Dimension {
        /// The dimension of the index or basis.
        expected: usize,
        /// The dimension that was given.
        found: usize,
    },
    /// A vector whose squared norm is not finite or not within 0.001 of one.
    #[error("the vector has the squared norm {squared_norm}: normalise it to length one first")]
    NotUnit {
        /// The vector's squared norm.
        squared_norm: f64,
    },
    /// The index holds the id already. To change a vector, remove its id first.
    #[error("the index holds id {id} already: remove it first")]
    DuplicateId {
        /// The id that was given.
        id: u64,
    },
    /// Bytes that are not a basis or segment of this version, or that were truncated or changed.
    #[error("the bytes are not a valid {what}: {fact}; build it again from the rows")]
    Corrupt {
        /// What the bytes should be: `basis` or `segment`.
        what: &'static str,
        /// What is wrong with the bytes.
        fact: &'static str,
    },
    /// A segment whose codes belong to another basis, or an index that holds float32.
    #[error(
        "the codes of the segment and of the index belong to different bases: load the segment's basis, or read the rows"
    )]
    BasisMismatch,
    /// A range of ids with more rows than one segment takes.
    #[error("the range has {rows} rows, and a segment takes at most {limit}: pack a shorter range of ids")]
    TooManyRows {
        /// Rows in the range.
        rows: usize,
        /// Rows that a segment takes: [`crate::Basis::segment_rows`].
        limit: usize,
    },
    /// Too few rows to train a basis, or a dimension that a basis cannot have.
    #[error(
        "{rows} rows of dimension {dim} were given: a basis needs at least {min_rows} rows and 64 to 4096 dimensions"
    )]
    Untrainable {
        /// Rows that were given.
        rows: usize,
        /// Their dimension.
        dim: usize,
        /// Rows that are needed.
        min_rows: usize,
    },
    /// Rows that changed during the training and whose float32 vectors are neither held nor supplied.
    #[error("{} rows changed during the training and are not resident: supply their vectors", .ids.len())]
    MissingRows {
        /// The ids of the rows.
        ids: Vec<u64>,
    },
    /// The index waits for no training, or for a later one.
    #[error("the trained codes do not belong to the training that this index waits for: begin a new one")]
    StaleTraining,
}

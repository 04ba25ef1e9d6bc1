//! How storage grows.

/// The capacity after `len` rows are full: a quarter more, for memory is what bounds a replica.
pub(crate) fn grown(len: usize) -> usize {
    (len + len / 4).max(16)
}

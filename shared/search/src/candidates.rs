//! The rows that a search could not rule out.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A row that may reach the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The id of the row.
    pub id: u64,
    /// An upper bound of the row's similarity. It is at least the threshold.
    pub bound: f32,
    /// The row's similarity if the index holds float32; `bound` then has the same value.
    pub similarity: Option<f32>,
}

/// Orders candidates by bound, then by descending id.
#[derive(Debug, Clone, Copy)]
struct Ranked(Candidate);

impl Ranked {
    fn key(&self) -> (f32, Reverse<u64>) {
        (self.0.bound, Reverse(self.0.id))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((bound, id), (other_bound, other_id)) = (self.key(), other.key());
        bound.total_cmp(&other_bound).then(id.cmp(&other_id))
    }
}

/// An iterator over every row whose upper bound reaches the threshold, highest bound first, ties by lower id.
///
/// It is a heap, because most callers take only the first few rows, and sorting all of them would cost more.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    heap: BinaryHeap<Ranked>,
}

impl Candidates {
    pub(crate) fn new(candidates: Vec<Candidate>) -> Self {
        Self { heap: candidates.into_iter().map(Ranked).collect() }
    }
}

impl Iterator for Candidates {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        self.heap.pop().map(|ranked| ranked.0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.heap.len(), Some(self.heap.len()))
    }
}

impl ExactSizeIterator for Candidates {}

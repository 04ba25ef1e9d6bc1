//! The candidates of one question, highest upper bound first, taken a few at a time.

use std::collections::VecDeque;
use std::iter::Peekable;

use mneme_model::confidence::Guard;
use mneme_model::entry_id::EntryId;

use super::rules::Rules;
use crate::replica::Candidate;

/// How many candidates are read together with the counter. Each further round reads twice as many as the one before.
pub(super) const FIRST_CANDIDATES: usize = 3;

/// The candidates of one question.
///
/// `I` yields them highest upper bound first.
#[derive(Debug)]
pub(super) struct CandidateStream<I: Iterator<Item = Candidate>> {
    /// The candidates that are read together with the counter.
    first: Vec<EntryId>,
    rest: Peekable<I>,
    /// Candidates that the filter refused.
    skipped: VecDeque<EntryId>,
    /// Whether the filter is the guard's.
    is_guarded: bool,
    /// No candidate with a lower bound is in the stream.
    threshold: f32,
}

impl<I: Iterator<Item = Candidate>> CandidateStream<I> {
    /// The candidates in `all`. The nearest one is always among the first, because it gives the reason of a miss; the
    /// others have to pass `filter`. `is_guarded`: whether the filter is the guard's. `threshold`: the lowest bound in
    /// `all`.
    pub(super) fn new(all: I, is_guarded: bool, threshold: f32, filter: impl Fn(&Candidate) -> bool) -> Self {
        let mut stream =
            Self { first: Vec::new(), rest: all.peekable(), skipped: VecDeque::new(), is_guarded, threshold };
        let mut first = stream.next(1, None, |_| true);
        first.extend(stream.next(FIRST_CANDIDATES - 1, None, filter));
        stream.first = first;
        stream
    }

    /// The candidates to read together with the counter.
    pub(super) fn first(&self) -> &[EntryId] {
        &self.first
    }

    /// Takes the first candidates out of the stream.
    pub(super) fn take_first(&mut self) -> Vec<EntryId> {
        std::mem::take(&mut self.first)
    }

    /// Whether no candidate is missing that `rules` would serve for a question with or without a number fingerprint.
    pub(super) fn suffices_for(&self, rules: &Rules, has_fingerprint: bool) -> bool {
        let skips_too_many = rules.guard == Guard::Off && self.is_guarded && has_fingerprint;
        !skips_too_many && self.threshold <= rules.threshold
    }

    /// The next candidates that pass `filter`, at most `count`. Stops at the first candidate whose upper bound is below
    /// `best`, because it and all later ones are less similar.
    pub(super) fn next(
        &mut self,
        count: usize,
        best: Option<f32>,
        filter: impl Fn(&Candidate) -> bool,
    ) -> Vec<EntryId> {
        let may_be_better = |candidate: &Candidate| best.is_none_or(|best| candidate.bound >= best);
        let mut next = Vec::new();
        while next.len() < count
            && let Some(candidate) = self.rest.next_if(may_be_better)
        {
            let Some(id) = EntryId::new(candidate.id) else { continue };
            if filter(&candidate) {
                next.push(id);
            } else {
                self.skipped.push_back(id);
            }
        }
        next
    }

    /// Takes up to `count` of the skipped candidates.
    pub(super) fn take_skipped(&mut self, count: usize) -> Vec<EntryId> {
        self.skipped.drain(..count.min(self.skipped.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(
        bounds: &[(u64, f32)],
        filter: impl Fn(&Candidate) -> bool,
    ) -> CandidateStream<std::vec::IntoIter<Candidate>> {
        let all: Vec<Candidate> =
            bounds.iter().map(|(id, bound)| Candidate { id: *id, bound: *bound, similarity: None }).collect();
        CandidateStream::new(all.into_iter(), true, 0.0, filter)
    }

    fn numbers(ids: &[EntryId]) -> Vec<u64> {
        ids.iter().map(|id| id.get()).collect()
    }

    #[test]
    fn first_candidates_with_a_refused_nearest_include_it() {
        let stream = stream(&[(1, 0.99), (2, 0.98), (3, 0.97), (4, 0.96)], |candidate| candidate.id % 2 == 0);
        assert_eq!(numbers(stream.first()), [1, 2, 4]);
    }

    #[test]
    fn next_with_a_best_similarity_stops_at_a_lower_bound() {
        let mut stream = stream(&[(1, 0.99), (2, 0.98), (3, 0.97), (4, 0.95), (5, 0.90)], |_| true);
        assert_eq!(numbers(&stream.next(10, Some(0.95), |_| true)), [4]);
        assert!(stream.next(10, Some(0.95), |_| true).is_empty());
        assert_eq!(numbers(&stream.next(10, None, |_| true)), [5]);
    }

    #[test]
    fn skipped_candidates_are_kept_in_order_and_taken_once() {
        let mut stream = stream(&[(1, 0.99), (2, 0.98), (3, 0.97), (4, 0.96)], |_| false);
        assert_eq!(numbers(stream.first()), [1]);
        assert_eq!(numbers(&stream.take_skipped(2)), [2, 3]);
        assert_eq!(numbers(&stream.take_skipped(2)), [4]);
        assert!(stream.take_skipped(2).is_empty());
    }
}

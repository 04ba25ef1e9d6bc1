//! The progress of a move to another embedder, in derived items: one for each generation whose vectors are added or
//! removed.

use std::ops::Range;
use std::time::Duration;

use mneme_model::embedder::EmbedderGeneration;
use mneme_model::error::Error;
use serde::Serialize;

use crate::attribute as name;
use crate::item::{Item, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// The action of a move on the vectors of the embedder that is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovePhase {
    /// The move adds the vectors of the target.
    Adding,
    /// The move has ended, and the vectors of the retired embedder are removed.
    Removing,
}

impl MovePhase {
    fn name(self) -> &'static str {
        match self {
            Self::Adding => "adding",
            Self::Removing => "removing",
        }
    }
}

/// The progress of one phase. Ids are visited in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveProgress {
    /// The lowest id that was not visited.
    pub next_id: u64,
    /// The number of visited ids.
    pub ids: u64,
    /// The time spent on visits in milliseconds, without the pauses between calls.
    pub worked_ms: u64,
    /// The visited entries by result.
    pub visited: VisitedCounts,
}

impl Default for MoveProgress {
    /// The start of a phase: no id was visited.
    fn default() -> Self {
        Self { next_id: 1, ids: 0, worked_ms: 0, visited: VisitedCounts::default() }
    }
}

impl MoveProgress {
    /// Adds a visit of `ids`, which begin at `next_id`: the results of their entries, and the time that it took.
    pub fn advance(&mut self, ids: &Range<u64>, visited: &VisitedCounts, took: Duration) {
        self.visited.add(visited);
        self.ids += ids.end - ids.start;
        self.next_id = ids.end;
        self.worked_ms += u64::try_from(took.as_millis()).unwrap_or(0);
    }

    /// Visited ids per second. `None` before the first visit.
    pub fn rate(&self) -> Option<f64> {
        (self.ids > 0).then(|| self.ids as f64 * 1000.0 / self.worked_ms.max(1) as f64)
    }

    fn to_item(self, key: RowKey, phase: MovePhase) -> Item {
        let Self { next_id, ids, worked_ms, visited } = self;
        let numbers = [(name::NEXT_ID, next_id), (name::VISITED_IDS, ids), (name::WORKED_MS, worked_ms)];
        let mut item = Item::from([(name::ID.to_owned(), key.attribute()), (name::PHASE.to_owned(), s(phase.name()))]);
        item.extend(numbers.into_iter().chain(visited.by_name()).map(|(name, value)| (name.to_owned(), n(value))));
        item
    }

    /// Reads the progress of `phase`. `None` if the item is of the other phase or lacks a number.
    fn from_item(item: &Item, phase: MovePhase) -> Option<Self> {
        text(item, name::PHASE).filter(|name| name == phase.name())?;
        Some(Self {
            next_id: number(item, name::NEXT_ID).filter(|id| *id >= 1)?,
            ids: number(item, name::VISITED_IDS)?,
            worked_ms: number(item, name::WORKED_MS)?,
            visited: VisitedCounts::from_item(item),
        })
    }
}

/// The number of visited entries by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VisitedCounts {
    /// Entries that have the vectors that they need.
    pub ready: u64,
    /// Entries that cannot be embedded, because only the hash of their query is stored.
    pub without_query: u64,
    /// Entries with a text that the embedder refuses.
    pub refused: u64,
    /// Entries whose item has no room for a second vector.
    pub too_large: u64,
    /// Entries whose text the embedder cannot read, because its vocabulary lacks too much of it.
    pub not_embeddable: u64,
    /// Entries that never had a vector. The move leaves them as they are, and only the exact layer finds them.
    pub without_vector: u64,
}

impl VisitedCounts {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.without_query += other.without_query;
        self.refused += other.refused;
        self.too_large += other.too_large;
        self.not_embeddable += other.not_embeddable;
        self.without_vector += other.without_vector;
    }

    /// The attribute and the value of each count.
    fn by_name(&self) -> [(&'static str, u64); 6] {
        [
            (name::READY, self.ready),
            (name::WITHOUT_QUERY, self.without_query),
            (name::REFUSED, self.refused),
            (name::TOO_LARGE, self.too_large),
            (name::NOT_EMBEDDABLE, self.not_embeddable),
            (name::WITHOUT_VECTOR, self.without_vector),
        ]
    }

    /// Reads the counts. A missing count is 0.
    fn from_item(item: &Item) -> Self {
        let count = |name| number(item, name).unwrap_or(0);
        Self {
            ready: count(name::READY),
            without_query: count(name::WITHOUT_QUERY),
            refused: count(name::REFUSED),
            too_large: count(name::TOO_LARGE),
            not_embeddable: count(name::NOT_EMBEDDABLE),
            without_vector: count(name::WITHOUT_VECTOR),
        }
    }
}

impl Table {
    /// The saved progress of `phase` with the vectors of `generation`, or the start of the phase if none is saved.
    ///
    /// Reads: one key, strongly consistent. Errors: `StoreBackendError`.
    pub async fn progress(&self, generation: EmbedderGeneration, phase: MovePhase) -> Result<MoveProgress, Error> {
        let item = self.get(RowKey::move_progress(generation), true).await?;
        Ok(item.and_then(|item| MoveProgress::from_item(&item, phase)).unwrap_or_default())
    }

    /// Saves the progress of `phase` with the vectors of `generation`. Writes: one PutItem. Errors:
    /// `StoreBackendError`.
    pub async fn save_progress(
        &self,
        generation: EmbedderGeneration,
        phase: MovePhase,
        progress: &MoveProgress,
    ) -> Result<(), Error> {
        self.put_derived(progress.to_item(RowKey::move_progress(generation), phase)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISITED: VisitedCounts =
        VisitedCounts { ready: 1, without_query: 2, refused: 3, too_large: 4, not_embeddable: 6, without_vector: 5 };

    fn key() -> RowKey {
        RowKey::move_progress(EmbedderGeneration::new(3))
    }

    #[test]
    fn from_item_of_to_item_is_same_progress_of_same_phase() {
        let progress = MoveProgress { next_id: 101, ids: 100, worked_ms: 7, visited: VISITED };
        for (phase, other) in [(MovePhase::Adding, MovePhase::Removing), (MovePhase::Removing, MovePhase::Adding)] {
            let item = progress.to_item(key(), phase);
            assert_eq!(MoveProgress::from_item(&item, phase), Some(progress));
            assert_eq!(MoveProgress::from_item(&item, other), None);
        }
    }

    #[test]
    fn from_item_without_number_returns_none() {
        for attribute in [name::NEXT_ID, name::VISITED_IDS, name::WORKED_MS] {
            let mut item = MoveProgress::default().to_item(key(), MovePhase::Adding);
            item.remove(attribute);
            assert_eq!(MoveProgress::from_item(&item, MovePhase::Adding), None, "{attribute}");
        }
    }

    #[test]
    fn advance_continues_after_the_ids_and_adds_counts_and_time() {
        let mut progress = MoveProgress::default();
        assert_eq!(progress.rate(), None);
        progress.advance(&(1..101), &VISITED, Duration::from_millis(400));
        progress.advance(&(101..201), &VISITED, Duration::from_millis(600));
        assert_eq!((progress.next_id, progress.ids, progress.worked_ms), (201, 200, 1000));
        assert_eq!((progress.visited.ready, progress.visited.without_vector), (2, 10));
        assert_eq!(progress.rate(), Some(200.0));
    }
}

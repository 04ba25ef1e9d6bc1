//! How much of a move to another embedder is done, in derived items: one for each embedder whose vectors are added or removed.

use std::ops::Range;
use std::time::Duration;

use mneme_model::embedder::EmbedderGeneration;
use mneme_model::error::Error;
use serde::Serialize;

use crate::attribute as name;
use crate::item::{Item, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// How far a phase has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveProgress {
    /// The lowest id that was not gone through.
    pub next_id: u64,
    /// How many ids were gone through.
    pub ids: u64,
    /// How long that took, pauses between calls left out.
    pub worked_ms: u64,
    /// What became of their entries.
    pub visited: VisitedCounts,
}

impl Default for MoveProgress {
    fn default() -> Self {
        Self { next_id: 1, ids: 0, worked_ms: 0, visited: VisitedCounts::default() }
    }
}

impl MoveProgress {
    /// Notes that `ids` were gone through in that time, and what became of their entries.
    pub fn advance(&mut self, ids: &Range<u64>, visited: &VisitedCounts, took: Duration) {
        self.visited.add(visited);
        self.ids += ids.end - ids.start;
        self.next_id = ids.end;
        self.worked_ms += u64::try_from(took.as_millis()).unwrap_or(0);
    }

    /// Ids per second; `None` before the first.
    pub fn rate(&self) -> Option<f64> {
        (self.ids > 0).then(|| self.ids as f64 * 1000.0 / self.worked_ms.max(1) as f64)
    }
}

/// What became of the entries gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VisitedCounts {
    /// They have what they should have.
    pub ready: u64,
    /// They cannot be embedded, since only the hash of their query is stored.
    pub without_query: u64,
    /// Their text is refused by the embedder.
    pub refused: u64,
    /// A second vector does not fit into their item.
    pub too_large: u64,
    /// They never had a vector, and stay what they were: found exactly.
    pub without_vector: u64,
}

impl VisitedCounts {
    fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("ready", self.ready),
            ("without_query", self.without_query),
            ("refused", self.refused),
            ("too_large", self.too_large),
            ("without_vector", self.without_vector),
        ]
    }

    fn from_named(value: impl Fn(&str) -> u64) -> Self {
        Self {
            ready: value("ready"),
            without_query: value("without_query"),
            refused: value("refused"),
            too_large: value("too_large"),
            without_vector: value("without_vector"),
        }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.without_query += other.without_query;
        self.refused += other.refused;
        self.too_large += other.too_large;
        self.without_vector += other.without_vector;
    }
}

/// What is being done to the other embedder's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovePhase {
    /// They are added.
    Adding,
    /// They are removed.
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

impl MoveProgress {
    fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            next_id: number(item, name::NEXT_ID).filter(|id| *id >= 1)?,
            ids: number(item, "ids")?,
            worked_ms: number(item, "worked_ms")?,
            visited: VisitedCounts::from_named(|name| number(item, name).unwrap_or(0)),
        })
    }
}

impl Table {
    /// The progress of `phase` with the vectors of `generation`; the start, where none is saved. Reads: one key, strongly.
    pub async fn progress(&self, generation: EmbedderGeneration, phase: MovePhase) -> Result<MoveProgress, Error> {
        let item = self.get(RowKey::move_progress(generation), true).await?;
        let item = item.filter(|item| text(item, name::PHASE).as_deref() == Some(phase.name()));
        Ok(item.as_ref().and_then(MoveProgress::from_item).unwrap_or_default())
    }

    /// Saves the progress of `phase` with the vectors of `generation`. Writes: one PutItem.
    pub async fn save_progress(
        &self,
        generation: EmbedderGeneration,
        phase: MovePhase,
        progress: &MoveProgress,
    ) -> Result<(), Error> {
        let mut item = Item::from([
            (name::ID.to_owned(), RowKey::move_progress(generation).attribute()),
            (name::PHASE.to_owned(), s(phase.name())),
        ]);
        let MoveProgress { next_id, ids, worked_ms, visited } = *progress;
        let numbers = [(name::NEXT_ID, next_id), ("ids", ids), ("worked_ms", worked_ms)];
        item.extend(numbers.into_iter().chain(visited.named()).map(|(name, value)| (name.to_owned(), n(value))));
        self.put_derived(item).await
    }
}

//! What a pass covers, and what it has done.

use std::collections::HashSet;

use mneme_model::namespace::{Namespace, NamespaceHash};
use serde::Serialize;

use crate::maintain::eviction::Evictions;
use crate::segments::compact::RangeCounts;
use crate::segments::write::SegmentsWritten;

/// The repairs that a pass made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repairs {
    /// Entries that were examined.
    pub examined: u64,
    /// Pointers that were created, or moved from an entry that is gone.
    pub pointers_set: u64,
    /// Tag blocks to which missing entries were added.
    pub tag_blocks_set: u64,
    /// Live entries that were removed for a deletion by a tag that its caller did not finish.
    pub deleted_by_tag: u64,
    /// Items that were removed: pointers to missing entries, verdicts on missing entries, answers of missing entries,
    /// expired idempotency records and hour stats, empty tag blocks, and items of an obsolete basis or of a retired
    /// embedder.
    pub derived_removed: u64,
    /// Long answers that an older version stored in rows, and that got items of their own.
    pub answers_moved: u64,
    /// Entries that were removed because another entry has the same entry key.
    pub duplicates: u64,
    /// Whether `next_id` was not above every id in use, as after a restore, and was raised.
    pub counter_moved: bool,
}

/// One pass over the table.
#[derive(Debug, Default)]
pub struct VacuumPass {
    /// The namespace that is covered; `None`: all namespaces.
    pub(super) only: Option<Namespace>,
    /// What was removed: expired entries, and entries over a cap.
    pub removed: Evictions,
    /// The repairs that were made.
    pub repaired: Repairs,
    /// The segments that were written.
    pub segments: SegmentsWritten,
    /// How many entries each range of ids has; `None` if the pass does not cover the whole table.
    pub(super) ranges: Option<RangeCounts>,
    /// The namespaces with live entries; `None` if the pass does not cover the whole table.
    pub(super) namespaces: Option<HashSet<NamespaceHash>>,
}

impl VacuumPass {
    /// A pass over all namespaces, or over `only` one.
    pub fn new(only: Option<Namespace>) -> Self {
        Self { only, ..Self::default() }
    }

    /// Whether the pass covers `namespace`.
    pub(super) fn covers(&self, namespace: &Namespace) -> bool {
        self.only.as_ref().is_none_or(|only| only == namespace)
    }
}

//! Ids of entries.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// The id of an entry: never 0, which is the counter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(NonZeroU64);

impl EntryId {
    /// The entry id `id`; `None` for 0.
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! The id of an entry, as a type that cannot be the counter's id 0.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// The id of an entry. It is never 0, because item 0 of the table is the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(NonZeroU64);

impl EntryId {
    /// `None` for 0.
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The id as a number, at least 1.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! Vacuum: a pass over the table that removes expired entries, repairs derived items, enforces caps and writes
//! segments.
//!
//! - `run`: the steps of a pass, in order.
//! - `page`: repairing what one page of the table holds.
//! - `answers`: long answers in items of their own.
//! - `pointers`: one live entry and one pointer for each entry key.
//! - `tags`: tag blocks, and deletions by a tag that were not finished.
//! - `verdicts`: what callers said of entries that are gone.
//! - `obsolete`: which derived items no reader uses any more.
//! - `cursor`: where a pass continues.
//! - `pass`: what a pass covers, and what it has done.

mod answers;
mod cursor;
mod obsolete;
mod page;
mod pass;
mod pointers;
mod run;
mod tags;
mod verdicts;

pub use cursor::{VacuumCursor, load_cursor, save_cursor};
pub use pass::{Repairs, VacuumPass};
pub use run::run_pass;
pub(crate) use tags::clean_blocks;
pub(crate) use verdicts::remove_verdicts;

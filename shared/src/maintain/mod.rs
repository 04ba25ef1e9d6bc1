//! Keeping the table in order: what `vacuum` does, caps, counts.
//!
//! - [`vacuum`]: passes through the table.
//! - [`eviction`]: quotas and the cap on the table.
//! - [`directory`]: the names of the namespaces.
//! - [`totals`]: counting everything.
//! - [`stats_buffer`]: counting lookups.

pub mod directory;
pub mod eviction;
pub mod stats_buffer;
pub mod totals;
pub mod vacuum;

//! Keeping the table in order: `vacuum`, quotas, the cap on the table, counts.
//!
//! - [`vacuum`]: passes over the table.
//! - [`eviction`]: enforcing quotas and the cap on the table.
//! - `victims`: which entries an eviction removes.
//! - [`directory`]: the names of the namespaces.
//! - [`totals`]: counting everything.
//! - [`stats_buffer`]: counting lookups.
//! - [`access_buffer`]: recording accesses.

pub mod access_buffer;
pub mod directory;
pub mod eviction;
pub mod stats_buffer;
pub mod totals;
pub mod vacuum;
mod victims;

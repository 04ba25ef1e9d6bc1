//! The settings of namespaces, and the `meta` map.
//!
//! The settings of a namespace are in an item of their own, because every request reads item 0 and every mutation writes
//! it. Item 0 counts the changes of all settings in `settings_version`, so an instance reads the settings of a namespace
//! again only after a change. Two things may be in item 0 all the same: quotas and switches of the guard that an older
//! version wrote, and the quotas of a table that is shared with the Python library, which knows item 0 alone.
//!
//! - [`read`]: what is set for a namespace, and the list of all settings.
//! - [`change`]: changing and removing settings.
//! - [`meta`]: the `meta` map.
//! - `memory`: what an instance has read.

pub mod change;
mod memory;
pub mod meta;
pub mod read;

pub(crate) use memory::SettingsMemory;

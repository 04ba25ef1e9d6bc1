//! `mneme export` and `mneme import`: entries as JSON Lines, with their vectors.
//!
//! A line is an entry as the operation `get` returns it.

mod export;
mod import;
mod line;
mod position;

pub(crate) use export::{Export, export};
pub(crate) use import::{Import, import};

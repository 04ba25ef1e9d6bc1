//! Writing segments.
//!
//! `vacuum` trains the basis of the codes, writes segments for new ranges, rewrites segments that lost more than a
//! quarter of their entries, and deletes empty ones. A put that fills a range writes its segment. A reader that finds a
//! segment missing or corrupt reads the rows instead.
//!
//! - [`write`](mod@write): segments for the ranges that have none yet.
//! - [`compact`](mod@compact): rewriting and deleting segments.
//! - `segment`: the segment of one range.
//! - `basis`: loading and training the basis.

pub(crate) mod basis;
pub mod compact;
mod segment;
pub mod write;

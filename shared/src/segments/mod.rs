//! Writing segments.
//!
//! `vacuum` trains the basis of the codes, writes segments for new ranges, rewrites segments that lost more than a quarter of
//! their entries, and deletes empty ones. A put that fills a range writes its segment. Whoever finds a segment missing or
//! corrupt reads the rows instead.
//!
//! - [`write`](mod@write): training the basis and writing segments.
//! - [`compact`](mod@compact): rewriting and deleting segments.

pub mod compact;
pub mod write;

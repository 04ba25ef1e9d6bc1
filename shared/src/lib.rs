//! The features of mneme-lambda, a semantic cache on AWS Lambda and DynamoDB. The functions hold the policy, this crate the
//! mechanism. What things are is in `mneme_model`, the table in `mneme_store`, events and routes in `mneme_api`.
//!
//! | to learn about | read |
//! | --- | --- |
//! | what a function works with | [`cache`] |
//! | a lookup | `lookup`, [`replica`], `mneme_search`, `mneme_guard` |
//! | changes to the table | [`write`](mod@write), `writer_queue`, `retry_budget` |
//! | single entries and pages | [`entries`] |
//! | caps, counts, `vacuum`, segments | [`maintain`], [`segments`] |
//! | embedders, and moving to another one | [`embedders`], `reembed`, `mneme_embed` |
//! | a function's main loop, its log line and metrics | [`runtime`] |
//!
//! The feature `embed` is for functions that embed texts: it adds lookups, re-embedding and the providers of vectors.

pub mod cache;
pub mod embedders;
pub mod entries;
#[cfg(feature = "embed")]
pub mod lookup;
pub mod maintain;
#[cfg(feature = "embed")]
pub mod reembed;
pub mod replica;
mod retry_budget;
pub mod runtime;
pub mod segments;
pub mod write;
mod writer_queue;

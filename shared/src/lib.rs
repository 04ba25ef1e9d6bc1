//! The features of mneme-lambda, a semantic cache on AWS Lambda and DynamoDB. The functions hold the policy, this crate
//! holds the mechanism. `mneme_model` says what things are, `mneme_store` has the table, and `mneme_api` has events and
//! routes.
//!
//! | to learn about | read |
//! | --- | --- |
//! | what every operation uses | [`cache`] |
//! | a lookup | `lookup`, [`replica`], `mneme_search`, `mneme_guard` |
//! | who makes the answer after a miss | `lease` |
//! | changes to the table | [`write`](mod@write), `writer_queue`, `retry_budget` |
//! | reading single entries and pages | [`entries`] |
//! | the settings of namespaces | [`settings`] |
//! | `vacuum`, quotas, the cap on the table, counts | [`maintain`] |
//! | what a new instance reads in place of the entries | [`segments`] |
//! | the embedders of a cache | [`embedders`], `mneme_embed` |
//! | moving a cache to another embedder | `reembed` |
//! | a function's main loop, its log line and its metrics | [`runtime`], `error_causes` |
//!
//! The feature `embed` is for functions that embed texts. It adds `lookup`, `lease`, `reembed` and the providers of vectors.

pub mod cache;
pub mod embedders;
pub mod entries;
mod error_causes;
#[cfg(feature = "embed")]
pub mod lease;
#[cfg(feature = "embed")]
pub mod lookup;
pub mod maintain;
#[cfg(feature = "embed")]
pub mod reembed;
pub mod replica;
mod retry_budget;
pub mod runtime;
pub mod segments;
pub mod settings;
pub mod write;
mod writer_queue;

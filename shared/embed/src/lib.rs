//! Embedders: texts in, vectors out.
//!
//! | to learn about | read |
//! | --- | --- |
//! | `MNEME_EMBEDDER`, `MNEME_EMBEDDER_API_KEY` | [`spec`], [`key`], `key_cache` |
//! | how much of a text a model reads | [`spec`], [`tokens`] |
//! | what callers use: batches, checks, the cache of vectors | `embedder` |
//! | what every provider does | `provider` |
//! | the providers | `backend`, `bedrock`, `openai`, `minilm` |
//! | errors and retries | `error`, `retry`, `retry_after` |
//!
//! Without the feature `providers` only [`spec`], [`key`] and [`tokens`] are built. They are all that reading a
//! configuration needs. They depend on no HTTP client, no AWS SDK and no model.

#[cfg(feature = "providers")]
pub mod backend;
#[cfg(feature = "providers")]
pub mod bedrock;
#[cfg(feature = "providers")]
pub mod embedder;
#[cfg(feature = "providers")]
pub mod error;
pub mod key;
#[cfg(feature = "providers")]
pub mod key_cache;
#[cfg(feature = "providers")]
pub mod minilm;
#[cfg(feature = "providers")]
pub mod openai;
#[cfg(feature = "providers")]
pub mod provider;
#[cfg(feature = "providers")]
mod retry;
#[cfg(feature = "providers")]
mod retry_after;
pub mod spec;
pub mod tokens;

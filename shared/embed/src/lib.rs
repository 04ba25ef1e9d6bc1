//! Embedders: text in, vectors out.
//!
//! | to learn about | read |
//! | --- | --- |
//! | `MNEME_EMBEDDER`, `MNEME_EMBEDDER_API_KEY` | [`spec`], [`key`] |
//! | what callers use: batches, checks, memory | [`embedder`] |
//! | what a provider does, and which there are | [`provider`], [`backend`], [`bedrock`], [`openai`], [`minilm`] |
//! | what they are reached by | `aws`, `http` |
//! | what may go wrong | [`error`], `retry`, `pause` |

mod aws;
pub mod backend;
pub mod bedrock;
pub mod embedder;
pub mod error;
mod http;
pub mod key;
pub mod minilm;
pub mod openai;
mod pause;
pub mod provider;
mod retry;
pub mod spec;

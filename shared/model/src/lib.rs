//! The types of the domain: questions, vectors, entries, errors and configuration. Nothing here calls AWS.
//!
//! | to learn about | read |
//! | --- | --- |
//! | a question, its hash and its context key | [`question`], [`normalize`], [`context_key`] |
//! | a stored entry, its id, its namespace and its tags | [`entry`], [`entry_id`], [`namespace`], [`tag`] |
//! | where its answer is stored | [`answer`] |
//! | vectors, and the embedders that made them | [`embedding`], [`row_vectors`], [`embedder`] |
//! | similarities of different embedders on one scale | [`scale`] |
//! | what an answer cost | [`usage`] |
//! | texts that an embedder reads in part | [`long_text`] |
//! | what callers said of the answers that a question got | [`pair_verdicts`] |
//! | why a put stores nothing | [`skip_reason`] |
//! | whether a stored answer may be served | [`confidence`] |
//! | the errors that callers get, and the limits on requests and replies | [`error`], [`limits`] |
//! | the environment variables of a function | [`config`] |
//! | the current time | [`clock`] |

pub mod answer;
pub mod clock;
pub mod confidence;
pub mod config;
pub mod context_key;
pub mod embedder;
pub mod embedding;
pub mod entry;
pub mod entry_id;
pub mod error;
pub mod limits;
pub mod long_text;
pub mod namespace;
pub mod namespace_settings;
pub mod normalize;
pub mod pair_verdicts;
pub mod question;
pub mod row_vectors;
pub mod scale;
pub mod skip_reason;
pub mod tag;
pub mod usage;

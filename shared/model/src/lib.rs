//! What things are: queries, vectors, entries, errors, configuration. Nothing here calls AWS.
//!
//! | to learn about | read |
//! | --- | --- |
//! | what a caller asks | [`question`], [`normalize`], [`context_key`] |
//! | what is stored | [`entry`], [`entry_id`], [`namespace`], [`row_vectors`] |
//! | vectors and their embedders | [`embedding`], [`embedder`] |
//! | whether an answer may be served | [`confidence`] |
//! | errors and limits | [`error`], [`limits`] |
//! | a function's settings and its clock | [`config`], [`clock`] |

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
pub mod namespace;
pub mod normalize;
pub mod question;
pub mod row_vectors;

//! The wire of OpenAI's Chat Completions API.
//!
//! Source: OpenAI API reference, "Chat Completions" (`POST /v1/chat/completions`) and "Streaming".
//!
//! | module | what |
//! | --- | --- |
//! | [`request`] | what of a request is compared with earlier ones |
//! | [`completion`] | a finished answer, from a JSON body or from a stored entry |
//! | [`stream`] | a finished answer, from server-sent events |
//! | [`replay`] | a stored answer as a JSON body or as server-sent events |
//! | [`error`] | errors in the form that OpenAI's clients read |
//!
//! The crate opens no connection.

pub mod completion;
pub mod error;
pub mod replay;
pub mod request;
pub mod stream;

//! One module per function; `lookup_batch` and `put_batch` test the requests with several items.

mod calibrate;
mod chat;
mod clear;
mod console;
mod delete;
mod feedback;
mod find;
mod get;
mod health;
mod list;
mod lookup;
mod lookup_batch;
mod meta;
mod namespaces;
mod provision;
mod put;
mod put_batch;
mod quota;
pub(crate) mod reembed;
mod settings;
mod snapshot;
mod stats;
mod touch;
mod update;
mod vacuum;

//! The table of the cache. This is the only crate with a DynamoDB client.
//!
//! Every mutation of entries is a transaction with the counter. [`actions`] makes the parts of a transaction, and
//! [`transaction`] sends it. All other writes go to single items. Only the scale of an
//! embedder changes answers among them.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the keys and the attributes of the table | [`key`], [`attribute`] |
//! | entries, their long answers, and the counter | [`entry_row`], [`answer_item`], [`counter`] |
//! | writing the scale of an embedder | `scale` |
//! | creating and checking the table | [`schema`] |
//! | the client and its writes to single items | [`table`] |
//! | reads by key and scans | [`read`] |
//! | reads from the indexes | [`index`] |
//! | waiting out a lack of capacity | `patience` |
//! | transactions and their actions | [`transaction`], [`actions`] |
//! | values, items and expressions in the types of the SDK | [`item`], [`expression`] |
//! | pointers and idempotency records | [`pointers`], [`idempotency_record`] |
//! | what callers said of the answers to a question | [`pair_verdicts`] |
//! | the number of rows of a namespace, its events, and the directory of namespaces | [`namespace_stats`] |
//! | leases: who makes the answer to a question that has none | [`leases`] |
//! | the lookups of each hour, and what they saved | [`hour_stats`] |
//! | the writer queue | [`queue_state`] |
//! | segments, their manifest and their basis | [`segments`] |
//! | moves to another embedder | [`vectors`], [`move_progress`] |
//! | quotas and meta | [`settings`] |
//! | which entries have a tag, and deletions by a tag | [`tag_blocks`], [`tag_deletion`] |
//! | the place where the next `vacuum` continues | [`vacuum_cursor`] |
//! | errors of DynamoDB, and which of them the SDK retries | [`backend_error`], `retry_conflicts` |
//! | the capacity that calls consume | [`capacity`] |

pub mod actions;
pub mod answer_item;
pub mod attribute;
pub mod backend_error;
pub mod capacity;
pub mod counter;
pub mod entry_row;
pub mod expression;
pub mod hour_stats;
pub mod idempotency_record;
pub mod index;
pub mod item;
pub mod key;
pub mod leases;
pub mod move_progress;
pub mod namespace_stats;
pub mod pair_verdicts;
mod patience;
pub mod pointers;
pub mod queue_state;
pub mod read;
mod retry_conflicts;
mod scale;
pub mod schema;
pub mod segments;
pub mod settings;
pub mod table;
pub mod tag_blocks;
pub mod tag_deletion;
pub mod transaction;
pub mod vacuum_cursor;
pub mod vectors;

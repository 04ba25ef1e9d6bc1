//! The table: the only crate with a DynamoDB client.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the table's format | [`key`], [`attribute`], [`item`], [`entry_row`], [`counter`] |
//! | reads | [`read`], [`index`] |
//! | transactions, which are all mutations | [`transaction`], [`actions`], [`expression`] |
//! | derived items | [`pointers`], [`namespace_stats`], [`queue_state`], [`segments`], [`move_progress`], [`vacuum_cursor`] |
//! | single writes | [`table`], [`vectors`] |
//! | creating and checking the table | [`schema`] |
//! | errors, retries and costs of calls | [`backend_error`], `retry_conflicts`, [`capacity`] |

pub mod actions;
pub mod attribute;
pub mod backend_error;
pub mod capacity;
pub mod counter;
pub mod entry_row;
pub mod expression;
pub mod index;
pub mod item;
pub mod key;
pub mod move_progress;
pub mod namespace_stats;
pub mod pointers;
pub mod queue_state;
pub mod read;
mod retry_conflicts;
pub mod schema;
pub mod segments;
pub mod table;
pub mod transaction;
pub mod vacuum_cursor;
pub mod vectors;

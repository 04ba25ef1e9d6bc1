//! The DynamoDB table: reading it, creating it, and the transactions that change it.
//!
//! [`Table`] reads; [`schema`] creates; [`transaction`] is the only caller of `TransactWriteItems`;
//! [`fault`] gives the service's errors their names; [`meter`] adds up what calls cost; `sweep` keeps `vacuum`'s place,
//! `reembedding` a move's.

mod conflict;
pub mod counter;
mod derived;
pub(crate) mod fault;
mod index;
mod line;
pub mod meter;
mod packed;
mod read;
mod reembedding;
pub mod schema;
mod sweep;
pub mod tally;
pub mod transaction;
mod vectors;

use aws_sdk_dynamodb::Client;

use conflict::RetryConflicts;
pub(crate) use fault::{table_missing, throttled};
pub use index::{HASH_INDEX, LRU_INDEX, LruKey};
use meter::Meter;
pub(crate) use read::ENTRY_ID;
pub use read::{Projection, Rows, ScanPage, pointed_entry};

/// One DynamoDB table, by name, through one client.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
    pub(crate) meter: Meter,
}

impl Table {
    /// The table `name` through a client configured as `client` is.
    pub fn over(client: &Client, name: &str) -> Self {
        let meter = Meter::default();
        let config = client.config().to_builder().interceptor(meter.clone()).retry_classifier(RetryConflicts).build();
        Self { client: Client::from_conf(config), name: name.to_owned(), meter }
    }
}

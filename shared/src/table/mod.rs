//! The DynamoDB table: reading it, creating it, and the transactions that change it.
//!
//! [`Table`] reads; [`schema`] creates; [`transaction`] is the only caller of `TransactWriteItems`;
//! [`fault`] gives the service's errors their names; [`meter`] adds up what calls cost; `sweep` keeps `vacuum`'s place, `reembedding` a move's; `trust`
//! says whose certificates are good.

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
mod trust;
mod vectors;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
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
    /// The table `name` through the SDK's own configuration: region, endpoint, profile and credentials come
    /// from the environment (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_PROFILE`, …).
    ///
    /// The SDK sets no time limit for an operation; here an attempt has 3 s and an operation with its retries 10 s.
    pub async fn connect(name: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(10))
            .build();
        let mut config =
            aws_config::from_env().timeout_config(timeouts).retry_config(RetryConfig::standard().with_max_attempts(3));
        if let Some(client) = trust::http_client(|name| std::env::var(name).ok()) {
            config = config.http_client(client);
        }
        let config = config.load().await;
        Self::over(&Client::new(&config), name)
    }

    /// The table `name` through a client configured as `client` is.
    pub fn over(client: &Client, name: &str) -> Self {
        let meter = Meter::default();
        let config = client.config().to_builder().interceptor(meter.clone()).retry_classifier(RetryConflicts).build();
        Self { client: Client::from_conf(config), name: name.to_owned(), meter }
    }
}

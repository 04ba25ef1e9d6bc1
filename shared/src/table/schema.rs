//! The table itself: its keys and indexes, created on request and checked.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ProvisionedThroughput, ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification,
    TimeToLiveStatus,
};
use serde::Serialize;
use tokio::time::Instant;

use super::fault::{self, Fault};
use super::{HASH_INDEX, LRU_INDEX, Table};
use crate::config::{Billing, Config, IndexProjection};
use crate::error::Error;

/// The table's partition key; it has no sort key.
pub const TABLE_KEY: &str = "id";

/// The attributes that the table's key and the indexes' keys use, with their types in DynamoDB's notation.
pub const KEY_ATTRIBUTES: [(&str, &str); 4] =
    [(TABLE_KEY, "N"), ("namespace", "S"), ("query_hash", "S"), ("last_accessed_at", "N")];

/// The key of one global secondary index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IndexSchema {
    /// The index's name.
    pub name: &'static str,
    /// The attribute of its partition key.
    pub partition_key: &'static str,
    /// The attribute of its sort key.
    pub sort_key: &'static str,
}

/// Every index of the table.
pub const INDEXES: [IndexSchema; 2] = [
    IndexSchema { name: HASH_INDEX, partition_key: "namespace", sort_key: "query_hash" },
    IndexSchema { name: LRU_INDEX, partition_key: "namespace", sort_key: "last_accessed_at" },
];

/// The attribute by which DynamoDB itself deletes expired entries.
pub const TTL_ATTRIBUTE: &str = "ttl";

/// How often a table that is being created is looked at.
const POLL: Duration = Duration::from_millis(500);

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, Error> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(Error::internal)
}

fn key_attributes() -> Result<Vec<AttributeDefinition>, Error> {
    let attribute = |(name, kind): (&str, &str)| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::from(kind)).build()
    };
    KEY_ATTRIBUTES.into_iter().map(attribute).collect::<Result<_, _>>().map_err(Error::internal)
}

fn throughput(billing: Billing) -> Result<Option<ProvisionedThroughput>, Error> {
    match billing {
        Billing::PayPerRequest => Ok(None),
        Billing::Provisioned { read_units, write_units } => ProvisionedThroughput::builder()
            .read_capacity_units(read_units)
            .write_capacity_units(write_units)
            .build()
            .map(Some)
            .map_err(Error::internal),
    }
}

fn index(schema: IndexSchema, config: &Config) -> Result<GlobalSecondaryIndex, Error> {
    let projection = match config.projection {
        IndexProjection::KeysOnly => ProjectionType::KeysOnly,
        IndexProjection::All => ProjectionType::All,
    };
    GlobalSecondaryIndex::builder()
        .index_name(schema.name)
        .key_schema(key(schema.partition_key, KeyType::Hash)?)
        .key_schema(key(schema.sort_key, KeyType::Range)?)
        .projection(Projection::builder().projection_type(projection).build())
        .set_provisioned_throughput(throughput(config.billing)?)
        .build()
        .map_err(Error::internal)
}

impl Table {
    /// Creates the table with both indexes, waits until it is active and switches TTL on.
    ///
    /// Returns whether this call created it; another creator's table is waited for all the same.
    /// Errors: `StoreBackendError`, also when it is not active by `deadline`.
    pub async fn create(&self, config: &Config, deadline: Instant) -> Result<bool, Error> {
        let billing = match config.billing {
            Billing::PayPerRequest => BillingMode::PayPerRequest,
            Billing::Provisioned { .. } => BillingMode::Provisioned,
        };
        let indexes = INDEXES.into_iter().map(|schema| index(schema, config)).collect::<Result<_, _>>()?;
        let created = self
            .client
            .create_table()
            .table_name(&self.name)
            .set_attribute_definitions(Some(key_attributes()?))
            .key_schema(key(TABLE_KEY, KeyType::Hash)?)
            .set_global_secondary_indexes(Some(indexes))
            .billing_mode(billing)
            .set_provisioned_throughput(throughput(config.billing)?)
            .send()
            .await;
        let created = match created {
            Ok(_) => true,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => false,
            Err(error) => return Err(fault::named("CreateTable", error)),
        };
        while self.describe().await?.is_none_or(|table| table.table_status != Some(TableStatus::Active)) {
            if Instant::now() + POLL >= deadline {
                return Err(Error::backend("the cache's table is still being created", "try again in half a minute")
                    .retry_after(30));
            }
            tokio::time::sleep(POLL).await;
        }
        self.switch_ttl_on().await?;
        Ok(created)
    }

    /// Switches DynamoDB's TTL on for `ttl`, unless it is on or being switched on.
    ///
    /// Reads: DescribeTimeToLive. Writes: UpdateTimeToLive where it is off.
    pub async fn switch_ttl_on(&self) -> Result<(), Error> {
        let described = self
            .client
            .describe_time_to_live()
            .table_name(&self.name)
            .send()
            .await
            .map_err(|error| fault::named("DescribeTimeToLive", error))?;
        let status = described.time_to_live_description.and_then(|ttl| ttl.time_to_live_status);
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let on = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(TTL_ATTRIBUTE)
            .build()
            .map_err(Error::internal)?;
        match self.client.update_time_to_live().table_name(&self.name).time_to_live_specification(on).send().await {
            Ok(_) => Ok(()),
            // A creator beside us was faster: DynamoDB refuses to enable what is enabled.
            Err(error) if fault::classify(&error) == Fault::Refused => Ok(()),
            Err(error) => Err(fault::named("UpdateTimeToLive", error)),
        }
    }

    /// Whether the table exists. Reads: DescribeTable.
    pub async fn exists(&self) -> Result<bool, Error> {
        Ok(self.describe().await?.is_some())
    }

    /// What DynamoDB says of the table; `None` when it does not exist.
    async fn describe(&self) -> Result<Option<TableDescription>, Error> {
        match self.client.describe_table().table_name(&self.name).send().await {
            Ok(output) => Ok(output.table),
            Err(error) if fault::classify(&error) == Fault::TableMissing => Ok(None),
            Err(error) => Err(fault::named("DescribeTable", error)),
        }
    }

    /// What of the table's schema is not as it must be, one sentence each; empty when all is well.
    ///
    /// Reads: DescribeTable. Errors: `StoreBackendError`, also when the table is missing.
    pub async fn schema_faults(&self) -> Result<Vec<String>, Error> {
        let table = self.describe().await?.ok_or_else(fault::table_missing)?;
        let keys_of = |schema: &[KeySchemaElement]| -> Vec<String> {
            schema.iter().map(|element| element.attribute_name.clone()).collect()
        };
        let mut faults = Vec::new();
        if table.table_status != Some(TableStatus::Active) && table.table_status != Some(TableStatus::Updating) {
            faults.push("the table is not active".to_owned());
        }
        if keys_of(table.key_schema()) != [TABLE_KEY] {
            faults.push("the table's key is not `id`".to_owned());
        }
        for IndexSchema { name, partition_key, sort_key } in INDEXES {
            let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
            match index {
                None => faults.push(format!("the index `{name}` is missing")),
                Some(index) if keys_of(index.key_schema()) != [partition_key, sort_key] => {
                    faults.push(format!("the index `{name}` is not on ({partition_key}, {sort_key})"));
                }
                Some(_) => {}
            }
        }
        Ok(faults)
    }
}

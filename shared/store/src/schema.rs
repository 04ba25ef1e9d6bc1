//! The schema of the table: its keys, indexes and TTL. Creates the table on request, and compares it with the schema.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ProvisionedThroughput, ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification,
    TimeToLiveStatus,
};
use mneme_aws::sdk_error::{SdkErrorKind, classify};
use mneme_model::config::{Billing, Config, IndexProjection};
use mneme_model::error::Error;
use serde::Serialize;
use tokio::time::Instant;

use crate::attribute as name;
use crate::backend_error;
use crate::index::{HASH_INDEX, LRU_INDEX};
use crate::table::Table;

/// The partition key of the table, which has no sort key.
pub const TABLE_KEY: &str = name::ID;

/// The attributes in the keys of the table and of the indexes, with their types in DynamoDB's notation.
pub const KEY_ATTRIBUTES: [(&str, &str); 4] =
    [(TABLE_KEY, "N"), (name::NAMESPACE, "S"), (name::QUERY_HASH, "S"), (name::LAST_ACCESSED_AT, "N")];

/// The key of one global secondary index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IndexSchema {
    /// The name of the index.
    pub name: &'static str,
    /// The attribute that is the partition key.
    pub partition_key: &'static str,
    /// The attribute that is the sort key.
    pub sort_key: &'static str,
}

/// Every index of the table.
pub const INDEXES: [IndexSchema; 2] = [
    IndexSchema { name: HASH_INDEX, partition_key: name::NAMESPACE, sort_key: name::QUERY_HASH },
    IndexSchema { name: LRU_INDEX, partition_key: name::NAMESPACE, sort_key: name::LAST_ACCESSED_AT },
];

/// The attribute by which DynamoDB itself deletes expired entries.
pub const TTL_ATTRIBUTE: &str = name::TTL;

/// The pause between two calls of DescribeTable while the table is being created.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

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
    /// Returns whether this call created the table. If another call is creating it, this one waits for that table.
    /// Writes: CreateTable, UpdateTimeToLive. Errors: `StoreBackendError`, also if the table is not active by
    /// `deadline`.
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
            Err(error) => return Err(backend_error::from_sdk("CreateTable", error)),
        };
        while self.describe().await?.is_none_or(|table| table.table_status != Some(TableStatus::Active)) {
            if Instant::now() + POLL_INTERVAL >= deadline {
                return Err(Error::backend("the cache's table is still being created", "try again in half a minute")
                    .retry_after(30));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.switch_ttl_on().await?;
        Ok(created)
    }

    /// Switches DynamoDB's TTL on for the attribute `ttl`, unless TTL is on or being switched on.
    ///
    /// Reads: DescribeTimeToLive. Writes: UpdateTimeToLive if TTL is off. Errors: `StoreBackendError`.
    pub async fn switch_ttl_on(&self) -> Result<(), Error> {
        let described = self
            .client
            .describe_time_to_live()
            .table_name(&self.name)
            .send()
            .await
            .map_err(|error| backend_error::from_sdk("DescribeTimeToLive", error))?;
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
            // Another call was faster. DynamoDB refuses to enable TTL if it is enabled.
            Err(error) if classify(&error) == SdkErrorKind::InvalidRequest => Ok(()),
            Err(error) => Err(backend_error::from_sdk("UpdateTimeToLive", error)),
        }
    }

    /// Whether the table exists. Reads: DescribeTable.
    pub async fn exists(&self) -> Result<bool, Error> {
        Ok(self.describe().await?.is_some())
    }

    /// DynamoDB's description of the table. `None` if the table does not exist.
    async fn describe(&self) -> Result<Option<TableDescription>, Error> {
        match self.client.describe_table().table_name(&self.name).send().await {
            Ok(output) => Ok(output.table),
            Err(error) if classify(&error) == SdkErrorKind::ResourceMissing => Ok(None),
            Err(error) => Err(backend_error::from_sdk("DescribeTable", error)),
        }
    }

    /// The differences between the table and the schema, one clause each. The list is empty if there are none.
    ///
    /// Reads: DescribeTable. Errors: `StoreBackendError`, also if the table is missing.
    pub async fn schema_faults(&self) -> Result<Vec<String>, Error> {
        let table = self.describe().await?.ok_or_else(backend_error::table_missing)?;
        Ok(schema_faults(&table))
    }
}

/// The differences between `table` and the schema.
fn schema_faults(table: &TableDescription) -> Vec<String> {
    let key_attributes = |schema: &[KeySchemaElement]| -> Vec<String> {
        schema.iter().map(|element| element.attribute_name.clone()).collect()
    };
    let mut faults = Vec::new();
    if !matches!(table.table_status, Some(TableStatus::Active | TableStatus::Updating)) {
        faults.push("the table is not active".to_owned());
    }
    if key_attributes(table.key_schema()) != [TABLE_KEY] {
        faults.push("the table's key is not `id`".to_owned());
    }
    for IndexSchema { name, partition_key, sort_key } in INDEXES {
        let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
        match index {
            None => faults.push(format!("the index `{name}` is missing")),
            Some(index) if key_attributes(index.key_schema()) != [partition_key, sort_key] => {
                faults.push(format!("the index `{name}` is not on ({partition_key}, {sort_key})"));
            }
            Some(_) => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::GlobalSecondaryIndexDescription;
    use aws_sdk_dynamodb::types::builders::TableDescriptionBuilder;

    use super::*;

    fn description(index: IndexSchema) -> GlobalSecondaryIndexDescription {
        GlobalSecondaryIndexDescription::builder()
            .index_name(index.name)
            .key_schema(key(index.partition_key, KeyType::Hash).unwrap())
            .key_schema(key(index.sort_key, KeyType::Range).unwrap())
            .build()
    }

    /// A table as [`Table::create`] makes it, without its indexes.
    fn table_without_indexes() -> TableDescriptionBuilder {
        let builder = TableDescription::builder().table_status(TableStatus::Active);
        builder.key_schema(key(TABLE_KEY, KeyType::Hash).unwrap())
    }

    #[test]
    fn schema_faults_of_complete_table_are_empty() {
        for status in [TableStatus::Active, TableStatus::Updating] {
            let table = table_without_indexes().table_status(status);
            let table =
                INDEXES.into_iter().fold(table, |table, index| table.global_secondary_indexes(description(index)));
            assert_eq!(schema_faults(&table.build()), Vec::<String>::new());
        }
    }

    #[test]
    fn schema_faults_name_missing_and_wrong_indexes() {
        let wrong = IndexSchema { sort_key: name::CREATED_AT, ..INDEXES[1] };
        let table = table_without_indexes().global_secondary_indexes(description(wrong)).build();
        let faults = ["the index `gsi_hash` is missing", "the index `gsi_lru` is not on (namespace, last_accessed_at)"];
        assert_eq!(schema_faults(&table), faults);
    }

    #[test]
    fn schema_faults_of_inactive_table_with_other_key_name_both() {
        let other_key = vec![key(TABLE_KEY, KeyType::Hash).unwrap(), key("created_at", KeyType::Range).unwrap()];
        let table = table_without_indexes().table_status(TableStatus::Creating).set_key_schema(Some(other_key));
        let faults = schema_faults(&table.build());
        assert_eq!(faults[..2], ["the table is not active", "the table's key is not `id`"]);
    }

    #[test]
    fn index_of_schema_has_configured_projection_and_throughput() {
        let all = [
            ("MNEME_GSI_PROJECTION", "ALL"),
            ("MNEME_BILLING_MODE", "PROVISIONED"),
            ("MNEME_PROVISIONED_CAPACITY", "5,7"),
        ];
        let built = index(INDEXES[0], &Config::with(&all)).unwrap();
        assert_eq!(built.projection.unwrap().projection_type, Some(ProjectionType::All));
        let throughput = built.provisioned_throughput.unwrap();
        assert_eq!((throughput.read_capacity_units, throughput.write_capacity_units), (5, 7));
        let built = index(INDEXES[0], &Config::with(&[])).unwrap();
        assert_eq!(built.projection.unwrap().projection_type, Some(ProjectionType::KeysOnly));
        assert_eq!(built.provisioned_throughput, None);
    }
}

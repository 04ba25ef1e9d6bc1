//! The client for one DynamoDB table, and its writes to single items outside transactions.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use mneme_aws::client_config::no_retries;
use mneme_model::error::Error;
use tokio::time::Instant;

use crate::attribute as name;
use crate::backend_error::{condition_held, from_sdk};
use crate::capacity::CapacityMeter;
use crate::expression::{Apply as _, Expression};
use crate::item::Item;
use crate::key::RowKey;
use crate::patience::Lanes;
use crate::retry_conflicts::RetryConflicts;

/// One DynamoDB table. The other modules of this crate add its operations. Clones share the client and the meter.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) capacity: CapacityMeter,
    /// The client of [`Table::patient_until`], without the SDK's own retries.
    pub(crate) patient_client: Client,
    /// Until when a call is sent again; `None`: the SDK decides.
    pub(crate) patience: Option<Instant>,
    pub(crate) lanes: Lanes,
}

impl Table {
    /// The table `name`. Its client has the configuration of `client`, and in addition counts capacity and sends a
    /// write again that conflicts with a transaction.
    pub fn over(client: &Client, name: &str) -> Self {
        let capacity = CapacityMeter::default();
        let config =
            client.config().to_builder().interceptor(capacity.clone()).retry_classifier(RetryConflicts).build();
        let patient = config.to_builder().retry_config(no_retries()).build();
        Self {
            client: Client::from_conf(config),
            name: name.to_owned(),
            capacity,
            patient_client: Client::from_conf(patient),
            patience: None,
            lanes: Lanes::default(),
        }
    }

    /// The meter of the capacity that calls through this table consumed.
    pub fn capacity(&self) -> &CapacityMeter {
        &self.capacity
    }

    /// Stores a derived item in place of any item with its key. Writes: one PutItem. Errors: `StoreBackendError`.
    pub async fn put_derived(&self, item: Item) -> Result<(), Error> {
        self.put_if(item, Expression::new()).await.map(|_| ())
    }

    /// Deletes a derived item without a condition. Writes: one DeleteItem. Errors: `StoreBackendError`.
    pub async fn delete_derived(&self, key: RowKey) -> Result<(), Error> {
        self.delete_if(key, Expression::new()).await.map(|_| ())
    }

    /// Stores `item` if the expression's condition holds. Returns whether it held.
    pub(crate) async fn put_if(&self, item: Item, expression: Expression) -> Result<bool, Error> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item)).apply(expression);
        let sent = self.patiently(|| put.clone().send()).await;
        condition_held("PutItem", sent, PutItemError::is_conditional_check_failed_exception)
    }

    /// Updates the item at `key` if the expression's condition holds. Returns whether it held.
    pub(crate) async fn update_if(&self, key: RowKey, expression: Expression) -> Result<bool, Error> {
        let update = self.client.update_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        let sent = self.patiently(|| update.clone().send()).await;
        condition_held("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }

    /// Updates the item at `key`. Returns the item before or after the update, as `returned` says.
    pub(crate) async fn update_returning(
        &self,
        key: RowKey,
        expression: Expression,
        returned: ReturnValue,
    ) -> Result<Item, Error> {
        let update = self.client.update_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        let update = update.return_values(returned);
        let sent = self.patiently(|| update.clone().send()).await;
        sent.map(|output| output.attributes.unwrap_or_default()).map_err(|error| from_sdk("UpdateItem", error))
    }

    /// Deletes the item at `key` if the expression's condition holds. Returns whether it held.
    pub(crate) async fn delete_if(&self, key: RowKey, expression: Expression) -> Result<bool, Error> {
        let delete = self.client.delete_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        let sent = self.patiently(|| delete.clone().send()).await;
        condition_held("DeleteItem", sent, DeleteItemError::is_conditional_check_failed_exception)
    }
}

//! One DynamoDB table, and the single writes to it that are not transactions.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use mneme_model::error::Error;

use crate::attribute as name;
use crate::backend_error::{applied, named};
use crate::capacity::CapacityMeter;
use crate::expression::{Apply as _, Expression};
use crate::item::Item;
use crate::key::RowKey;
use crate::retry_conflicts::RetryConflicts;

/// One DynamoDB table, by name, through one client.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) capacity: CapacityMeter,
}

impl Table {
    /// The table `name` through a client configured as `client` is.
    pub fn over(client: &Client, name: &str) -> Self {
        let capacity = CapacityMeter::default();
        let config =
            client.config().to_builder().interceptor(capacity.clone()).retry_classifier(RetryConflicts).build();
        Self { client: Client::from_conf(config), name: name.to_owned(), capacity }
    }

    /// What the calls through this table have cost.
    pub fn capacity(&self) -> &CapacityMeter {
        &self.capacity
    }

    /// Stores a derived item and replaces what was there. Writes: one PutItem. Errors: `StoreBackendError`.
    pub async fn put_derived(&self, item: Item) -> Result<(), Error> {
        self.put_if(item, Expression::new()).await.map(|_| ())
    }

    /// Removes a derived item, whatever it holds. Writes: one DeleteItem. Errors: `StoreBackendError`.
    pub async fn delete_derived(&self, key: RowKey) -> Result<(), Error> {
        self.delete_if(key, Expression::new()).await.map(|_| ())
    }

    /// Stores `item` if the expression's condition holds. False when it does not.
    pub(crate) async fn put_if(&self, item: Item, expression: Expression) -> Result<bool, Error> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item)).apply(expression);
        applied("PutItem", put.send().await, PutItemError::is_conditional_check_failed_exception)
    }

    /// Changes the row at `key` if the expression's condition holds. False when it does not.
    pub(crate) async fn update_if(&self, key: RowKey, expression: Expression) -> Result<bool, Error> {
        let update = self.client.update_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        applied("UpdateItem", update.send().await, UpdateItemError::is_conditional_check_failed_exception)
    }

    /// Changes the row at `key` and returns it as it was before or is after, as `returned` says.
    pub(crate) async fn update_returning(
        &self,
        key: RowKey,
        expression: Expression,
        returned: ReturnValue,
    ) -> Result<Item, Error> {
        let update = self.client.update_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        let sent = update.return_values(returned).send().await;
        sent.map(|output| output.attributes.unwrap_or_default()).map_err(|error| named("UpdateItem", error))
    }

    /// Removes the row at `key` if the expression's condition holds. False when it does not.
    pub(crate) async fn delete_if(&self, key: RowKey, expression: Expression) -> Result<bool, Error> {
        let delete = self.client.delete_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        applied("DeleteItem", delete.send().await, DeleteItemError::is_conditional_check_failed_exception)
    }
}

//! Single writes to derived items and to the counter's next id, which count as no mutation.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::fault::{applied, named};
use super::{ENTRY_ID, Table};
use crate::error::Error;
use crate::key::{EntryId, RowKey};

impl Table {
    /// Points `pointer` at `id`, if it still points where it was seen to. False when it does not.
    pub(crate) async fn set_pointer(&self, pointer: RowKey, seen: Option<EntryId>, id: EntryId) -> Result<bool, Error> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("id", pointer.attribute())
            .item(ENTRY_ID, AttributeValue::N(id.to_string()));
        let put = match seen {
            None => put.condition_expression("attribute_not_exists(#id)").expression_attribute_names("#id", "id"),
            Some(seen) => put
                .condition_expression("#entry_id = :seen")
                .expression_attribute_names("#entry_id", ENTRY_ID)
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string())),
        };
        applied("PutItem", put.send().await, PutItemError::is_conditional_check_failed_exception)
    }

    /// Removes `pointer`, if it still points at `id`. False when it does not.
    pub(crate) async fn drop_pointer(&self, pointer: RowKey, id: EntryId) -> Result<bool, Error> {
        let sent = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("id", pointer.attribute())
            .condition_expression("#entry_id = :id")
            .expression_attribute_names("#entry_id", ENTRY_ID)
            .expression_attribute_values(":id", AttributeValue::N(id.to_string()))
            .send()
            .await;
        applied("DeleteItem", sent, DeleteItemError::is_conditional_check_failed_exception)
    }

    /// Removes a receipt that is over at `now_secs`. False when it is not.
    pub(crate) async fn drop_receipt(&self, receipt: RowKey, now_secs: i64) -> Result<bool, Error> {
        let sent = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("id", receipt.attribute())
            .condition_expression("#ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", AttributeValue::N(now_secs.to_string()))
            .send()
            .await;
        applied("DeleteItem", sent, DeleteItemError::is_conditional_check_failed_exception)
    }

    /// Removes a derived item, whatever it holds. Writes: one DeleteItem.
    pub(crate) async fn drop_derived(&self, key: RowKey) -> Result<(), Error> {
        let sent = self.client.delete_item().table_name(&self.name).key("id", key.attribute()).send().await;
        sent.map(|_| ()).map_err(|error| named("DeleteItem", error))
    }

    /// Makes the counter's next id higher than `id`, if it is not. True when it was moved.
    pub(crate) async fn move_counter_past(&self, id: u64) -> Result<bool, Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::COUNTER.attribute())
            .update_expression("SET #next_id = :next_id")
            .condition_expression("#next_id <= :id")
            .expression_attribute_names("#next_id", "next_id")
            .expression_attribute_values(":next_id", AttributeValue::N((id + 1).to_string()))
            .expression_attribute_values(":id", AttributeValue::N(id.to_string()))
            .send()
            .await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }
}

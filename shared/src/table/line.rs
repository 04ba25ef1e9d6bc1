//! The line that writers form before the counter when there is more than one of them: two numbers in a derived item.
//!
//! It orders attempts and promises nothing: whatever becomes of it, the transactions' conditions decide.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::Table;
use super::fault::{applied, named};
use crate::entry::{Item, number};
use crate::error::Error;
use crate::key::RowKey;

/// The line as it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The last ticket given out; the first is 1.
    pub(crate) issued: u64,
    /// The last ticket whose holder is done.
    pub(crate) served: u64,
}

impl Line {
    fn from_item(item: &Item) -> Self {
        Self { issued: number(item, "issued").unwrap_or(0), served: number(item, "served").unwrap_or(0) }
    }
}

impl Table {
    /// Takes a ticket: the returned line's `issued`. Writes: one UpdateItem.
    pub(crate) async fn take_ticket(&self) -> Result<Line, Error> {
        let output = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::LINE.attribute())
            .update_expression("ADD #issued :one")
            .expression_attribute_names("#issued", "issued")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|error| named("UpdateItem", error))?;
        Ok(Line::from_item(&output.attributes.unwrap_or_default()))
    }

    /// The line now. Reads: one key, strongly.
    pub(crate) async fn line(&self) -> Result<Line, Error> {
        Ok(self.get(RowKey::LINE, true).await?.as_ref().map(Line::from_item).unwrap_or_default())
    }

    /// Lets the holder of the ticket after `ticket` go. Writes: one UpdateItem, unless a later one was let go before.
    pub(crate) async fn serve_next(&self, ticket: u64) -> Result<bool, Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::LINE.attribute())
            .update_expression("SET #served = :ticket")
            .condition_expression("attribute_not_exists(#served) OR #served < :ticket")
            .expression_attribute_names("#served", "served")
            .expression_attribute_values(":ticket", AttributeValue::N(ticket.to_string()))
            .send()
            .await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }
}

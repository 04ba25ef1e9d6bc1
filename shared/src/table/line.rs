//! The line that writers form before the counter when there is more than one of them: two numbers in a derived item.
//!
//! It orders attempts and promises nothing: whatever becomes of it, the transactions' conditions decide.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::counter::Counter;
use super::fault::{applied, named};
use super::{Projection, Table};
use crate::entry::{Item, number};
use crate::error::Error;
use crate::key::RowKey;

/// The line as it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The last ticket given out; the first is 1.
    pub(crate) issued: u64,
    /// The last ticket whose holder is done; never above `issued`.
    pub(crate) served: u64,
    /// When either last changed, in epoch milliseconds.
    pub(crate) changed_at_ms: i64,
}

impl Line {
    fn from_item(item: &Item) -> Self {
        let changed_at_ms = [number(item, "issued_at"), number(item, "served_at")].into_iter().flatten().max();
        Self {
            issued: number(item, "issued").unwrap_or(0),
            served: number(item, "served").unwrap_or(0),
            changed_at_ms: changed_at_ms.unwrap_or(0),
        }
    }
}

fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl Table {
    /// Takes the ticket after the returned line's last one. Writes: one UpdateItem.
    pub(crate) async fn take_ticket(&self, now_ms: i64) -> Result<Line, Error> {
        let output = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::LINE.attribute())
            .update_expression("SET #issued_at = :now ADD #issued :one")
            .expression_attribute_names("#issued", "issued")
            .expression_attribute_names("#issued_at", "issued_at")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| named("UpdateItem", error))?;
        Ok(Line::from_item(&output.attributes.unwrap_or_default()))
    }

    /// The line now, and the counter, which whoever is the first in line needs next. Reads: two keys, strongly.
    pub(crate) async fn line_and_counter(&self) -> Result<(Line, Option<Counter>), Error> {
        let rows = self.batch_get([RowKey::LINE, RowKey::COUNTER], Projection::Whole).await?;
        let line = rows.get(RowKey::LINE).map(Line::from_item).unwrap_or_default();
        Ok((line, rows.get(RowKey::COUNTER).map(Counter::from_item).transpose()?))
    }

    /// Lets the holder of the ticket after `ticket` go. Writes: one UpdateItem, unless a later one was let go before, or
    /// the line is another one since.
    pub(crate) async fn serve_next(&self, ticket: u64, now_ms: i64) -> Result<bool, Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::LINE.attribute())
            .update_expression("SET #served = :ticket, #served_at = :now")
            .condition_expression("#issued >= :ticket AND (attribute_not_exists(#served) OR #served < :ticket)")
            .expression_attribute_names("#issued", "issued")
            .expression_attribute_names("#served", "served")
            .expression_attribute_names("#served_at", "served_at")
            .expression_attribute_values(":ticket", n(ticket))
            .expression_attribute_values(":now", n(now_ms))
            .send()
            .await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }
}

//! The state of the writer queue: two numbers in a derived item.
//!
//! The queue only reduces contention. Whatever happens to this item, the conditions of the transactions decide what is
//! written.

use aws_sdk_dynamodb::types::ReturnValue;
use mneme_model::error::Error;

use crate::attribute as name;
use crate::counter::Counter;
use crate::expression::{Condition, Expression};
use crate::item::{Item, n, number};
use crate::key::RowKey;
use crate::read::Projection;
use crate::table::Table;

/// The writer queue as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// The last ticket given out; the first is 1.
    pub issued: u64,
    /// The last ticket that was released; never above `issued`.
    pub served: u64,
    /// When either last changed, in epoch milliseconds.
    pub changed_at_ms: i64,
}

impl QueueState {
    fn from_item(item: &Item) -> Self {
        let changed_at_ms = [name::ISSUED_AT, name::SERVED_AT].into_iter().filter_map(|at| number(item, at)).max();
        Self {
            issued: number(item, name::ISSUED).unwrap_or(0),
            served: number(item, name::SERVED).unwrap_or(0),
            changed_at_ms: changed_at_ms.unwrap_or(0),
        }
    }
}

impl Table {
    /// Takes the next ticket and returns the queue as it was before: the ticket's number is `issued + 1`.
    /// Writes: one UpdateItem.
    pub async fn take_ticket(&self, now_ms: i64) -> Result<QueueState, Error> {
        let expression = Expression::new().set(name::ISSUED_AT, n(now_ms)).add(name::ISSUED, n(1));
        let before = self.update_returning(RowKey::WRITER_QUEUE, expression, ReturnValue::AllOld).await?;
        Ok(QueueState::from_item(&before))
    }

    /// The queue, and the counter, which the first in the queue needs next. Reads: two keys, strongly.
    pub async fn queue_and_counter(&self) -> Result<(QueueState, Option<Counter>), Error> {
        let rows = self.batch_get([RowKey::WRITER_QUEUE, RowKey::COUNTER], Projection::All).await?;
        let queue = rows.get(RowKey::WRITER_QUEUE).map(QueueState::from_item).unwrap_or_default();
        Ok((queue, rows.get(RowKey::COUNTER).map(Counter::from_item).transpose()?))
    }

    /// Releases `ticket`, so that the holder of the next one may go on. False where a later ticket was released before, or
    /// the item was made anew since. Writes: one UpdateItem.
    pub async fn release_ticket(&self, ticket: u64, now_ms: i64) -> Result<bool, Error> {
        let is_unreleased =
            Condition::Any(vec![Condition::Absent(name::SERVED), Condition::below(name::SERVED, n(ticket))]);
        let expression = Expression::when(Condition::at_least(name::ISSUED, n(ticket)))
            .and(is_unreleased)
            .set(name::SERVED, n(ticket))
            .set(name::SERVED_AT, n(now_ms));
        self.update_if(RowKey::WRITER_QUEUE, expression).await
    }
}

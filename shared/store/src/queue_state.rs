//! The state of the writer queue: the last ticket given out and the last ticket released, in a derived item.
//!
//! The queue only reduces contention. The conditions of the transactions decide what is written, even if this item is
//! lost or wrong.

use aws_sdk_dynamodb::types::ReturnValue;
use mneme_model::error::Error;

use crate::attribute as name;
use crate::counter::Counter;
use crate::expression::{Condition, Expression};
use crate::item::{Item, n, number, s, text};
use crate::key::RowKey;
use crate::read::Projection;
use crate::table::Table;

/// The writer queue as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// The last ticket given out. The first ticket is 1.
    pub issued: u64,
    /// The last ticket released. It is never above `issued`.
    pub served: u64,
    /// The time of the last change of either number, in epoch milliseconds.
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
    /// Takes the next ticket for the writer `nonce`. Returns the queue before that, so the ticket's number is
    /// `issued + 1`.
    ///
    /// The update is sent once: if the SDK sent it again after a lost reply, it would take a second ticket, which nobody
    /// holds and all later writers wait for. After a lost reply the item tells whether the last ticket is this writer's.
    /// Writes: one UpdateItem. Reads: the item, after a lost reply. Errors: `StoreBackendError`, also if other writers
    /// have taken tickets since, so that the outcome is not known.
    pub async fn take_ticket(&self, nonce: &str, now_ms: i64) -> Result<QueueState, Error> {
        let expression =
            Expression::new().set(name::ISSUED_AT, n(now_ms)).set(name::TICKET_NONCE, s(nonce)).add(name::ISSUED, n(1));
        let sent = self.without_retries().update_returning(RowKey::WRITER_QUEUE, expression, ReturnValue::AllOld).await;
        let error = match sent {
            Ok(before) => return Ok(QueueState::from_item(&before)),
            Err(error) => error,
        };
        match self.get(RowKey::WRITER_QUEUE, true).await? {
            Some(item) if text(&item, name::TICKET_NONCE).as_deref() == Some(nonce) => {
                let queue = QueueState::from_item(&item);
                Ok(QueueState { issued: queue.issued.saturating_sub(1), ..queue })
            }
            _ => Err(error),
        }
    }

    /// The queue and the counter, which the first writer of the queue needs next. Reads: two keys in one BatchGetItem,
    /// strongly consistent.
    pub async fn queue_and_counter(&self) -> Result<(QueueState, Option<Counter>), Error> {
        let rows = self.batch_get([RowKey::WRITER_QUEUE, RowKey::COUNTER], Projection::All).await?;
        let queue = rows.get(RowKey::WRITER_QUEUE).map(QueueState::from_item).unwrap_or_default();
        Ok((queue, rows.get(RowKey::COUNTER).map(Counter::from_item).transpose()?))
    }

    /// Releases `ticket`, so that the holder of the next one may continue. False if this or a later ticket was released
    /// before, or if the item was lost since the ticket was taken. Writes: one UpdateItem.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_item_has_time_of_later_change() {
        for (issued_at, served_at) in [(5, 9), (9, 5)] {
            let item = Item::from([
                (name::ISSUED.to_owned(), n(3)),
                (name::ISSUED_AT.to_owned(), n(issued_at)),
                (name::SERVED.to_owned(), n(2)),
                (name::SERVED_AT.to_owned(), n(served_at)),
            ]);
            assert_eq!(QueueState::from_item(&item), QueueState { issued: 3, served: 2, changed_at_ms: 9 });
        }
    }

    #[test]
    fn from_item_without_attributes_is_empty_queue() {
        assert_eq!(QueueState::from_item(&Item::new()), QueueState::default());
    }
}

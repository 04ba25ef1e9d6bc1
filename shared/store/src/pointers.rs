//! Single writes to pointers, idempotency records and the counter's next id. They count as no mutation.

use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, n};
use crate::key::RowKey;
use crate::table::Table;

/// The item of a pointer to the entry `id`.
pub(crate) fn pointer_item(pointer: RowKey, id: EntryId) -> Item {
    Item::from([(name::ID.to_owned(), pointer.attribute()), (name::ENTRY_ID.to_owned(), n(id))])
}

/// The condition that a pointer still leads to `seen`, or, where that is `None`, still does not exist.
pub(crate) fn still_leads_to(seen: Option<EntryId>) -> Condition {
    seen.map_or(Condition::Absent(name::ID), |seen| Condition::equals(name::ENTRY_ID, n(seen)))
}

impl Table {
    /// Makes `pointer` lead to `id`, if it still leads to `seen`. False when it does not. Writes: one PutItem.
    pub async fn set_pointer(&self, pointer: RowKey, seen: Option<EntryId>, id: EntryId) -> Result<bool, Error> {
        self.put_if(pointer_item(pointer, id), Expression::when(still_leads_to(seen))).await
    }

    /// Removes `pointer`, if it still leads to `id`. False when it does not. Writes: one DeleteItem.
    pub async fn delete_pointer(&self, pointer: RowKey, id: EntryId) -> Result<bool, Error> {
        self.delete_if(pointer, Expression::when(Condition::equals(name::ENTRY_ID, n(id)))).await
    }

    /// Removes an idempotency record that has expired at `now_secs`. False when it has not. Writes: one DeleteItem.
    pub async fn delete_idempotency_record(&self, record: RowKey, now_secs: i64) -> Result<bool, Error> {
        self.delete_if(record, Expression::when(Condition::at_most(name::TTL, n(now_secs)))).await
    }

    /// Raises the counter's next id above `id`, if it is not above it yet. True when it was raised. Writes: one UpdateItem.
    pub async fn raise_next_id_above(&self, id: u64) -> Result<bool, Error> {
        let expression = Expression::when(Condition::at_most(name::NEXT_ID, n(id))).set(name::NEXT_ID, n(id + 1));
        self.update_if(RowKey::COUNTER, expression).await
    }
}

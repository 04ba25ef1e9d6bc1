//! The actions of transactions. Each function makes one action, or several, with its conditions; none sends a request.

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
};
use mneme_model::entry::{Entry, EntryHeader};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::row_vectors::RowVectors;

use crate::attribute as name;
use crate::counter::Counter;
use crate::entry_row::generation_value;
use crate::expression::{Apply as _, Condition, Expression};
use crate::item::{Item, b, n, s};
use crate::key::RowKey;
use crate::namespace_stats::EventCounts;
use crate::pointers::{pointer_item, still_names};
use crate::table::Table;

/// The amounts that a transaction adds to the stats of a namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatsChange {
    /// Rows added minus rows removed.
    pub entries: i64,
    /// Whether an entry with a time to live was written.
    pub has_ttl: bool,
    /// The events that the transaction counts.
    pub counts: EventCounts,
}

impl StatsChange {
    fn is_empty(&self) -> bool {
        self.entries == 0 && !self.has_ttl && self.counts.nonzero().next().is_none()
    }
}

/// The condition under which a row is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCondition {
    /// The row exists.
    Exists,
    /// No access to the row was recorded since its header was read.
    NotAccessed,
    /// The row was not replaced since its header was read.
    NotPutAgain,
}

impl Table {
    fn put_action(&self, item: Item, expression: Expression) -> Result<TransactWriteItem, Error> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).apply(expression);
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }

    fn delete_action(&self, key: RowKey, expression: Expression) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build())
    }

    fn update_builder(&self, key: RowKey, expression: Expression) -> UpdateBuilder {
        Update::builder().table_name(&self.name).key(name::ID, key.attribute()).apply(expression)
    }

    fn update_action(&self, update: UpdateBuilder) -> Result<TransactWriteItem, Error> {
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    }

    /// Updates item 0. If the condition fails, DynamoDB returns the item with the cancellation.
    pub fn update_counter(&self, expression: Expression) -> Result<TransactWriteItem, Error> {
        let update = self.update_builder(RowKey::COUNTER, expression);
        self.update_action(update.return_values_on_condition_check_failure(OnFailure::AllOld))
    }

    /// The action on the counter for `mutations` puts, of which `ids` take an id. It takes the ids from `seen.next_id` on
    /// and raises the version, if both numbers are still those of `seen`. It stamps `dim` if the cache has no dimension.
    pub fn claim_ids(
        &self,
        seen: &Counter,
        ids: u64,
        mutations: u64,
        dim: Option<u32>,
    ) -> Result<TransactWriteItem, Error> {
        let mut expression = Expression::new()
            .set(name::NEXT_ID, n(seen.next_id + ids))
            .set(name::VERSION, n(seen.version + mutations))
            .and(Condition::equals(name::NEXT_ID, n(seen.next_id)))
            .and(Condition::equals(name::VERSION, n(seen.version)));
        if let (None, Some(dim)) = (seen.dim, dim) {
            expression = expression.set(name::DIM, n(dim));
        }
        self.update_counter(expression)
    }

    /// The action on the counter for mutations that take no id. It raises the version by `mutations` if the counter
    /// exists, whatever the version is.
    pub fn raise_version(&self, mutations: u64) -> Result<TransactWriteItem, Error> {
        self.update_counter(Expression::when(Condition::Exists(name::VERSION)).add(name::VERSION, n(mutations)))
    }

    /// Stores the row `item`, if no row has its id.
    pub fn insert_row(&self, item: Item) -> Result<TransactWriteItem, Error> {
        self.put_action(item, Expression::when(Condition::Absent(name::ID)))
    }

    /// Stores the row `item` in place of `seen`, if the stored row still has the namespace, the query hash, the first
    /// vector and the generations of `seen`.
    pub fn replace_row(&self, item: Item, seen: &Entry) -> Result<TransactWriteItem, Error> {
        let RowVectors { embedding, generation, next } = &seen.vectors;
        let is_same_vector = match embedding {
            Some(embedding) => Condition::equals(name::EMBEDDING, b(embedding.clone())),
            None => Condition::Empty(name::EMBEDDING),
        };
        let next_generation = next.as_ref().map(|(generation, _)| generation_value(*generation));
        let expression = Expression::when(Condition::equals(name::NAMESPACE, s(seen.namespace.to_string())))
            .and(Condition::equals(name::QUERY_HASH, s(seen.query_hash.to_string())))
            .and(is_same_vector)
            .and(Condition::is(name::EMBEDDING_GENERATION, generation.map(generation_value)))
            .and(Condition::is(name::NEXT_GENERATION, next_generation));
        self.put_action(item, expression)
    }

    /// Deletes the entry's row if `condition` holds.
    pub fn delete_row(&self, row: &EntryHeader, condition: DeleteCondition) -> Result<TransactWriteItem, Error> {
        let condition = match condition {
            DeleteCondition::Exists => Condition::Exists(name::ID),
            DeleteCondition::NotAccessed => Condition::equals(name::LAST_ACCESSED_AT, n(row.last_accessed_at)),
            DeleteCondition::NotPutAgain => Condition::equals(name::CREATED_AT, n(row.created_at)),
        };
        self.delete_action(row.id.into(), Expression::when(condition))
    }

    /// Sets the entry's last access to `now_secs` and counts the access, if the row exists.
    pub fn touch_row(&self, id: EntryId, now_secs: i64) -> Result<TransactWriteItem, Error> {
        let expression = Expression::when(Condition::Exists(name::ID))
            .set(name::LAST_ACCESSED_AT, n(now_secs))
            .add(name::ACCESS_COUNT, n(1));
        self.update_action(self.update_builder(id.into(), expression))
    }

    /// Makes `pointer` name `id`, if it still names `seen`, or still does not exist if `seen` is `None`.
    pub fn point(&self, pointer: RowKey, seen: Option<EntryId>, id: EntryId) -> Result<TransactWriteItem, Error> {
        self.put_action(pointer_item(pointer, id), Expression::when(still_names(seen)))
    }

    /// Deletes `pointer`, if it names one of `ids` or does not exist. `ids` must not be empty.
    pub fn unpoint(&self, pointer: RowKey, ids: &[EntryId]) -> Result<TransactWriteItem, Error> {
        let ids = ids.iter().map(n).collect();
        let condition = Condition::Any(vec![Condition::Absent(name::ID), Condition::OneOf(name::ENTRY_ID, ids)]);
        self.delete_action(pointer, Expression::when(condition))
    }

    /// Stores the reply to a put under its idempotency key until the epoch second `until`, if there is no record or the
    /// record has expired at `now_secs`.
    pub fn put_idempotency_record(
        &self,
        record: RowKey,
        id: EntryId,
        created: bool,
        now_secs: i64,
        until: i64,
    ) -> Result<TransactWriteItem, Error> {
        let item = Item::from([
            (name::ID.to_owned(), record.attribute()),
            (name::ENTRY_ID.to_owned(), n(id)),
            (name::CREATED.to_owned(), AttributeValue::Bool(created)),
            (name::TTL.to_owned(), n(until)),
        ]);
        let is_free = Condition::Any(vec![Condition::Absent(name::ID), Condition::at_most(name::TTL, n(now_secs))]);
        self.put_action(item, Expression::when(is_free))
    }

    /// Adds each change to the stats of its namespace. If `whole_table` is given, adds the changes of rows of all
    /// namespaces to the stats at that key. Changes that add nothing give no action.
    pub fn change_stats<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a Namespace, StatsChange)>,
        whole_table: Option<RowKey>,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let mut actions = Vec::new();
        let mut whole = StatsChange::default();
        for (namespace, change) in changes {
            whole.entries += change.entries;
            whole.has_ttl |= change.has_ttl;
            if !change.is_empty() {
                actions.push(self.change_one_stats(RowKey::namespace_stats(namespace), Some(namespace), &change)?);
            }
        }
        if let Some(key) = whole_table.filter(|_| !whole.is_empty()) {
            actions.push(self.change_one_stats(key, None, &whole)?);
        }
        Ok(actions)
    }

    fn change_one_stats(
        &self,
        key: RowKey,
        namespace: Option<&Namespace>,
        change: &StatsChange,
    ) -> Result<TransactWriteItem, Error> {
        let mut expression = Expression::new().add(name::ENTRIES, n(change.entries)).add_counts(&change.counts);
        if let Some(namespace) = namespace {
            expression = expression.set(name::NAME, s(namespace.to_string()));
        }
        if change.has_ttl {
            expression = expression.set(name::HAS_TTL, AttributeValue::Bool(true));
        }
        self.update_action(self.update_builder(key, expression))
    }
}

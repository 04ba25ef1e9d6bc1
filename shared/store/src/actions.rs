//! The actions that transactions are made of.

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
use crate::pointers::{pointer_item, still_leads_to};
use crate::table::Table;

/// What a transaction adds to the statistics of a namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatsChange {
    /// Rows added minus rows removed.
    pub entries: i64,
    /// Whether an entry with a time to live was written.
    pub has_ttl: bool,
    /// Events to count.
    pub counts: EventCounts,
}

impl StatsChange {
    fn is_nothing(&self) -> bool {
        self.entries == 0 && !self.has_ttl && self.counts.nonzero().next().is_none()
    }
}

/// What must still hold of a row for it to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCondition {
    /// It exists.
    Exists,
    /// It was not accessed since its header was read.
    NotAccessed,
    /// It was not put again since its header was read.
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

    /// Changes item 0. When the condition fails, DynamoDB returns the item as it is.
    pub fn update_counter(&self, expression: Expression) -> Result<TransactWriteItem, Error> {
        let update = self.update_builder(RowKey::COUNTER, expression);
        self.update_action(update.return_values_on_condition_check_failure(OnFailure::AllOld))
    }

    /// The counter's part of `mutations` puts, `ids` of which take an id: takes `ids` from `seen.next_id` on and raises the
    /// version, if both are still as in `seen`. Stamps `dim` on a cache whose dimension is not known.
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

    /// The counter's part of mutations that take no id: raises the version by `mutations`, whatever it is.
    pub fn raise_version(&self, mutations: u64) -> Result<TransactWriteItem, Error> {
        self.update_counter(Expression::when(Condition::Exists(name::VERSION)).add(name::VERSION, n(mutations)))
    }

    /// Stores the row `item` under an id that is not taken.
    pub fn insert_row(&self, item: Item) -> Result<TransactWriteItem, Error> {
        self.put_action(item, Expression::when(Condition::Absent(name::ID)))
    }

    /// Stores the row `item` in place of `seen`, if that row still has its namespace, its query hash and its vectors.
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

    /// Makes `pointer` lead to `id`, if it still leads to `seen`.
    pub fn point(&self, pointer: RowKey, seen: Option<EntryId>, id: EntryId) -> Result<TransactWriteItem, Error> {
        self.put_action(pointer_item(pointer, id), Expression::when(still_leads_to(seen)))
    }

    /// Removes `pointer`, if it leads to one of `ids`, of which there is at least one, or does not exist.
    pub fn unpoint(&self, pointer: RowKey, ids: &[EntryId]) -> Result<TransactWriteItem, Error> {
        let ids = ids.iter().map(n).collect();
        let condition = Condition::Any(vec![Condition::Absent(name::ID), Condition::OneOf(name::ENTRY_ID, ids)]);
        self.delete_action(pointer, Expression::when(condition))
    }

    /// Stores the reply of a put under its idempotency key until the epoch second `until`, if no unexpired record exists.
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

    /// Adds each namespace's change to its statistics, and all changes of rows to the statistics at `whole_table`.
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
            if !change.is_nothing() {
                actions.push(self.change_one(RowKey::namespace_stats(namespace), Some(namespace), &change)?);
            }
        }
        if let Some(key) = whole_table.filter(|_| !whole.is_nothing()) {
            actions.push(self.change_one(key, None, &whole)?);
        }
        Ok(actions)
    }

    fn change_one(
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

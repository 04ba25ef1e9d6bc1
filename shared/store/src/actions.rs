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
use mneme_model::tag::Tag;

use crate::attribute as name;
use crate::counter::Counter;
use crate::entry_row::generation_value;
use crate::expression::{Apply as _, Condition, Expression};
use crate::idempotency_record::IdempotencyRecord;
use crate::item::{Item, b, n, s};
use crate::key::RowKey;
use crate::namespace_stats::EventCounts;
use crate::pointers::points_to;
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
    /// Adds the amounts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.has_ttl |= other.has_ttl;
        self.counts.add(&other.counts);
    }

    fn is_empty(&self) -> bool {
        self.entries == 0 && !self.has_ttl && self.counts.nonzero().next().is_none()
    }

    /// What `changes` of namespaces are for the whole table, which counts rows and no events.
    fn of_table<'a>(changes: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut whole = changes.into_iter().fold(Self::default(), |mut whole, change| {
            whole.add(change);
            whole
        });
        whole.counts = EventCounts::default();
        whole
    }

    /// How many actions [`Table::change_stats`] makes of `changes`, one of each namespace. `has_table`: whether the stats
    /// of the whole table are changed as well.
    pub fn actions<'a>(changes: impl IntoIterator<Item = &'a Self> + Clone, has_table: bool) -> usize {
        let namespaces = changes.clone().into_iter().filter(|change| !change.is_empty()).count();
        namespaces + usize::from(has_table && !Self::of_table(changes).is_empty())
    }
}

/// The condition under which a row is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCondition<'a> {
    /// The row exists.
    Exists,
    /// No access to the row was recorded since its header was read.
    NotAccessed,
    /// The row still has this tag.
    Tagged(&'a Tag),
    /// The row was not replaced since its header was read, and its life was not prolonged.
    StillExpired,
}

impl Table {
    pub(crate) fn put_action(&self, item: Item, expression: Expression) -> Result<TransactWriteItem, Error> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).apply(expression);
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }

    pub(crate) fn delete_action(&self, key: RowKey, expression: Expression) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build())
    }

    pub(crate) fn update_builder(&self, key: RowKey, expression: Expression) -> UpdateBuilder {
        Update::builder().table_name(&self.name).key(name::ID, key.attribute()).apply(expression)
    }

    pub(crate) fn update_action(&self, update: UpdateBuilder) -> Result<TransactWriteItem, Error> {
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    }

    /// Updates item 0. If the condition fails, DynamoDB returns the item with the cancellation.
    pub fn update_counter(&self, expression: Expression) -> Result<TransactWriteItem, Error> {
        let update = self.update_builder(RowKey::COUNTER, expression);
        self.update_action(update.return_values_on_condition_check_failure(OnFailure::AllOld))
    }

    /// The action on the counter for `mutations` puts, of which `ids` take an id. It takes the ids from `seen.next_id`
    /// on and raises the version, if both numbers are still those of `seen`. It stamps `dim` if the cache has no
    /// dimension.
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
    /// vector, the generations and the answer item of `seen`.
    pub fn replace_row(&self, item: Item, seen: &Entry) -> Result<TransactWriteItem, Error> {
        let RowVectors { embedding, generation, next, unread: _ } = &seen.vectors;
        let is_same_vector = match embedding {
            Some(embedding) => Condition::equals(name::EMBEDDING, b(embedding.clone())),
            None => Condition::Empty(name::EMBEDDING),
        };
        let next_generation = next.as_ref().map(|(generation, _)| generation_value(*generation));
        let expression = Expression::when(Condition::equals(name::NAMESPACE, s(seen.namespace.to_string())))
            .and(Condition::equals(name::QUERY_HASH, s(seen.query_hash.to_string())))
            .and(is_same_vector)
            .and(Condition::is(name::EMBEDDING_GENERATION, generation.map(generation_value)))
            .and(Condition::is(name::NEXT_GENERATION, next_generation))
            .and(Condition::is(name::ANSWER_STAMP, seen.apart.map(|apart| b(*apart.stamp.as_bytes()))));
        self.put_action(item, expression)
    }

    /// Deletes the entry's row if `condition` holds, and if the row still has an answer item or still has none. The
    /// transaction that deletes a row with an answer item also takes [`Table::delete_answer`].
    pub fn delete_row(&self, row: &EntryHeader, condition: DeleteCondition<'_>) -> Result<TransactWriteItem, Error> {
        let expression = match condition {
            DeleteCondition::Exists => Expression::when(Condition::Exists(name::ID)),
            DeleteCondition::NotAccessed => {
                Expression::when(Condition::equals(name::LAST_ACCESSED_AT, n(row.last_accessed_at)))
            }
            DeleteCondition::Tagged(tag) => Expression::when(Condition::Contains(name::TAGS, s(tag.as_str()))),
            DeleteCondition::StillExpired => {
                // A relative time to live, which the Python library writes, is below the absolute one.
                let until = Condition::at_most(name::TTL, n(row.expires_at.unwrap_or(i64::MAX)));
                let same_put = Condition::equals(name::CREATED_AT, n(row.created_at));
                Expression::when(same_put).and(until)
            }
        };
        let has_answer_item = match row.has_answer_item {
            true => Condition::Exists(name::ANSWER_STAMP),
            false => Condition::Absent(name::ANSWER_STAMP),
        };
        self.delete_action(row.id.into(), expression.and(has_answer_item))
    }

    /// Sets `attributes` of the row of `seen` to what `item` has, and removes those that it has not, if the row still has
    /// the entry key and the answer item of `seen`, and each attribute of `unchanged` has that value or is absent.
    pub fn update_row(
        &self,
        seen: &Entry,
        item: &Item,
        attributes: &[&'static str],
        unchanged: &[(&'static str, Option<AttributeValue>)],
    ) -> Result<TransactWriteItem, Error> {
        let same_entry = Expression::when(Condition::equals(name::NAMESPACE, s(seen.namespace.to_string())))
            .and(Condition::equals(name::QUERY_HASH, s(seen.query_hash.to_string())))
            .and(Condition::is(name::ANSWER_STAMP, seen.apart.map(|apart| b(*apart.stamp.as_bytes()))));
        let is_unchanged = unchanged
            .iter()
            .fold(same_entry, |all, (attribute, value)| all.and(Condition::is(attribute, value.clone())));
        let expression = attributes
            .iter()
            .fold(is_unchanged, |all, attribute| all.set_or_remove(attribute, item.get(*attribute).cloned()));
        self.update_action(self.update_builder(seen.id.into(), expression))
    }

    /// Sets the entry's last access to `now_secs` and counts the access, if the row exists.
    pub fn touch_row(&self, id: EntryId, now_secs: i64) -> Result<TransactWriteItem, Error> {
        let expression = Expression::when(Condition::Exists(name::ID))
            .set(name::LAST_ACCESSED_AT, n(now_secs))
            .add(name::ACCESS_COUNT, n(1));
        self.update_action(self.update_builder(id.into(), expression))
    }

    /// Makes `pointer` name `id`, if it still names `seen`, or still does not exist if `seen` is `None`. An alias ends.
    pub fn point(&self, pointer: RowKey, seen: Option<EntryId>, id: EntryId) -> Result<TransactWriteItem, Error> {
        self.update_action(self.update_builder(pointer, points_to(seen, id)))
    }

    /// Deletes `pointer`, if it names one of `ids` and has no verdicts, or does not exist. `ids` must not be empty. If the
    /// condition fails, DynamoDB returns the item with the cancellation.
    pub fn unpoint(&self, pointer: RowKey, ids: &[EntryId]) -> Result<TransactWriteItem, Error> {
        let ids = ids.iter().map(n).collect();
        let condition = Condition::Any(vec![Condition::Absent(name::ID), Condition::OneOf(name::ENTRY_ID, ids)]);
        let expression =
            Expression::when(condition).and(Condition::Absent(name::BARS)).and(Condition::Absent(name::ALIAS));
        let delete = Delete::builder().table_name(&self.name).key(name::ID, pointer.attribute()).apply(expression);
        let delete = delete.return_values_on_condition_check_failure(OnFailure::AllOld);
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build())
    }

    /// Stores an idempotency record at `key`, if there is none, or the one there has expired at `now_secs` or names the
    /// entry `replaced`.
    pub fn put_idempotency_record(
        &self,
        key: RowKey,
        record: &IdempotencyRecord,
        replaced: Option<EntryId>,
        now_secs: i64,
    ) -> Result<TransactWriteItem, Error> {
        let mut is_free = vec![Condition::Absent(name::ID), Condition::at_most(name::TTL, n(now_secs))];
        is_free.extend(replaced.map(|id| Condition::equals(name::ENTRY_ID, n(id))));
        self.put_action(record.to_item(key), Expression::when(Condition::Any(is_free)))
    }

    /// Adds each change to the stats of its namespace. If `whole_table` is given, adds the changes of rows of all
    /// namespaces to the stats at that key. Changes that add nothing give no action.
    pub fn change_stats<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a Namespace, StatsChange)>,
        whole_table: Option<RowKey>,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let changes: Vec<_> = changes.into_iter().collect();
        let whole = StatsChange::of_table(changes.iter().map(|(_, change)| change));
        let mut actions = Vec::new();
        for (namespace, change) in changes.iter().filter(|(_, change)| !change.is_empty()) {
            actions.push(self.change_one_stats(RowKey::namespace_stats(namespace), Some(namespace), change)?);
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

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::BehaviorVersion;
    use mneme_model::config::Config;

    use super::*;
    use crate::entry_row::entry_from_item;

    /// A table whose client sends nothing in these tests.
    fn table() -> Table {
        let config = aws_sdk_dynamodb::Config::builder().behavior_version(BehaviorVersion::latest()).build();
        Table::over(&Client::from_conf(config), "t")
    }

    fn update(action: TransactWriteItem) -> Update {
        action.update.unwrap()
    }

    fn put_condition(action: TransactWriteItem) -> String {
        action.put.unwrap().condition_expression.unwrap()
    }

    fn counter() -> Counter {
        let item = Counter::first_item(&Config::with(&[]));
        Counter { next_id: 7, version: 40, ..Counter::from_item(&item).unwrap() }
    }

    fn id(id: u64) -> EntryId {
        EntryId::new(id).unwrap()
    }

    #[test]
    fn claim_ids_requires_unchanged_counter_and_raises_both_numbers() {
        let claim = update(table().claim_ids(&counter(), 2, 3, None).unwrap());
        assert_eq!(claim.update_expression, "SET #next_id = :next_id, #version_counter = :version_counter");
        let condition = "#next_id = :next_id_2 AND #version_counter = :version_counter_2";
        assert_eq!(claim.condition_expression.as_deref(), Some(condition));
        assert_eq!(claim.return_values_on_condition_check_failure, Some(OnFailure::AllOld));
        let values = claim.expression_attribute_values.unwrap();
        assert_eq!((&values[":next_id"], &values[":next_id_2"]), (&n(9), &n(7)));
        assert_eq!((&values[":version_counter"], &values[":version_counter_2"]), (&n(43), &n(40)));
    }

    #[test]
    fn claim_ids_with_dim_stamps_it_only_if_counter_has_none() {
        let stamps_dim = |counter: &Counter| {
            let claim = update(table().claim_ids(counter, 1, 1, Some(4)).unwrap());
            claim.update_expression.contains("#embedder_dim")
        };
        assert!(stamps_dim(&counter()));
        assert!(!stamps_dim(&Counter { dim: Some(4), ..counter() }));
    }

    #[test]
    fn replace_row_requires_same_entry_key_vector_and_generations() {
        let item = Item::from([
            (name::ID.to_owned(), n(7)),
            (name::NAMESPACE.to_owned(), s("default")),
            (name::QUERY_HASH.to_owned(), s("a".repeat(64))),
        ]);
        let without_vector = entry_from_item(&item).unwrap();
        let vectors = RowVectors { embedding: Some(vec![1; 4]), ..RowVectors::default() };
        let with_vector = Entry { vectors, ..without_vector.clone() };
        let (key, generations) = (
            "#namespace = :namespace AND #query_hash = :query_hash",
            "attribute_not_exists(#embedder_era) AND attribute_not_exists(#next_era) AND attribute_not_exists(#answer)",
        );
        for (seen, vector) in [
            (with_vector, "#embedding = :embedding"),
            (without_vector, "(attribute_not_exists(#embedding) OR size(#embedding) = :zero)"),
        ] {
            let condition = put_condition(table().replace_row(item.clone(), &seen).unwrap());
            assert_eq!(condition, format!("{key} AND {vector} AND {generations}"));
        }
    }

    #[test]
    fn unpoint_requires_absence_or_one_of_the_ids_without_verdicts() {
        let delete = table().unpoint(RowKey::COUNTER, &[id(7), id(8)]).unwrap().delete.unwrap();
        let condition = "(attribute_not_exists(#id) OR #entry_id IN (:entry_id, :entry_id_2)) \
                         AND attribute_not_exists(#bars) AND attribute_not_exists(#alias)";
        assert_eq!(delete.condition_expression.as_deref(), Some(condition));
    }

    #[test]
    fn put_idempotency_record_requires_absent_expired_or_replaced_record() {
        let key = RowKey::idempotency_record(&Namespace::default(), "k");
        let record = IdempotencyRecord { id: id(7), created: true, request: None, until: 200 };
        let put = |replaced| table().put_idempotency_record(key, &record, replaced, 100).unwrap();
        let condition = "(attribute_not_exists(#id) OR #ttl <= :ttl)";
        assert_eq!(put_condition(put(None)), condition);
        let condition = "(attribute_not_exists(#id) OR #ttl <= :ttl OR #entry_id = :entry_id)";
        assert_eq!(put_condition(put(Some(id(6)))), condition);
        let put = put(None).put.unwrap();
        assert_eq!((&put.item[name::TTL], &put.expression_attribute_values.unwrap()[":ttl"]), (&n(200), &n(100)));
    }

    #[test]
    fn change_stats_adds_changes_of_all_namespaces_to_whole_table() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Namespace::try_from(name.to_owned()).unwrap());
        let change = |entries| StatsChange { entries, ..StatsChange::default() };
        let changes = [(&a, change(3)), (&b, change(-1)), (&c, change(0))];
        let actions = table().change_stats(changes, Some(RowKey::TABLE_STATS)).unwrap();
        let added = |action: TransactWriteItem| {
            let update = update(action);
            let entries = update.expression_attribute_values.unwrap()[":entries"].clone();
            (RowKey::from_attribute(&update.key[name::ID]).unwrap(), entries)
        };
        let added: Vec<_> = actions.into_iter().map(added).collect();
        let (a, b) = (RowKey::namespace_stats(&a), RowKey::namespace_stats(&b));
        assert_eq!(added, [(a, n(3)), (b, n(-1)), (RowKey::TABLE_STATS, n(2))]);
    }

    #[test]
    fn actions_of_changes_are_as_many_as_change_stats_makes() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Namespace::try_from(name.to_owned()).unwrap());
        let entries = |entries| StatsChange { entries, ..StatsChange::default() };
        let expired = EventCounts { expirations: 1, ..EventCounts::default() };
        let counted = StatsChange { counts: expired, ..StatsChange::default() };
        for changes in [
            vec![],
            vec![(&a, entries(0))],
            vec![(&a, entries(0)), (&b, entries(1))],
            vec![(&a, entries(1)), (&b, entries(-1)), (&c, counted)],
            vec![(&a, counted)],
            vec![(&a, StatsChange { has_ttl: true, ..StatsChange::default() })],
        ] {
            for whole_table in [None, Some(RowKey::TABLE_STATS)] {
                let actions = table().change_stats(changes.clone(), whole_table).unwrap();
                let counted = StatsChange::actions(changes.iter().map(|(_, change)| change), whole_table.is_some());
                assert_eq!(actions.len(), counted, "{changes:?}, {whole_table:?}");
            }
        }
    }

    #[test]
    fn change_stats_that_cancel_out_leave_whole_table_alone() {
        let [a, b] = ["a", "b"].map(|name| Namespace::try_from(name.to_owned()).unwrap());
        let change = |entries| StatsChange { entries, ..StatsChange::default() };
        let actions = table().change_stats([(&a, change(1)), (&b, change(-1))], Some(RowKey::TABLE_STATS)).unwrap();
        assert_eq!(actions.len(), 2);
    }
}

//! The actions that mutations are put together from.

use aws_sdk_dynamodb::types::builders::{DeleteBuilder, PutBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
};

use crate::cache::Cache;
use crate::entry::Item;
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::table::ENTRY_ID;
use crate::table::counter::Counter;
use crate::table::tally::Counts;

pub(crate) fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn put(builder: PutBuilder) -> Result<TransactWriteItem, Error> {
    let put: Put = builder.build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

pub(crate) fn update(builder: UpdateBuilder) -> Result<TransactWriteItem, Error> {
    let update: Update = builder.build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

pub(crate) fn delete(builder: DeleteBuilder) -> Result<TransactWriteItem, Error> {
    let delete: Delete = builder.build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().delete(delete).build())
}

/// What a transaction adds to tallies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TallyChange {
    /// Rows added less rows removed.
    pub(crate) entries: i64,
    /// Whether an entry with a time to live was written.
    pub(crate) has_ttl: bool,
    /// What happened in passing.
    pub(crate) counts: Counts,
}

impl TallyChange {
    fn is_nothing(&self) -> bool {
        self.entries == 0 && !self.has_ttl && self.counts.nonzero().next().is_none()
    }
}

impl Cache {
    pub(super) fn counter_update(&self) -> UpdateBuilder {
        Update::builder()
            .table_name(self.table.name())
            .key("id", RowKey::COUNTER.attribute())
            .expression_attribute_names("#version", "version_counter")
            .return_values_on_condition_check_failure(OnFailure::AllOld)
    }

    /// The counter of `mutations` puts, of which `ids` take an id: takes `ids` from `seen.next_id` on and raises the
    /// version, if both are still as read. The first vector of a cache whose dimension is not known stamps it.
    pub(crate) fn claim(
        &self,
        seen: &Counter,
        ids: u64,
        mutations: u64,
        dim: Option<u32>,
    ) -> Result<TransactWriteItem, Error> {
        let mut set = "SET #next_id = :next_id, #version = :version".to_owned();
        let mut builder = self
            .counter_update()
            .condition_expression("#next_id = :seen_next_id AND #version = :seen_version")
            .expression_attribute_names("#next_id", "next_id")
            .expression_attribute_values(":next_id", n(seen.next_id + ids))
            .expression_attribute_values(":version", n(seen.version + mutations))
            .expression_attribute_values(":seen_next_id", n(seen.next_id))
            .expression_attribute_values(":seen_version", n(seen.version));
        if let (None, Some(dim)) = (seen.dim, dim) {
            set.push_str(", #dim = :dim");
            builder =
                builder.expression_attribute_names("#dim", "embedder_dim").expression_attribute_values(":dim", n(dim));
        }
        update(builder.update_expression(set))
    }

    /// The counter of any other mutation of `mutations` entries: raises the version whatever it is.
    pub(crate) fn bump(&self, mutations: u64) -> Result<TransactWriteItem, Error> {
        update(
            self.counter_update()
                .update_expression("ADD #version :mutations")
                .condition_expression("attribute_exists(#version)")
                .expression_attribute_values(":mutations", n(mutations)),
        )
    }

    /// A change of item 0's maps by `set_or_remove`, with the version raised by one.
    pub(crate) fn change_counter(&self, set_or_remove: &str, name: &str, map: &str) -> UpdateBuilder {
        self.counter_update()
            .update_expression(format!("{set_or_remove} ADD #version :one"))
            .expression_attribute_names("#map", map)
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":one", n(1))
    }

    /// Points the pair's pointer at `id`, if it still points where it was seen to.
    pub(crate) fn point(
        &self,
        pointer: RowKey,
        seen: Option<EntryId>,
        id: EntryId,
    ) -> Result<TransactWriteItem, Error> {
        let item = Item::from([("id".to_owned(), pointer.attribute()), (ENTRY_ID.to_owned(), n(id))]);
        let builder = Put::builder().table_name(self.table.name()).set_item(Some(item));
        put(match seen {
            None => builder.condition_expression("attribute_not_exists(#id)").expression_attribute_names("#id", "id"),
            Some(seen) => builder
                .condition_expression("#entry_id = :seen")
                .expression_attribute_names("#entry_id", ENTRY_ID)
                .expression_attribute_values(":seen", n(seen)),
        })
    }

    /// Removes the pair's pointer, if it points at one of `ids` or is gone already.
    pub(crate) fn unpoint(&self, pointer: RowKey, ids: &[EntryId]) -> Result<TransactWriteItem, Error> {
        let names: Vec<String> = (0..ids.len()).map(|at| format!(":id{at}")).collect();
        let values = names.iter().cloned().zip(ids.iter().map(n)).collect();
        delete(
            Delete::builder()
                .table_name(self.table.name())
                .key("id", pointer.attribute())
                .condition_expression(format!("attribute_not_exists(#id) OR #entry_id IN ({})", names.join(", ")))
                .expression_attribute_names("#id", "id")
                .expression_attribute_names("#entry_id", ENTRY_ID)
                .set_expression_attribute_values(Some(values)),
        )
    }

    /// Adds each namespace's change to its tally, and the rows of all of them to the table's, where a cap makes one
    /// needed.
    pub(crate) fn tallies<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a Namespace, TallyChange)>,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let mut actions = Vec::new();
        let mut whole = TallyChange::default();
        for (namespace, change) in changes {
            whole.entries += change.entries;
            whole.has_ttl |= change.has_ttl;
            if !change.is_nothing() {
                actions.push(self.tally(RowKey::tally(namespace), Some(namespace), &change)?);
            }
        }
        if let Some(key) = self.table_tally().filter(|_| !whole.is_nothing()) {
            actions.push(self.tally(key, None, &whole)?);
        }
        Ok(actions)
    }

    fn tally(&self, key: RowKey, name: Option<&Namespace>, change: &TallyChange) -> Result<TransactWriteItem, Error> {
        let mut sets = Vec::new();
        let mut adds = vec!["#entries :entries".to_owned()];
        let mut builder = Update::builder()
            .table_name(self.table.name())
            .key("id", key.attribute())
            .expression_attribute_names("#entries", "entries")
            .expression_attribute_values(":entries", n(change.entries));
        if let Some(name) = name {
            sets.push("#name = :name");
            builder = builder
                .expression_attribute_names("#name", "name")
                .expression_attribute_values(":name", AttributeValue::S(name.to_string()));
        }
        if change.has_ttl {
            sets.push("#has_ttl = :true");
            builder = builder
                .expression_attribute_names("#has_ttl", "has_ttl")
                .expression_attribute_values(":true", AttributeValue::Bool(true));
        }
        for (kind, count) in change.counts.nonzero() {
            adds.push(format!("#{kind} :{kind}"));
            builder = builder
                .expression_attribute_names(format!("#{kind}"), kind)
                .expression_attribute_values(format!(":{kind}"), n(count));
        }
        let set = if sets.is_empty() { String::new() } else { format!("SET {} ", sets.join(", ")) };
        update(builder.update_expression(format!("{set}ADD {}", adds.join(", "))))
    }
}

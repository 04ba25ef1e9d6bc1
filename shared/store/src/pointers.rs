//! Single writes that repair pointers, expired derived items and the counter's next id. They count as no mutation.

use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::n;
use crate::key::RowKey;
use crate::table::Table;

/// The change that makes a pointer name `id`, if it still names `seen`, or still does not exist if `seen` is `None`. The
/// question has an entry of its own then, so an alias ends. Bars stay.
pub(crate) fn points_to(seen: Option<EntryId>, id: EntryId) -> Expression {
    let ended = [name::ALIAS, name::ALIAS_SIGNATURE];
    let named = Expression::when(still_names(seen)).set(name::ENTRY_ID, n(id));
    ended.into_iter().fold(named, Expression::remove)
}

/// The condition that a pointer still names the entry `seen`, or still does not exist if `seen` is `None`.
pub(crate) fn still_names(seen: Option<EntryId>) -> Condition {
    seen.map_or(Condition::Absent(name::ID), |seen| Condition::equals(name::ENTRY_ID, n(seen)))
}

impl Table {
    /// Makes `pointer` name `id`, if it still names `seen`, or still does not exist if `seen` is `None`. An alias ends.
    /// Returns whether that was so. Writes: one UpdateItem.
    pub async fn set_pointer(&self, pointer: RowKey, seen: Option<EntryId>, id: EntryId) -> Result<bool, Error> {
        self.update_if(pointer, points_to(seen, id)).await
    }

    /// Deletes the pointer or the idempotency record at `pointer`, if it still names `id`. Returns whether it did.
    /// Writes: one DeleteItem.
    pub async fn delete_pointer(&self, pointer: RowKey, id: EntryId) -> Result<bool, Error> {
        self.delete_if(pointer, Expression::when(Condition::equals(name::ENTRY_ID, n(id)))).await
    }

    /// Deletes a derived item that has expired at `now_secs`. Returns whether it had. Writes: one DeleteItem.
    pub async fn delete_expired_derived(&self, key: RowKey, now_secs: i64) -> Result<bool, Error> {
        self.delete_if(key, Expression::when(is_expired(now_secs))).await
    }

    /// Raises the counter's next id above `id`, if it is not above `id` yet. Returns whether it was raised. Writes: one
    /// UpdateItem.
    pub async fn raise_next_id_above(&self, id: u64) -> Result<bool, Error> {
        self.update_if(RowKey::COUNTER, next_id_above(id)).await
    }
}

fn is_expired(now_secs: i64) -> Condition {
    Condition::at_most(name::TTL, n(now_secs))
}

fn next_id_above(id: u64) -> Expression {
    Expression::when(Condition::at_most(name::NEXT_ID, n(id))).set(name::NEXT_ID, n(id + 1))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{AttributeValue, Delete, Update};

    use super::*;
    use crate::expression::Apply as _;

    /// The condition of a request, and the value of its only placeholder.
    fn condition(condition: Condition) -> (String, Option<AttributeValue>) {
        let delete = Delete::builder().table_name("t").key(name::ID, n(1)).apply(Expression::when(condition));
        let delete = delete.build().unwrap();
        let value = delete.expression_attribute_values.and_then(|values| values.into_values().next());
        (delete.condition_expression.unwrap(), value)
    }

    #[test]
    fn still_names_with_seen_entry_compares_its_id() {
        let (text, value) = condition(still_names(EntryId::new(7)));
        assert_eq!((text.as_str(), value), ("#entry_id = :entry_id", Some(n(7))));
    }

    #[test]
    fn still_names_without_seen_entry_requires_absence() {
        let (text, value) = condition(still_names(None));
        assert_eq!((text.as_str(), value), ("attribute_not_exists(#id)", None));
    }

    #[test]
    fn is_expired_requires_ttl_of_at_most_now() {
        let (text, value) = condition(is_expired(1_700_000_000));
        assert_eq!((text.as_str(), value), ("#ttl <= :ttl", Some(n(1_700_000_000))));
    }

    #[test]
    fn next_id_above_only_raises() {
        let update = Update::builder().table_name("t").key(name::ID, n(0)).apply(next_id_above(7)).build().unwrap();
        assert_eq!(update.update_expression, "SET #next_id = :next_id_2");
        assert_eq!(update.condition_expression.as_deref(), Some("#next_id <= :next_id"));
        let values = update.expression_attribute_values.unwrap();
        assert_eq!((&values[":next_id"], &values[":next_id_2"]), (&n(7), &n(8)));
    }
}

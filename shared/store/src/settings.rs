//! Quotas and meta in items of their own. They are data: no other item has what they hold.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, item_bytes, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// The `meta` item as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaItem {
    /// Texts by key.
    pub values: BTreeMap<String, String>,
    /// The size of the item as DynamoDB counts it.
    pub bytes: usize,
}

/// The namespace and the number in a quota's item. `None` if an attribute is missing.
pub fn quota_from_item(item: &Item) -> Option<(Namespace, u64)> {
    Some((Namespace::from_row(text(item, name::NAME)?), number(item, name::MAX_ENTRIES)?))
}

impl Table {
    /// The quota in the namespace's own item. Reads: one key, strongly consistent. Errors: `StoreBackendError`.
    pub async fn quota_item(&self, namespace: &Namespace) -> Result<Option<u64>, Error> {
        let item = self.get(RowKey::quota(namespace), true).await?;
        Ok(item.and_then(|item| number(&item, name::MAX_ENTRIES)))
    }

    /// The `meta` item; `None` if it does not exist. Reads: one key, strongly consistent. Errors: `StoreBackendError`.
    pub async fn meta_item(&self) -> Result<Option<MetaItem>, Error> {
        let Some(item) = self.get(RowKey::META, true).await? else { return Ok(None) };
        let values = item.get(name::VALUES).and_then(|values| values.as_m().ok()).into_iter().flatten();
        let values = values.filter_map(|(key, value)| Some((key.clone(), value.as_s().ok()?.clone()))).collect();
        Ok(Some(MetaItem { values, bytes: item_bytes(&item) }))
    }

    /// Creates the `meta` item without values, if it does not exist. Writes: one PutItem. Errors: `StoreBackendError`.
    pub async fn create_meta_item(&self) -> Result<(), Error> {
        let item = Item::from([
            (name::ID.to_owned(), RowKey::META.attribute()),
            (name::VALUES.to_owned(), AttributeValue::M(Default::default())),
        ]);
        self.put_if(item, Expression::when(Condition::Absent(name::ID))).await.map(|_| ())
    }

    /// The action that sets the quota in the namespace's own item. `only_new`: it fails if there is one.
    pub fn put_quota_item(
        &self,
        namespace: &Namespace,
        max_entries: u64,
        only_new: bool,
    ) -> Result<TransactWriteItem, Error> {
        let item = Item::from([
            (name::ID.to_owned(), RowKey::quota(namespace).attribute()),
            (name::NAME.to_owned(), s(namespace.as_str())),
            (name::MAX_ENTRIES.to_owned(), n(max_entries)),
        ]);
        let condition = if only_new { Expression::when(Condition::Absent(name::ID)) } else { Expression::new() };
        self.put_action(item, condition)
    }

    /// The action that deletes the namespace's own item for its quota. It fails if there is none.
    pub fn delete_quota_item(&self, namespace: &Namespace) -> Result<TransactWriteItem, Error> {
        self.delete_action(RowKey::quota(namespace), Expression::when(Condition::Exists(name::ID)))
    }

    /// The action that changes the `meta` item.
    pub fn update_meta_item(&self, expression: Expression) -> Result<TransactWriteItem, Error> {
        self.update_action(self.update_builder(RowKey::META, expression))
    }
}

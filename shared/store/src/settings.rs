//! The settings of namespaces and the `meta` map, in items of their own. They are data: no other item has what they hold.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;

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

/// The namespace and the quota in the item of its settings. `None` if an attribute is missing.
pub fn quota_from_item(item: &Item) -> Option<(Namespace, u64)> {
    Some((Namespace::from_row(text(item, name::NAME)?), number(item, name::MAX_ENTRIES)?))
}

/// The settings in the item of a namespace.
pub fn settings_from_item(item: &Item) -> NamespaceSettings {
    let settings = text(item, name::SETTINGS).map(|json| NamespaceSettings::from_row(&json)).unwrap_or_default();
    NamespaceSettings { max_entries: number(item, name::MAX_ENTRIES), ..settings }
}

impl Table {
    /// The settings in the namespace's item; `None` if it does not exist. Reads: one key, strongly consistent. Errors:
    /// `StoreBackendError`.
    pub async fn settings_item(&self, namespace: &Namespace) -> Result<Option<NamespaceSettings>, Error> {
        let item = self.get(RowKey::settings(namespace), true).await?;
        Ok(item.as_ref().map(settings_from_item))
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

    /// The action that makes `settings` the namespace's item.
    pub fn put_settings_item(
        &self,
        namespace: &Namespace,
        settings: &NamespaceSettings,
    ) -> Result<TransactWriteItem, Error> {
        let mut item = Item::from([
            (name::ID.to_owned(), RowKey::settings(namespace).attribute()),
            (name::NAME.to_owned(), s(namespace.as_str())),
        ]);
        // A scan for quotas reads this attribute alone.
        item.extend(settings.max_entries.map(|max_entries| (name::MAX_ENTRIES.to_owned(), n(max_entries))));
        let others = NamespaceSettings { max_entries: None, ..*settings };
        item.insert(name::SETTINGS.to_owned(), s(others.to_row()));
        self.put_action(item, Expression::new())
    }

    /// The action that deletes the namespace's item. It fails if there is none.
    pub fn delete_settings_item(&self, namespace: &Namespace) -> Result<TransactWriteItem, Error> {
        self.delete_action(RowKey::settings(namespace), Expression::when(Condition::Exists(name::ID)))
    }

    /// The action that adds the namespace to the directory of settings.
    pub fn list_settings(&self, namespace: &Namespace) -> Result<TransactWriteItem, Error> {
        let expression = Expression::new().add(name::NAMES, names(namespace));
        self.update_action(self.update_builder(RowKey::settings_directory(namespace), expression))
    }

    /// The action that removes the namespace from the directory of settings.
    pub fn unlist_settings(&self, namespace: &Namespace) -> Result<TransactWriteItem, Error> {
        let expression = Expression::new().delete(name::NAMES, names(namespace));
        self.update_action(self.update_builder(RowKey::settings_directory(namespace), expression))
    }

    /// The action that changes the `meta` item.
    pub fn update_meta_item(&self, expression: Expression) -> Result<TransactWriteItem, Error> {
        self.update_action(self.update_builder(RowKey::META, expression))
    }
}

/// A set with the name of one namespace.
fn names(namespace: &Namespace) -> AttributeValue {
    AttributeValue::Ss(vec![namespace.to_string()])
}

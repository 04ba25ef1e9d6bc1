//! What must hold of the table whatever has happened.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_core::key::RowKey;
use mneme_core::namespace::Namespace;
use mneme_core::normalize::QueryHash;

use crate::stack::{Item, Stack};

fn text(item: &Item, name: &str) -> String {
    item[name].as_s().expect("a text").clone()
}

fn number(item: &Item, name: &str) -> i128 {
    item[name].as_n().expect("a number").parse().expect("an integer")
}

fn key(key: RowKey) -> i128 {
    let AttributeValue::N(digits) = key.attribute() else { panic!("a key is a number") };
    digits.parse().expect("an integer")
}

/// Reads the whole table and checks it: ids below `next_id`; one row per (namespace, query hash); a pointer for each pair
/// and none that leads elsewhere; tallies that count the rows. Returns the rows of entries and `version_counter`.
///
/// Not for a table in which entries were stored or removed past the functions.
pub async fn check(stack: &Stack) -> (BTreeMap<i128, Item>, i128) {
    let rows = stack.rows().await;
    let entries: BTreeMap<i128, Item> =
        rows.iter().filter(|(id, _)| **id > 0).map(|(id, row)| (*id, row.clone())).collect();
    let next_id = number(&rows[&0], "next_id");
    if let Some((highest, _)) = entries.last_key_value() {
        assert!(*highest < next_id, "entry {highest} and next_id {next_id}");
    }
    let mut pairs = HashSet::new();
    let mut counts: BTreeMap<String, i128> = BTreeMap::new();
    for (id, row) in &entries {
        let (namespace, hash) = (text(row, "namespace"), text(row, "query_hash"));
        assert!(pairs.insert((namespace.clone(), hash.clone())), "two rows for one query of {namespace}: {id} is one");
        *counts.entry(namespace.clone()).or_default() += 1;
        let name = Namespace::try_from(namespace).expect("a namespace");
        let hash: QueryHash = serde_json::from_value(hash.into()).expect("a hash");
        let pointer = rows.get(&key(RowKey::pointer(&name, &hash))).unwrap_or_else(|| panic!("{id} has no pointer"));
        assert_eq!(number(pointer, "entry_id"), *id, "where the pointer of {id} points");
    }
    for (id, row) in
        rows.iter().filter(|(id, row)| **id < 0 && row.contains_key("entry_id") && !row.contains_key("ttl"))
    {
        assert!(entries.contains_key(&number(row, "entry_id")), "pointer {id} points at no entry");
    }
    for row in rows.values().filter(|row| row.contains_key("entries") && row.contains_key("name")) {
        let namespace = text(row, "name");
        assert_eq!(number(row, "entries"), counts.get(&namespace).copied().unwrap_or(0), "the tally of {namespace}");
    }
    (entries, number(&rows[&0], "version_counter"))
}

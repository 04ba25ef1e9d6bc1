//! What must hold of the table whatever has happened.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_store::key::{DerivedKind, RowKey};

use crate::stack::{Item, Stack};

fn text(item: &Item, name: &str) -> String {
    item[name].as_s().expect("a text").clone()
}

fn number(item: &Item, name: &str) -> i128 {
    item[name].as_n().expect("a number").parse().expect("an integer")
}

fn id_of(key: RowKey) -> i128 {
    let AttributeValue::N(digits) = key.attribute() else { panic!("a key is a number") };
    digits.parse().expect("an integer")
}

fn namespace(name: &str) -> Namespace {
    Namespace::try_from(name.to_owned()).expect("a namespace")
}

/// The whole table at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    rows: BTreeMap<i128, Item>,
    /// The rows of entries.
    pub entries: BTreeMap<i128, Item>,
    /// The id that the next insert takes.
    pub next_id: i128,
    /// How many mutations were committed.
    pub version: i128,
}

impl Snapshot {
    /// Reads the table, in which nothing may be at work.
    pub async fn read(stack: &Stack) -> Self {
        let rows = stack.rows().await;
        let entries = rows.iter().filter(|(id, _)| **id > 0).map(|(id, row)| (*id, row.clone())).collect();
        let (next_id, version) = (number(&rows[&0], "next_id"), number(&rows[&0], "version_counter"));
        Self { rows, entries, next_id, version }
    }

    fn derived(&self, kind: DerivedKind) -> impl Iterator<Item = (i128, &Item)> {
        let of_kind =
            move |item: &Item| RowKey::from_attribute(&item["id"]).and_then(RowKey::derived_kind) == Some(kind);
        self.rows.iter().filter(move |(id, row)| **id < 0 && of_kind(row)).map(|(id, row)| (*id, row))
    }

    /// Item 0.
    pub fn counter(&self) -> &Item {
        &self.rows[&0]
    }

    /// How many rows each namespace has.
    pub fn counts(&self) -> BTreeMap<String, i128> {
        let mut counts = BTreeMap::new();
        for row in self.entries.values() {
            *counts.entry(text(row, "namespace")).or_default() += 1;
        }
        counts
    }

    /// The rows of one pair.
    pub fn pair(&self, namespace: &str, query: &str) -> Vec<(i128, &Item)> {
        let hash = QueryHash::of(query, true).to_string();
        let is_pairs = |row: &Item| text(row, "namespace") == namespace && text(row, "query_hash") == hash;
        self.entries.iter().filter(|(_, row)| is_pairs(row)).map(|(id, row)| (*id, row)).collect()
    }

    /// All of the following, for a table that only the functions have written.
    pub fn check(&self) {
        self.check_entries();
        self.check_pointers();
        self.check_tallies(|_| false);
        self.check_others();
    }

    /// Ids are below `next_id`, and a (namespace, query hash) has one row.
    pub fn check_entries(&self) {
        if let Some((highest, _)) = self.entries.last_key_value() {
            assert!(*highest < self.next_id, "entry {highest} and next_id {}", self.next_id);
        }
        let mut pairs = BTreeSet::new();
        for (id, row) in &self.entries {
            let pair = (text(row, "namespace"), text(row, "query_hash"));
            assert!(!pairs.contains(&pair), "two rows for one query of {}: {id} is one", pair.0);
            pairs.insert(pair);
        }
    }

    /// Each entry has a pointer that leads to it, and no pointer leads elsewhere.
    pub fn check_pointers(&self) {
        let mut due = BTreeMap::new();
        for (id, row) in &self.entries {
            let hash: QueryHash = serde_json::from_value(text(row, "query_hash").into()).expect("a hash");
            due.insert(id_of(RowKey::pointer(&namespace(&text(row, "namespace")), &hash)), *id);
        }
        let there: BTreeMap<i128, i128> =
            self.derived(DerivedKind::Pointer).map(|(id, row)| (id, number(row, "entry_id"))).collect();
        assert_eq!(there, due, "pointers as they are, and as they are due");
    }

    /// Each namespace that has rows has a tally, and tallies count the rows, but for the namespaces `excepted`; so does
    /// the table's, where it has one.
    pub fn check_tallies(&self, excepted: impl Fn(&str) -> bool) {
        let counts = self.counts();
        let others = [RowKey::TABLE_STATS, RowKey::UNKNOWN_NAMESPACE_STATS].map(id_of);
        let mut tallied = BTreeSet::new();
        for (id, row) in self.derived(DerivedKind::NamespaceStats).filter(|(id, _)| !others.contains(id)) {
            if !row.contains_key("name") {
                // `vacuum` counted a namespace that has a quota, and no entry was ever put there.
                assert_eq!(number(row, "entries"), 0, "a tally of no name");
                continue;
            }
            let name = text(row, "name");
            assert_eq!(id, id_of(RowKey::namespace_stats(&namespace(&name))), "where the tally of {name} stands");
            if !excepted(&name) {
                assert_eq!(number(row, "entries"), counts.get(&name).copied().unwrap_or(0), "the tally of {name}");
            }
            tallied.insert(name);
        }
        for name in counts.keys() {
            assert!(tallied.contains(name), "{name} has no tally");
        }
        if let Some(row) = self.rows.get(&id_of(RowKey::TABLE_STATS)) {
            assert_eq!(number(row, "entries"), self.entries.len() as i128, "the tally of the table");
        }
    }

    /// Receipts name ids that were given out, the line serves nobody who has not come, and nothing else stands below 0.
    pub fn check_others(&self) {
        for (id, row) in self.rows.range(..0) {
            let kind = RowKey::from_attribute(&row["id"]).and_then(RowKey::derived_kind);
            assert!(kind.is_some(), "{id} is no derived item");
            assert!(!row.contains_key("namespace") && !row.contains_key("query_hash"), "{id} stands in the indexes");
        }
        for (id, row) in self.derived(DerivedKind::IdempotencyRecord) {
            let entry = number(row, "entry_id");
            assert!((1..self.next_id).contains(&entry), "receipt {id} is for {entry}");
            assert!(row["created"].as_bool().is_ok() && number(row, "ttl") > 0, "receipt {id}: {row:?}");
        }
        for (_, row) in self.derived(DerivedKind::WriterQueue) {
            let served = row.get("served").map_or(0, |_| number(row, "served"));
            assert!(served <= number(row, "issued"), "{row:?}");
        }
    }

    /// Each namespace that has rows stands in the directory, and names stand in their place.
    pub fn check_directory(&self) {
        let mut names = BTreeSet::new();
        for (id, row) in self.derived(DerivedKind::Directory) {
            for name in row["names"].as_ss().expect("a set of names") {
                assert_eq!(id, id_of(RowKey::directory(&namespace(name))), "where {name} stands");
                names.insert(name.clone());
            }
        }
        for name in self.counts().into_keys() {
            assert!(names.contains(&name), "{name} is not in the directory");
        }
    }

    /// The sum of a count over all namespaces: `evictions`, `misses`, …
    pub fn counted(&self, count: &str) -> i128 {
        self.derived(DerivedKind::NamespaceStats).map(|(_, row)| row.get(count).map_or(0, |_| number(row, count))).sum()
    }
}

/// Reads the whole table and checks it. Returns the rows of entries and `version_counter`.
///
/// Not for a table in which entries were stored or removed past the functions.
pub async fn check(stack: &Stack) -> (BTreeMap<i128, Item>, i128) {
    let snapshot = Snapshot::read(stack).await;
    snapshot.check();
    (snapshot.entries, snapshot.version)
}

/// What is known of one id.
#[derive(Debug)]
struct Claimed {
    namespace: String,
    query: String,
    /// Whether a put said that the entry under this id replaced none.
    created: bool,
}

/// What clients were told, to be held against the table.
///
/// Entries whose time was over must not be put again: the put would clear the old row away in passing, which counts as
/// no mutation of its own.
#[derive(Debug, Default)]
pub struct Ledger {
    claimed: BTreeMap<i128, Claimed>,
    puts: i128,
    others: i128,
    unknown_puts: i128,
    unknown_others: i128,
}

impl Ledger {
    /// A put was acknowledged; not for an answer that an idempotency key repeats.
    pub fn put(&mut self, id: u64, created: bool, namespace: &str, query: &str) {
        self.puts += 1;
        let new = Claimed { namespace: namespace.to_owned(), query: query.to_owned(), created: false };
        let claimed = self.claimed.entry(id.into()).or_insert(new);
        assert_eq!(
            (claimed.namespace.as_str(), claimed.query.as_str()),
            (namespace, query),
            "two entries have id {id}"
        );
        assert!(!(created && claimed.created), "{id} was created twice");
        claimed.created |= created;
    }

    /// A touch, or a write to quotas or meta, was acknowledged.
    pub fn count(&mut self) {
        self.others += 1;
    }

    /// So many puts have an outcome that nobody was told.
    pub fn unknown_puts(&mut self, puts: usize) {
        self.unknown_puts += puts as i128;
    }

    /// A touch, or a write to quotas or meta, has an outcome that nobody was told.
    pub fn unknown(&mut self) {
        self.unknown_others += 1;
    }

    /// How many puts have an outcome that is not known, and how many were acknowledged.
    pub fn puts(&self) -> (i128, i128) {
        (self.unknown_puts, self.puts)
    }

    /// Ids are dense: each one below `next_id` was acknowledged, or may be an unknown put's. And `version_counter` is
    /// the number of committed mutations, as far as outcomes are known.
    pub fn check(&self, snapshot: &Snapshot) {
        let given = snapshot.next_id - 1;
        if let Some((highest, _)) = self.claimed.last_key_value() {
            assert!(*highest <= given, "{highest} was acknowledged, and the counter has not given it out");
        }
        let untold = given - self.claimed.len() as i128;
        assert!((0..=self.unknown_puts).contains(&untold), "{untold} ids of nobody, {} unknown", self.unknown_puts);
        for (id, row) in &snapshot.entries {
            if let Some(claimed) = self.claimed.get(id) {
                let hash = QueryHash::of(&claimed.query, true).to_string();
                assert_eq!(
                    (text(row, "namespace"), text(row, "query_hash")),
                    (claimed.namespace.clone(), hash),
                    "{id}"
                );
            }
        }
        // A row goes with the put that replaces it, which is one mutation for both, or by one of its own.
        let gone = given - snapshot.entries.len() as i128;
        let replaced = self.claimed.values().filter(|claimed| !claimed.created).count() as i128;
        let least = self.puts + self.others + gone - replaced;
        // An unknown put may have been committed, and may have created what another one is known to have overwritten.
        let most = least + 2 * self.unknown_puts + self.unknown_others;
        assert!(
            (least..=most).contains(&snapshot.version),
            "version {}, and {least} to {most} mutations were committed: {} puts, {} others, {gone} gone, {replaced} replaced",
            snapshot.version,
            self.puts,
            self.others
        );
    }
}

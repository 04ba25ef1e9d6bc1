//! Checks of the whole table that must hold after any sequence of requests and faults.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::clock::Clock;
use mneme_model::entry_id::EntryId;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_store::entry_row;
use mneme_store::key::{DerivedKind, RowKey};
use mneme_store::pair_verdicts::Pointer;
use mneme_store::segments::range_of;
use mneme_store::tag_blocks::TagBlock;

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

/// All rows of the table at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    rows: BTreeMap<i128, Item>,
    /// The rows of entries, by id.
    pub entries: BTreeMap<i128, Item>,
    /// The id of the next insert.
    pub next_id: i128,
    /// The number of committed mutations.
    pub version: i128,
}

impl Snapshot {
    /// Reads the table. No request may be in progress.
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

    /// The items of a kind that holds data.
    pub fn data(&self, kind: DerivedKind) -> impl Iterator<Item = &Item> {
        self.derived(kind).map(|(_, item)| item)
    }

    /// The number of leases that somebody holds for at least another minute.
    pub fn leases(&self) -> usize {
        let minute = i128::from(Clock::System.now_ms() + 60_000);
        let is_held = |item: &Item| item.contains_key("lease_token") && number(item, "leased_until") > minute;
        self.derived(DerivedKind::Lease).filter(|(_, item)| is_held(item)).count()
    }

    /// Item 0.
    pub fn counter(&self) -> &Item {
        &self.rows[&0]
    }

    /// The number of entry rows per namespace.
    pub fn counts(&self) -> BTreeMap<String, i128> {
        let mut counts = BTreeMap::new();
        for row in self.entries.values() {
            *counts.entry(text(row, "namespace")).or_default() += 1;
        }
        counts
    }

    /// The rows of one namespace and query.
    pub fn rows_of(&self, namespace: &str, query: &str) -> Vec<(i128, &Item)> {
        let hash = QueryHash::of(query, true).to_string();
        let matches = |row: &Item| text(row, "namespace") == namespace && text(row, "query_hash") == hash;
        self.entries.iter().filter(|(_, row)| matches(row)).map(|(id, row)| (*id, row)).collect()
    }

    /// Runs all of the following checks. Only the functions may have written the table.
    pub fn check(&self) {
        self.check_entries();
        self.check_pointers();
        self.check_answers();
        self.check_namespace_stats(|_| false);
        self.check_tag_blocks();
        self.check_others();
    }

    /// Checks that each entry has either its answer in its row, or an answer item with the same stamp, and that no other
    /// answer item exists.
    pub fn check_answers(&self) {
        let mut expected = BTreeMap::new();
        for (id, row) in &self.entries {
            let is_apart = row.contains_key("answer");
            assert_eq!(row.contains_key("response"), !is_apart, "the answer of entry {id}");
            if is_apart {
                let entry = EntryId::new(u64::try_from(*id).expect("an id")).expect("an id");
                expected.insert(id_of(RowKey::answer(entry)), row["answer"].clone());
            }
        }
        let found: BTreeMap<i128, AttributeValue> =
            self.derived(DerivedKind::Answer).map(|(id, row)| (id, row["answer"].clone())).collect();
        assert_eq!(found, expected, "answer items found, and expected");
    }

    /// The response of the entry `id`, from its row or its answer item.
    pub fn response(&self, id: i128) -> &str {
        let row = &self.entries[&id];
        let answer = |id| EntryId::new(id).map(RowKey::answer).map(id_of);
        let item = match row.contains_key("answer") {
            true => &self.rows[&u64::try_from(id).ok().and_then(answer).expect("an id")],
            false => row,
        };
        item["response"].as_s().expect("a text")
    }

    /// Checks that ids are below `next_id`, and that each (namespace, query hash) has one row.
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

    /// Checks that each entry has a pointer to it, and that all other pointers hold verdicts, say whose namespace they
    /// belong to, and name the entry of one of these.
    pub fn check_pointers(&self) {
        let mut expected = BTreeMap::new();
        for (id, row) in &self.entries {
            let hash: QueryHash = serde_json::from_value(text(row, "query_hash").into()).expect("a hash");
            expected.insert(id_of(RowKey::pointer(&namespace(&text(row, "namespace")), &hash)), *id);
        }
        let pointers = self.derived(DerivedKind::Pointer).map(|(id, row)| (id, row, Pointer::from_item(row)));
        let (own, of_verdicts): (Vec<_>, Vec<_>) = pointers.partition(|(.., pointer)| pointer.own().is_some());
        for (id, row, pointer) in of_verdicts {
            assert!(!pointer.verdicts.is_empty() && pointer.named.is_some(), "the pointer {id} names nothing: {row:?}");
            assert!(row.contains_key("name"), "the pointer {id} has verdicts of no namespace");
        }
        let found: BTreeMap<i128, i128> = own.into_iter().map(|(id, row, _)| (id, number(row, "entry_id"))).collect();
        assert_eq!(found, expected, "pointers found, and expected");
    }

    /// Checks that the tag blocks name each entry with a tag. They may also name entries that are gone, until `vacuum`
    /// takes these out.
    pub fn check_tag_blocks(&self) {
        let blocks: BTreeMap<RowKey, TagBlock> = self
            .data(DerivedKind::TagBlock)
            .map(|item| TagBlock::from_item(item).expect("a tag block"))
            .map(|block| (block.key, block))
            .collect();
        for (id, row) in &self.entries {
            let of = EntryId::new(u64::try_from(*id).expect("an id")).expect("an id");
            for tag in entry_row::tags(row).iter() {
                let key = RowKey::tag_block(&namespace(&text(row, "namespace")), tag, range_of(of.get()));
                assert!(blocks.get(&key).is_some_and(|block| block.ids.contains(&of)), "{id} is not found by {tag}");
            }
        }
    }

    /// Checks that each namespace with rows has statistics, and that they count the rows. The counts of namespaces that
    /// `excepted` accepts are not checked. The statistics of the whole table are checked if they exist.
    pub fn check_namespace_stats(&self, excepted: impl Fn(&str) -> bool) {
        let counts = self.counts();
        let others = [RowKey::TABLE_STATS, RowKey::UNKNOWN_NAMESPACE_STATS].map(id_of);
        let mut counted = BTreeSet::new();
        for (id, row) in self.derived(DerivedKind::NamespaceStats).filter(|(id, _)| !others.contains(id)) {
            if !row.contains_key("name") {
                // `vacuum` counted a namespace with a quota that never had an entry.
                assert_eq!(number(row, "entries"), 0, "statistics without a name");
                continue;
            }
            let name = text(row, "name");
            assert_eq!(id, id_of(RowKey::namespace_stats(&namespace(&name))), "the id of the statistics of {name}");
            if !excepted(&name) {
                assert_eq!(number(row, "entries"), counts.get(&name).copied().unwrap_or(0), "the statistics of {name}");
            }
            counted.insert(name);
        }
        for name in counts.keys() {
            assert!(counted.contains(name), "{name} has no statistics");
        }
        if let Some(row) = self.rows.get(&id_of(RowKey::TABLE_STATS)) {
            assert_eq!(number(row, "entries"), self.entries.len() as i128, "the statistics of the table");
        }
    }

    /// Checks idempotency records, leases, the writer queue, and that each row below id 0 is a derived item outside the
    /// indexes.
    pub fn check_others(&self) {
        for (id, row) in self.rows.range(..0) {
            let kind = RowKey::from_attribute(&row["id"]).and_then(RowKey::derived_kind);
            assert!(kind.is_some(), "{id} is not a derived item");
            assert!(!row.contains_key("namespace") && !row.contains_key("query_hash"), "{id} is in the indexes");
        }
        for (id, row) in self.derived(DerivedKind::IdempotencyRecord) {
            let entry = number(row, "entry_id");
            assert!((1..self.next_id).contains(&entry), "the idempotency record {id} names {entry}");
            assert!(row["created"].as_bool().is_ok() && number(row, "ttl") > 0, "idempotency record {id}: {row:?}");
        }
        for (id, row) in self.derived(DerivedKind::Lease) {
            assert!(number(row, "ttl") > 0 && number(row, "leased_until") > 0, "lease {id}: {row:?}");
        }
        for (_, row) in self.derived(DerivedKind::WriterQueue) {
            let served = row.get("served").map_or(0, |_| number(row, "served"));
            assert!(served <= number(row, "issued"), "{row:?}");
        }
    }

    /// The names in the directory, each in its item.
    pub fn directory_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (id, row) in self.derived(DerivedKind::Directory) {
            // DynamoDB removes a set with its last element.
            for name in row.get("names").into_iter().flat_map(|names| names.as_ss().expect("a set of names")) {
                assert_eq!(id, id_of(RowKey::directory(&namespace(name))), "the directory item of {name}");
                names.insert(name.clone());
            }
        }
        names
    }

    /// Checks that the directory lists each namespace with rows, each name in its own item.
    pub fn check_directory(&self) {
        let names = self.directory_names();
        for name in self.counts().into_keys() {
            assert!(names.contains(&name), "{name} is not in the directory");
        }
    }

    /// The sum of one counter over all namespaces: `evictions`, `misses`, …
    pub fn sum_of(&self, count: &str) -> i128 {
        self.derived(DerivedKind::NamespaceStats).map(|(_, row)| row.get(count).map_or(0, |_| number(row, count))).sum()
    }
}

/// Reads the whole table and checks it. Returns the rows of entries and `version_counter`.
///
/// Only the functions may have written the table.
pub async fn check(stack: &Stack) -> (BTreeMap<i128, Item>, i128) {
    let snapshot = Snapshot::read(stack).await;
    snapshot.check();
    (snapshot.entries, snapshot.version)
}

/// An id that a reply has named.
#[derive(Debug)]
struct IssuedId {
    namespace: String,
    query: String,
    /// True if a reply said that the put with this id created an entry.
    created: bool,
}

/// The replies that clients received, for comparison with the table.
///
/// A test must not put an expired entry again: the put would also remove the old row, which is not counted as a
/// mutation.
#[derive(Debug, Default)]
pub struct Ledger {
    issued: BTreeMap<i128, IssuedId>,
    puts: i128,
    others: i128,
    unknown_puts: i128,
    unknown_others: i128,
}

impl Ledger {
    /// Records an acknowledged put. A reply that an idempotency key repeats must not be recorded.
    pub fn put(&mut self, id: u64, created: bool, namespace: &str, query: &str) {
        self.puts += 1;
        let new = IssuedId { namespace: namespace.to_owned(), query: query.to_owned(), created: false };
        let known = self.issued.entry(id.into()).or_insert(new);
        assert_eq!((known.namespace.as_str(), known.query.as_str()), (namespace, query), "two entries have id {id}");
        assert!(!(created && known.created), "{id} was created twice");
        known.created |= created;
    }

    /// Records an acknowledged touch, or an acknowledged write to quotas or meta.
    pub fn count(&mut self) {
        self.others += 1;
    }

    /// Records puts whose outcome is unknown.
    pub fn unknown_puts(&mut self, puts: usize) {
        self.unknown_puts += puts as i128;
    }

    /// Records a touch, or a write to quotas or meta, whose outcome is unknown.
    pub fn unknown(&mut self) {
        self.unknown_others += 1;
    }

    /// The number of puts with an unknown outcome, and of acknowledged ones.
    pub fn puts(&self) -> (i128, i128) {
        (self.unknown_puts, self.puts)
    }

    /// Checks that each id below `next_id` was acknowledged or may belong to a put with an unknown outcome. Checks that
    /// `version_counter` is the number of committed mutations, within the bounds that unknown outcomes leave.
    pub fn check(&self, snapshot: &Snapshot) {
        let issued = snapshot.next_id - 1;
        if let Some((highest, _)) = self.issued.last_key_value() {
            assert!(*highest <= issued, "{highest} was acknowledged, but the counter has not issued it");
        }
        let unnamed = issued - self.issued.len() as i128;
        assert!((0..=self.unknown_puts).contains(&unnamed), "{unnamed} ids in no reply, {} unknown", self.unknown_puts);
        for (id, row) in &snapshot.entries {
            if let Some(known) = self.issued.get(id) {
                let hash = QueryHash::of(&known.query, true).to_string();
                assert_eq!((text(row, "namespace"), text(row, "query_hash")), (known.namespace.clone(), hash), "{id}");
            }
        }
        // A row is removed by the put that replaces it, which is one mutation for both, or by a mutation of its own.
        let removed = issued - snapshot.entries.len() as i128;
        let replaced = self.issued.values().filter(|known| !known.created).count() as i128;
        let min = self.puts + self.others + removed - replaced;
        // An unknown put may have been committed, and may have created an entry that a known put has replaced.
        let max = min + 2 * self.unknown_puts + self.unknown_others;
        assert!(
            (min..=max).contains(&snapshot.version),
            "version {}, but {min} to {max} mutations were committed: {} puts, {} others, {removed} removed, {replaced} replaced",
            snapshot.version,
            self.puts,
            self.others
        );
    }
}

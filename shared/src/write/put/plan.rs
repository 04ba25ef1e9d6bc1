//! The transaction that stores entries.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};

use super::look::{Pair, Seen};
use super::vectors::Vectors;
use super::{NewEntry, Stored};
use crate::cache::Cache;
use crate::embedders::{NEXT_ERA, OWN_ERA, RowVectors};
use crate::entry::{Entry, Item, item_bytes};
use crate::error::{Error, ErrorKind};
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::table::ENTRY_ID;
use crate::table::counter::Counter;
use crate::table::transaction::MAX_ACTIONS;
use crate::write::action::{TallyChange, delete, n, put};

/// How long an idempotency key answers as the first time.
const RECEIPT_SECS: i64 = 24 * 60 * 60;

/// The most bytes of rows in one transaction: of its 4 MB (API reference, `TransactWriteItems`), what the other actions
/// leave.
const MAX_ROW_BYTES: usize = 3_500_000;

/// What an action is for, so that a refusal can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Counter,
    /// A row under an id that the counter has not given out yet.
    NewRow,
    Rest,
}

/// The transaction, and what becomes of the entries if it commits.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Of the first entries, as many as the transaction takes.
    pub(super) results: Vec<Result<Stored, Error>>,
    pub(super) actions: Vec<TransactWriteItem>,
    /// What each action is for.
    pub(super) parts: Vec<Part>,
}

/// What one entry adds to a transaction.
struct Addition {
    stored: Stored,
    is_new: bool,
    row_bytes: usize,
    /// The dimension of its vector of the active embedder, where it has one.
    dim: Option<u32>,
    actions: Vec<(Part, TransactWriteItem)>,
    change: TallyChange,
}

impl Cache {
    /// Plans the first of `entries`, as many as one transaction takes: at least one. An entry with an error of its own
    /// takes no part.
    pub(super) fn plan(&self, entries: &[NewEntry], seen: &Seen) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let mut changes: BTreeMap<&Namespace, TallyChange> = BTreeMap::new();
        // As the counter will stand after the entries planned so far.
        let mut counter = seen.counter.clone();
        let mut row_bytes = 0;
        for (new, pair) in entries.iter().zip(&seen.pairs) {
            if let Some(receipt) = pair.receipt {
                plan.results.push(Ok(receipt));
                continue;
            }
            let addition = match self.add(new, pair, &counter) {
                Ok(addition) => addition,
                Err(error) => {
                    plan.results.push(Err(error));
                    continue;
                }
            };
            // The counter, the namespaces' tallies, and the table's.
            let namespaces = changes.len() + usize::from(!changes.contains_key(&new.namespace));
            let others = 1 + namespaces + usize::from(self.table_tally().is_some());
            let actions = plan.actions.len() + addition.actions.len() + others;
            row_bytes += addition.row_bytes;
            if !plan.actions.is_empty() && (actions > MAX_ACTIONS || row_bytes > MAX_ROW_BYTES) {
                break;
            }
            counter.next_id += u64::from(addition.is_new);
            counter.version += 1;
            counter.dim = counter.dim.or(addition.dim);
            let change = changes.entry(&new.namespace).or_default();
            change.entries += addition.change.entries;
            change.has_ttl |= addition.change.has_ttl;
            change.counts.add(&addition.change.counts);
            plan.results.push(Ok(addition.stored));
            for (part, action) in addition.actions {
                plan.push(part, action);
            }
        }
        if plan.actions.is_empty() {
            return Ok(plan);
        }
        let (ids, mutations) = (counter.next_id - seen.counter.next_id, counter.version - seen.counter.version);
        let counted = match ids {
            0 => self.bump(mutations)?,
            _ => self.claim(&seen.counter, ids, mutations, counter.dim)?,
        };
        plan.push(Part::Counter, counted);
        for action in self.tallies(changes)? {
            plan.push(Part::Rest, action);
        }
        Ok(plan)
    }

    /// What `new` adds, with the counter as it stands before it.
    fn add(&self, new: &NewEntry, pair: &Pair, counter: &Counter) -> Result<Addition, Error> {
        let given = self.given(new, counter)?;
        let now = self.now_secs();
        let live = |entry: &&Entry| !entry.is_expired(now);
        let pointed = pair.rows.iter().find(|entry| Some(entry.id) == pair.pointer && live(entry));
        let replaced = pointed.or_else(|| pair.rows.iter().rfind(live));
        let vectors = match replaced.filter(|_| !given.is_empty()) {
            Some(row) => given.or(Vectors::of_row(row, counter)),
            None => given,
        };
        match self.add_with(new, pair, counter, replaced, vectors.clone()) {
            // It may fit without the other embedder's vector, as an entry of before the move does.
            Err(error)
                if error.kind == ErrorKind::EntryTooLarge && vectors.active.is_some() && vectors.other.is_some() =>
            {
                self.add_with(new, pair, counter, replaced, Vectors { other: None, ..vectors })
            }
            addition => addition,
        }
    }

    /// What `new` adds with these vectors, in place of `replaced`.
    fn add_with(
        &self,
        new: &NewEntry,
        pair: &Pair,
        counter: &Counter,
        replaced: Option<&Entry>,
        vectors: Vectors,
    ) -> Result<Addition, Error> {
        let now = self.now_secs();
        let in_place =
            replaced.filter(|row| Vectors::of_row(row, counter) == vectors && !self.becomes_movable(row, new, counter));
        let dim = vectors.active.as_ref().and_then(|bytes| (bytes.len() / size_of::<f32>()).try_into().ok());
        let own = in_place.and_then(|row| row.vectors.own);
        let vectors = self.laid_out(vectors, own, counter)?;
        let id = match in_place {
            Some(entry) => entry.id,
            None => EntryId::new(counter.next_id).ok_or_else(|| Error::internal("the counter stands at 0"))?,
        };
        let is_guarded = counter.guard(&new.namespace, &self.config) || new.signature.needs_history();
        let row = Entry {
            id,
            namespace: new.namespace.clone(),
            query_hash: new.query_hash.clone(),
            query: new.query.clone(),
            response: new.response.clone(),
            vectors,
            metadata: new.metadata.clone(),
            confidence_score: new.confidence_score,
            created_at: now,
            last_accessed_at: now,
            expires_at: new.ttl_secs.map(|secs| now.saturating_add_unsigned(secs)),
            access_count: 0,
            partition: new.partition,
            signature: is_guarded.then(|| new.signature.to_bytes()),
        };
        let item = row.to_item()?;
        let row_bytes = item_bytes(&item);
        let stored = Stored { id, created: replaced.is_none(), quota: counter.quota(&new.namespace), replayed: false };
        let part = if in_place.is_some() { Part::Rest } else { Part::NewRow };
        let mut actions = vec![(part, self.put_row(&row, item, in_place)?)];
        if pair.pointer != Some(id) {
            actions.push((Part::Rest, self.point(new.pointer(), pair.pointer, id)?));
        }
        let mut change = TallyChange { entries: i64::from(in_place.is_none()), ..TallyChange::default() };
        change.has_ttl = new.ttl_secs.is_some();
        for old in pair.rows.iter().filter(|entry| entry.id != id) {
            actions.push((Part::Rest, self.delete_row(old)?));
            change.entries -= 1;
            change.counts.expirations += u64::from(old.is_expired(now));
        }
        if let Some(key) = new.receipt() {
            actions.push((Part::Rest, self.put_receipt(key, stored, now)?));
        }
        Ok(Addition { stored, is_new: in_place.is_none(), row_bytes, dim, actions, change })
    }

    /// Whether a move may have passed over `row`, which lacks a vector, for a reason that `new` does not have: then the entry has to
    /// stand where the move comes by.
    fn becomes_movable(&self, row: &Entry, new: &NewEntry, counter: &Counter) -> bool {
        let held = Vectors::of_row(row, counter);
        let Some(other) = counter.other.as_ref().filter(|other| !other.ending && held.other.is_none()) else {
            return false;
        };
        let both = Vectors { other: Some(vec![1; other.dim as usize * size_of::<f32>()]), ..held };
        let whole = self.laid_out(both, row.vectors.own, counter).map(|vectors| Entry { vectors, ..row.clone() });
        let had_room = whole.is_ok_and(|whole| whole.to_item().is_ok());
        new.query.is_some() && (new.query != row.query || !had_room)
    }

    /// The row, over nothing, or over `seen`, if that is still the pair's and has these very vectors.
    fn put_row(&self, row: &Entry, item: Item, seen: Option<&Entry>) -> Result<TransactWriteItem, Error> {
        let builder = Put::builder().table_name(self.table.name()).set_item(Some(item));
        let Some(seen) = seen else {
            return put(builder
                .condition_expression("attribute_not_exists(#id)")
                .expression_attribute_names("#id", "id"));
        };
        let mut terms = vec!["#namespace = :namespace".to_owned(), "#query_hash = :query_hash".to_owned()];
        let mut builder = builder
            .expression_attribute_names("#namespace", "namespace")
            .expression_attribute_names("#query_hash", "query_hash")
            .expression_attribute_names("#embedding", "embedding")
            .expression_attribute_values(":namespace", AttributeValue::S(row.namespace.to_string()))
            .expression_attribute_values(":query_hash", AttributeValue::S(row.query_hash.to_string()));
        let RowVectors { embedding, own, next } = &seen.vectors;
        builder = match embedding {
            Some(embedding) => {
                terms.push("#embedding = :embedding".to_owned());
                builder.expression_attribute_values(":embedding", AttributeValue::B(Blob::new(embedding.clone())))
            }
            None => {
                terms.push("(attribute_not_exists(#embedding) OR size(#embedding) = :none)".to_owned());
                builder.expression_attribute_values(":none", n(0))
            }
        };
        for (name, era) in [(OWN_ERA, *own), (NEXT_ERA, next.as_ref().map(|(era, _)| *era))] {
            builder = builder.expression_attribute_names(format!("#{name}"), name);
            builder = match era {
                Some(era) => {
                    terms.push(format!("#{name} = :{name}"));
                    builder.expression_attribute_values(format!(":{name}"), era.attribute())
                }
                None => {
                    terms.push(format!("attribute_not_exists(#{name})"));
                    builder
                }
            };
        }
        put(builder.condition_expression(terms.join(" AND ")))
    }

    /// Removes a row that is still there.
    fn delete_row(&self, row: &Entry) -> Result<TransactWriteItem, Error> {
        delete(
            Delete::builder()
                .table_name(self.table.name())
                .key("id", RowKey::from(row.id).attribute())
                .condition_expression("attribute_exists(#id)")
                .expression_attribute_names("#id", "id"),
        )
    }

    /// Keeps the reply for a key that was not used in the last 24 hours.
    fn put_receipt(&self, key: RowKey, stored: Stored, now: i64) -> Result<TransactWriteItem, Error> {
        let item = Item::from([
            ("id".to_owned(), key.attribute()),
            (ENTRY_ID.to_owned(), n(stored.id)),
            ("created".to_owned(), AttributeValue::Bool(stored.created)),
            ("ttl".to_owned(), n(now + RECEIPT_SECS)),
        ]);
        put(Put::builder()
            .table_name(self.table.name())
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#id) OR #ttl <= :now")
            .expression_attribute_names("#id", "id")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", n(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::None))
    }
}

impl Plan {
    /// The rows that it writes, by key.
    pub(super) fn rows(&self) -> Vec<(RowKey, Item)> {
        let items = self.actions.iter().filter_map(|action| Some(&action.put.as_ref()?.item));
        let keyed = items.filter_map(|item| Some((RowKey::from_attribute(item.get("id")?)?, item.clone())));
        keyed.filter(|(key, _)| key.entry().is_some()).collect()
    }

    fn push(&mut self, part: Part, action: TransactWriteItem) {
        self.parts.push(part);
        self.actions.push(action);
    }
}

impl NewEntry {
    /// The key of its pair's pointer.
    pub(super) fn pointer(&self) -> RowKey {
        RowKey::pointer(&self.namespace, &self.query_hash)
    }

    /// The key of its receipt, where it has an idempotency key.
    pub(super) fn receipt(&self) -> Option<RowKey> {
        self.idempotency_key.as_ref().map(|key| RowKey::receipt(&self.namespace, key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_config::SdkConfig;
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::BehaviorVersion;
    use mneme_guard::{ConversationSignature, Signature};
    use proptest::prelude::*;
    use serde_json::Map;

    use super::super::distinct;
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::embedding::Embedding;
    use crate::normalize::QueryHash;
    use crate::table::Table;

    /// A cache that never sends anything.
    fn cache() -> Cache {
        let client =
            Client::from_conf(aws_sdk_dynamodb::Config::builder().behavior_version(BehaviorVersion::latest()).build());
        let config = Config::with(&[("MNEME_MAX_ENTRIES", "9")]);
        let aws = SdkConfig::builder().build();
        Cache::new(config, Table::over(&client, "cache"), aws, Clock::System)
    }

    fn key_of(action: &TransactWriteItem) -> String {
        let key = action
            .put
            .as_ref()
            .map(|put| &put.item)
            .or(action.update.as_ref().map(|update| &update.key))
            .or(action.delete.as_ref().map(|delete| &delete.key));
        key.unwrap()["id"].as_n().unwrap().clone()
    }

    fn row_bytes(action: &TransactWriteItem) -> usize {
        action.put.as_ref().filter(|put| put.item.contains_key("response")).map_or(0, |put| item_bytes(&put.item))
    }

    prop_compose! {
        /// An entry, and what there is of its pair: nothing, a row with the same vector, or rows with others.
        fn any_put()(
            query in 0u32..60, space in 0u32..4, response in 0usize..390_000, vector in 0u8..3, rows in 0u64..6,
            key in prop::option::of(0u32..8), ttl in prop::option::of(1u64..9),
        ) -> (NewEntry, u8, u64) {
            let embedding = |n: u8| Embedding::normalized(vec![1.0, f32::from(n)]).unwrap();
            let entry = NewEntry {
                namespace: Namespace::try_from(format!("n{space}")).unwrap(),
                query_hash: QueryHash::of(&query.to_string(), true),
                query: Some(query.to_string()),
                partition: None,
                signature: ConversationSignature::from(Signature::of("")),
                response: "r".repeat(response),
                vectors: (vector > 0).then(|| embedding(vector).into()).into_iter().collect(),
                metadata: Map::new(),
                ttl_secs: ttl,
                confidence_score: 1.0,
                idempotency_key: key.map(|key| key.to_string()),
            };
            (entry, vector, rows)
        }
    }

    fn pair(entry: &NewEntry, id: u64, rows: u64) -> Pair {
        let row = |at: u64| Entry {
            id: EntryId::new(id + at).unwrap(),
            namespace: entry.namespace.clone(),
            query_hash: entry.query_hash.clone(),
            query: None,
            response: String::new(),
            vectors: RowVectors {
                embedding: if at == 0 {
                    entry.vectors.first().map(|own| own.embedding.to_bytes())
                } else {
                    Some(vec![0; 8])
                },
                ..RowVectors::default()
            },
            metadata: Map::new(),
            confidence_score: 1.0,
            created_at: 1,
            last_accessed_at: 1,
            expires_at: None,
            access_count: 0,
            partition: None,
            signature: None,
        };
        let rows: Vec<Entry> = (0..rows).map(row).collect();
        Pair { pointer: rows.first().map(|row| row.id), rows, receipt: None }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A transaction keeps to DynamoDB's limits and takes an action for an item once; its ids are the counter's next
        /// ones; and nothing is left out: what did not fit is the next transaction's.
        #[test]
        fn any_batch_is_split_into_transactions_that_dynamodb_takes(puts in prop::collection::vec(any_put(), 1..80)) {
            let cache = cache();
            let entries: Vec<NewEntry> = puts.iter().map(|(entry, ..)| entry.clone()).collect();
            let mut counter = Counter::from_item(&Counter::first_item(&cache.config)).unwrap();
            counter.next_id = 1000;
            let mut done = 0;
            while done < entries.len() {
                let some = &entries[done..][..distinct(&entries[done..])];
                let pairs = some.iter().zip(&puts[done..]).enumerate();
                let pairs = pairs.map(|(at, (entry, (.., rows)))| pair(entry, 1 + 10 * at as u64, *rows)).collect();
                let seen = Seen { counter: counter.clone(), pairs };
                let plan = cache.plan(some, &seen).unwrap();
                prop_assert!((1..=some.len()).contains(&plan.results.len()));
                prop_assert!(plan.actions.len() <= MAX_ACTIONS);
                prop_assert_eq!(plan.actions.len(), plan.parts.len());
                let rows: Vec<usize> = plan.actions.iter().map(row_bytes).filter(|bytes| *bytes > 0).collect();
                prop_assert!(rows.len() == 1 || rows.iter().sum::<usize>() <= MAX_ROW_BYTES);
                let keys: HashSet<String> = plan.actions.iter().map(key_of).collect();
                prop_assert_eq!(keys.len(), plan.actions.len());
                let ids: Vec<u64> = plan.results.iter().map(|result| result.as_ref().unwrap().id.get()).collect();
                let new: Vec<u64> = ids.into_iter().filter(|id| *id >= counter.next_id).collect();
                prop_assert_eq!(&new, &(counter.next_id..counter.next_id + new.len() as u64).collect::<Vec<u64>>());
                prop_assert_eq!(plan.parts.iter().filter(|part| **part == Part::NewRow).count(), new.len());
                // The counter goes up once, by the ids and by the entries.
                let counters: Vec<_> = plan.actions.iter().filter(|action| key_of(action) == "0").collect();
                prop_assert_eq!(counters.len(), 1);
                let values = counters[0].update.as_ref().unwrap().expression_attribute_values.clone().unwrap();
                let stored = plan.results.len() as u64;
                let raised = (values.get(":version"), values.get(":next_id"), values.get(":mutations"));
                let expected = (n(counter.version + stored), n(counter.next_id + new.len() as u64), n(stored));
                match new.is_empty() {
                    true => prop_assert_eq!(raised, (None, None, Some(&expected.2))),
                    false => prop_assert_eq!(raised, (Some(&expected.0), Some(&expected.1), None)),
                }
                let receipts = some[..plan.results.len()].iter().filter_map(NewEntry::receipt);
                prop_assert!(receipts.into_iter().all(|key| keys.contains(key.attribute().as_n().unwrap())));
                // As few transactions as it takes: the next entry would not have fitted.
                if let Some((entry, pair)) = some.get(plan.results.len()).zip(seen.pairs.get(plan.results.len())) {
                    let mut after = counter.clone();
                    after.next_id += new.len() as u64;
                    let next = cache.add(entry, pair, &after).unwrap();
                    let tally = !keys.contains(RowKey::tally(&entry.namespace).attribute().as_n().unwrap());
                    let actions = plan.actions.len() + next.actions.len() + usize::from(tally);
                    let bytes = rows.iter().sum::<usize>() + next.row_bytes;
                    prop_assert!(actions > MAX_ACTIONS || bytes > MAX_ROW_BYTES, "{actions} actions, {bytes} bytes");
                }
                counter.next_id += new.len() as u64;
                counter.version += stored;
                done += plan.results.len();
            }
        }
    }
}

//! The transaction that stores entries.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::types::TransactWriteItem;
use mneme_model::confidence::Guard;
use mneme_model::entry::{Entry, EntryHeader};
use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::EffectiveSettings;
use mneme_store::actions::{DeleteCondition, StatsChange};
use mneme_store::answer_item::{answer_to_item, place_answer};
use mneme_store::counter::Counter;
use mneme_store::entry_row::entry_to_item;
use mneme_store::idempotency_record::IdempotencyRecord;
use mneme_store::item::item_bytes;
use mneme_store::tag_blocks::TagAdditions;
use mneme_store::transaction::MAX_ACTIONS;

use super::new_entry::{NewEntry, StoredEntry};
use super::snapshot::{ExistingEntry, PutSnapshot};
use crate::cache::Cache;
use crate::embedders::layout::{EntryVectors, needs_revisit};

/// How long an idempotency key gets the first put's reply.
const IDEMPOTENCY_SECS: i64 = 24 * 60 * 60;

/// For how long nobody can take the lease of an answer that was just stored. A lookup that read the table before the put
/// asks for the lease after its read, and has to find that it must look up again.
const LEASE_REST_MS: i64 = 2000;

/// The most bytes of rows and answer items in one transaction: what the other actions leave of its 4 MB (API reference,
/// `TransactWriteItems`).
const MAX_ROW_BYTES: usize = 3_500_000;

/// The most entries that one transaction could take: at least two actions each, the counter and the statistics.
const MAX_AT_ONCE: usize = (MAX_ACTIONS - 2) / 2;

/// What an action is for. A refusal is interpreted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionRole {
    Counter,
    /// A row under an id that the counter has not given out yet.
    NewRow,
    Rest,
}

/// A transaction, and the results of its entries if it commits.
#[derive(Debug, Default)]
pub(super) struct PutPlan {
    /// Results of the first entries, as many as the transaction takes.
    pub(super) results: Vec<Result<StoredEntry, Error>>,
    pub(super) actions: Vec<TransactWriteItem>,
    /// What each action is for.
    pub(super) roles: Vec<ActionRole>,
}

impl PutPlan {
    fn push(&mut self, role: ActionRole, action: TransactWriteItem) {
        self.roles.push(role);
        self.actions.push(action);
    }
}

/// What one entry adds to a transaction.
struct PlannedEntry {
    stored: StoredEntry,
    is_new: bool,
    row_bytes: usize,
    /// The dimension of its vector of the active embedder, if it has one.
    dim: Option<u32>,
    actions: Vec<(ActionRole, TransactWriteItem)>,
    tagged: TagAdditions,
    change: StatsChange,
}

/// Plans transactions. It sends nothing.
pub(super) struct Planner<'a> {
    pub(super) cache: &'a Cache,
}

impl Planner<'_> {
    /// Plans the first of `entries`, as many as one transaction takes: at least one. An entry with an error of its own
    /// adds nothing to the transaction.
    pub(super) fn plan(&self, entries: &[NewEntry], seen: &PutSnapshot) -> Result<PutPlan, Error> {
        let table_stats = self.cache.table_stats_key();
        let mut plan = PutPlan::default();
        let mut changes: BTreeMap<&Namespace, StatsChange> = BTreeMap::new();
        // The counter after the entries planned so far.
        let mut counter = seen.counter.clone();
        let mut tagged = TagAdditions::default();
        let mut row_bytes = 0;
        for (new, existing) in entries.iter().zip(&seen.existing) {
            if let Some(answer) = self.answer_without_write(new, existing) {
                plan.results.push(answer);
                continue;
            }
            let planned = match self.plan_entry(new, existing, &counter) {
                Ok(planned) => planned,
                Err(error) => {
                    plan.results.push(Err(error));
                    continue;
                }
            };
            let mut changed = changes.clone();
            changed.entry(&new.namespace).or_default().add(&planned.change);
            // The counter, the statistics of the namespaces and of the table, and the tag blocks.
            let stats = StatsChange::actions(changed.values(), table_stats.is_some());
            let others = 1 + stats + tagged.len() + planned.tagged.blocks_without(&tagged);
            let actions = plan.actions.len() + planned.actions.len() + others;
            row_bytes += planned.row_bytes;
            if !plan.actions.is_empty() && (actions > MAX_ACTIONS || row_bytes > MAX_ROW_BYTES) {
                break;
            }
            counter.next_id += u64::from(planned.is_new);
            counter.version += 1;
            counter.dim = counter.dim.or(planned.dim);
            changes = changed;
            tagged.extend(planned.tagged);
            plan.results.push(Ok(planned.stored));
            for (role, action) in planned.actions {
                plan.push(role, action);
            }
        }
        if plan.actions.is_empty() {
            return Ok(plan);
        }
        let table = &self.cache.table;
        let (ids, mutations) = (counter.next_id - seen.counter.next_id, counter.version - seen.counter.version);
        let counted = match ids {
            0 => table.raise_version(mutations)?,
            _ => table.claim_ids(&seen.counter, ids, mutations, counter.dim)?,
        };
        plan.push(ActionRole::Counter, counted);
        let others = table.change_stats(changes, table_stats)?.into_iter().chain(table.add_tagged(&tagged)?);
        for action in others {
            plan.push(ActionRole::Rest, action);
        }
        Ok(plan)
    }

    /// The result of a put that stores nothing: its idempotency key was used before, or it keeps the live entry.
    ///
    /// A repeated put stores its entry again if there is no entry for its query any more. Errors:
    /// `IdempotentParameterMismatch`.
    fn answer_without_write(&self, new: &NewEntry, existing: &ExistingEntry) -> Option<Result<StoredEntry, Error>> {
        let live = self.live(existing);
        if let (Some(record), Some(own)) = (&existing.record, &new.idempotency) {
            if record.request.is_some_and(|request| request != own.request) {
                return Some(Err(Error::new(
                    ErrorKind::IdempotentParameterMismatch,
                    "idempotency_key: it was used for another request in the last 24 hours",
                    "send a new key with a new request, or the same request again",
                )));
            }
            if live.is_some() {
                let IdempotencyRecord { id, created, .. } = *record;
                return Some(Ok(StoredEntry { id, created, max_entries: None, replayed: true, kept: false }));
            }
        }
        let kept = live.filter(|_| new.if_absent)?.id;
        Some(Ok(StoredEntry { id: kept, created: false, max_entries: None, replayed: false, kept: true }))
    }

    /// The live entry for the query: the one that the pointer names, or else the newest.
    fn live<'e>(&self, existing: &'e ExistingEntry) -> Option<&'e Entry> {
        let now = self.cache.now_secs();
        let is_live = |entry: &&Entry| !entry.is_expired(now);
        let pointed = existing.rows.iter().find(|entry| Some(entry.id) == existing.pointer && is_live(entry));
        pointed.or_else(|| existing.rows.iter().rfind(is_live))
    }

    /// What `new` adds. `counter`: as it is before this entry.
    fn plan_entry(&self, new: &NewEntry, existing: &ExistingEntry, counter: &Counter) -> Result<PlannedEntry, Error> {
        let given = EntryVectors::of_new(&new.vectors, counter, &self.cache.config)?;
        let replaced = self.live(existing);
        let vectors = match replaced.filter(|_| !given.is_empty()) {
            Some(row) => given.or(EntryVectors::of_row(row, counter)),
            None => given,
        };
        match self.plan_with(new, existing, counter, replaced, &vectors) {
            // The entry may fit without the second embedder's vector.
            Err(error) if error.kind == ErrorKind::EntryTooLarge => match vectors.without_second() {
                Some(fewer) => self.plan_with(new, existing, counter, replaced, &fewer),
                None => Err(error),
            },
            planned => planned,
        }
    }

    /// What `new` adds with `vectors`, in place of `replaced`.
    fn plan_with(
        &self,
        new: &NewEntry,
        existing: &ExistingEntry,
        counter: &Counter,
        replaced: Option<&Entry>,
        vectors: &EntryVectors,
    ) -> Result<PlannedEntry, Error> {
        let (table, config, now) = (&self.cache.table, &self.cache.config, self.cache.now_secs());
        let in_place = replaced.filter(|row| {
            EntryVectors::of_row(row, counter) == *vectors && !needs_revisit(row, new.query.as_deref(), counter, config)
        });
        let id = match in_place {
            Some(entry) => entry.id,
            None => EntryId::new(counter.next_id).ok_or_else(|| Error::internal("`next_id` is 0"))?,
        };
        let EffectiveSettings { guard, default_ttl_seconds, max_entries, .. } = existing.settings;
        let keeps_signature = guard == Guard::On || new.signature.needs_history();
        let ttl_secs = new.lifetime.secs(default_ttl_seconds);
        let mut row = Entry {
            id,
            namespace: new.namespace.clone(),
            query_hash: new.query_hash.clone(),
            query: new.query.clone(),
            response: new.response.clone(),
            apart: None,
            vectors: vectors.to_row_vectors(in_place, counter, config)?,
            metadata: new.metadata.clone(),
            tags: new.tags.clone(),
            usage: new.usage.clone(),
            confidence_score: new.confidence_score,
            created_at: now,
            last_accessed_at: now,
            expires_at: ttl_secs.map(|secs| now.saturating_add_unsigned(secs)),
            access_count: 0,
            stored_by: new.stored_by.clone(),
            context_key: new.context_key,
            signature: keeps_signature.then(|| new.signature.to_bytes()),
        };
        place_answer(&mut row, config.is_shared_with_library());
        let item = entry_to_item(&row)?;
        let answer = answer_to_item(&row)?;
        let row_bytes = item_bytes(&item) + answer.as_ref().map_or(0, item_bytes);
        let stored = StoredEntry { id, created: replaced.is_none(), max_entries, replayed: false, kept: false };
        let mut actions = vec![match in_place {
            Some(seen) => (ActionRole::Rest, table.replace_row(item, seen)?),
            None => (ActionRole::NewRow, table.insert_row(item)?),
        }];
        if let Some(answer) = answer {
            actions.push((ActionRole::Rest, table.put_answer(answer)?));
        } else if in_place.is_some_and(|seen| seen.apart.is_some()) {
            actions.push((ActionRole::Rest, table.delete_answer(id)?));
        }
        if existing.pointer != Some(id) {
            actions.push((ActionRole::Rest, table.point(new.pointer_key(), existing.pointer, id)?));
        }
        let mut change = StatsChange { entries: i64::from(in_place.is_none()), ..StatsChange::default() };
        change.has_ttl = ttl_secs.is_some();
        for old in existing.rows.iter().filter(|entry| entry.id != id) {
            actions.push((ActionRole::Rest, table.delete_row(&EntryHeader::from(old), DeleteCondition::Exists)?));
            if old.apart.is_some() {
                actions.push((ActionRole::Rest, table.delete_answer(old.id)?));
            }
            change.entries -= 1;
            change.counts.expirations += u64::from(old.is_expired(now));
        }
        if let Some((key, own)) = new.idempotency_record_key().zip(new.idempotency.as_ref()) {
            let until = now + IDEMPOTENCY_SECS;
            let record = IdempotencyRecord { id, created: stored.created, request: Some(own.request), until };
            let replaced = existing.record.map(|record| record.id);
            actions.push((ActionRole::Rest, table.put_idempotency_record(key, &record, replaced, now)?));
        }
        if let Some((key, token)) = new.lease_key().zip(new.lease_token.as_ref()).filter(|_| existing.holds_lease) {
            let until_ms = self.cache.clock.now_ms() + LEASE_REST_MS;
            actions.push((ActionRole::Rest, table.end_lease(key, token, until_ms)?));
        }
        let mut tagged = TagAdditions::default();
        // The blocks have the id of a row that is replaced in place.
        let new_tags = in_place.map_or_else(|| new.tags.clone(), |row| new.tags.without(&row.tags));
        tagged.add(&new.namespace, &new_tags, id);
        let (is_new, dim) = (in_place.is_none(), vectors.active_dim());
        Ok(PlannedEntry { stored, is_new, row_bytes, dim, actions, tagged, change })
    }
}

/// How many of `entries`, from the first on, have different queries and different idempotency keys. A transaction takes
/// one action per item, so only these could share one.
pub(super) fn distinct_len(entries: &[NewEntry]) -> usize {
    let mut keys = HashSet::new();
    let is_new = |entry: &&NewEntry| {
        keys.insert(entry.pointer_key()) && entry.idempotency_record_key().is_none_or(|key| keys.insert(key))
    };
    entries.iter().take(MAX_AT_ONCE).take_while(is_new).count()
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::BehaviorVersion;
    use mneme_guard::{ConversationSignature, Signature};
    use mneme_model::clock::Clock;
    use mneme_model::config::Config;
    use mneme_model::embedding::Embedding;
    use mneme_model::namespace_settings::NamespaceSettings;
    use mneme_model::normalize::QueryHash;
    use mneme_model::row_vectors::RowVectors;
    use mneme_model::tag::Tags;
    use mneme_store::item::n;
    use mneme_store::key::RowKey;
    use mneme_store::namespace_stats::EventCounts;
    use mneme_store::segments::range_of;
    use mneme_store::table::Table;
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::embedders::new_vector::NewVector;
    use crate::write::put::{IdempotencyKey, Lifetime};

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
        key.unwrap()[mneme_store::attribute::ID].as_n().unwrap().clone()
    }

    /// The bytes of a row or of an answer item.
    fn row_bytes(action: &TransactWriteItem) -> usize {
        let Some(put) = &action.put else { return 0 };
        let key = RowKey::from_attribute(&put.item[mneme_store::attribute::ID]).unwrap();
        let is_counted = key.entry().is_some() || key.answered_entry().is_some();
        if is_counted { item_bytes(&put.item) } else { 0 }
    }

    prop_compose! {
        /// An entry, and what is stored for its entry key: nothing, a row with the same vector, or rows with other
        /// vectors.
        fn any_put()(
            query in 0u32..60, space in 0u32..4, response in 0usize..350_000, vector in 0u8..3, rows in 0u64..6,
            key in prop::option::of(0u32..8), ttl in prop::option::of(1u64..9),
            tags in prop::collection::vec("[a-z]", 0..5),
        ) -> (NewEntry, u8, u64) {
            let embedding = |n: u8| Embedding::normalized(vec![1.0, f32::from(n)]).unwrap();
            let new_vector = |embedding| NewVector { made_by: None, embedding, unread: None };
            let entry = NewEntry {
                namespace: Namespace::try_from(format!("n{space}")).unwrap(),
                query_hash: QueryHash::of(&query.to_string(), true),
                query: Some(query.to_string()),
                context_key: None,
                signature: ConversationSignature::from(Signature::of("")),
                response: "r".repeat(response),
                vectors: (vector > 0).then(|| new_vector(embedding(vector))).into_iter().collect(),
                metadata: Map::new(),
                tags: Tags::from_row(tags),
                usage: None,
                lifetime: Lifetime { asked_secs: ttl, longest_secs: None },
                confidence_score: 1.0,
                if_absent: false,
                stored_by: None,
                idempotency: key.map(|key| IdempotencyKey { key: key.to_string(), request: [0; 16] }),
                lease_token: ttl.map(|_| "token".to_owned()),
            };
            (entry, vector, rows)
        }
    }

    fn existing(entry: &NewEntry, id: u64, rows: u64) -> ExistingEntry {
        let row = |at: u64| Entry {
            namespace: entry.namespace.clone(),
            query_hash: entry.query_hash.clone(),
            response: String::new(),
            vectors: RowVectors {
                embedding: if at == 0 {
                    entry.vectors.first().map(|own| own.embedding.to_bytes())
                } else {
                    Some(vec![0; 8])
                },
                ..RowVectors::default()
            },
            ..Entry::example(id + at)
        };
        let rows: Vec<Entry> = (0..rows).map(row).collect();
        let holds_lease = entry.lease_token.is_some();
        let settings = EffectiveSettings::new(&NamespaceSettings::default(), &Config::with(&[]));
        ExistingEntry { pointer: rows.first().map(|row| row.id), rows, record: None, holds_lease, settings }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A transaction stays within DynamoDB's limits and has at most one action for each item. Its new ids are the
        /// next ids of the counter. The next transaction takes the entries that did not fit.
        #[test]
        fn batch_is_split_into_transactions_within_the_limits(puts in prop::collection::vec(any_put(), 1..80)) {
            let cache = cache();
            let entries: Vec<NewEntry> = puts.iter().map(|(entry, ..)| entry.clone()).collect();
            let mut counter = Counter::from_item(&Counter::first_item(&cache.config)).unwrap();
            counter.next_id = 1000;
            let mut done = 0;
            while done < entries.len() {
                let some = &entries[done..][..distinct_len(&entries[done..])];
                let stored = some.iter().zip(&puts[done..]).enumerate();
                let stored = stored.map(|(at, (entry, put))| existing(entry, 1 + 10 * at as u64, put.2)).collect();
                let seen = PutSnapshot { counter: counter.clone(), existing: stored };
                let plan = Planner { cache: &cache }.plan(some, &seen).unwrap();
                prop_assert!((1..=some.len()).contains(&plan.results.len()));
                prop_assert!(plan.actions.len() <= MAX_ACTIONS);
                prop_assert_eq!(plan.actions.len(), plan.roles.len());
                let rows: Vec<usize> = plan.actions.iter().map(row_bytes).filter(|bytes| *bytes > 0).collect();
                prop_assert!(plan.results.len() == 1 || rows.iter().sum::<usize>() <= MAX_ROW_BYTES);
                let keys: HashSet<String> = plan.actions.iter().map(key_of).collect();
                prop_assert_eq!(keys.len(), plan.actions.len());
                let ids: Vec<u64> = plan.results.iter().map(|result| result.as_ref().unwrap().id.get()).collect();
                let new: Vec<u64> = ids.iter().copied().filter(|id| *id >= counter.next_id).collect();
                prop_assert_eq!(&new, &(counter.next_id..counter.next_id + new.len() as u64).collect::<Vec<u64>>());
                prop_assert_eq!(plan.roles.iter().filter(|role| **role == ActionRole::NewRow).count(), new.len());
                // The counter goes up once, by the ids and by the entries.
                let counters: Vec<_> = plan.actions.iter().filter(|action| key_of(action) == "0").collect();
                prop_assert_eq!(counters.len(), 1);
                let values = counters[0].update.as_ref().unwrap().expression_attribute_values.clone().unwrap();
                let stored = plan.results.len() as u64;
                let raised = (values.get(":version_counter"), values.get(":next_id"));
                let (version, next_id) = (n(counter.version + stored), n(counter.next_id + new.len() as u64));
                match new.is_empty() {
                    true => prop_assert_eq!(raised, (Some(&n(stored)), None)),
                    false => prop_assert_eq!(raised, (Some(&version), Some(&next_id))),
                }
                let blocks = some[..plan.results.len()].iter().zip(&ids).flat_map(|(entry, id)| {
                    let block = |tag| RowKey::tag_block(&entry.namespace, tag, range_of(*id));
                    entry.tags.iter().map(block).collect::<Vec<_>>()
                });
                prop_assert!(blocks.into_iter().all(|key| keys.contains(key.attribute().as_n().unwrap())));
                let records = some[..plan.results.len()].iter().filter_map(NewEntry::idempotency_record_key);
                prop_assert!(records.into_iter().all(|key| keys.contains(key.attribute().as_n().unwrap())));
                // The plan has exactly the statistics that change.
                let planner = Planner { cache: &cache };
                let mut after = counter.clone();
                let mut changes: BTreeMap<RowKey, StatsChange> = BTreeMap::new();
                for (entry, existing) in some.iter().zip(&seen.existing).take(plan.results.len()) {
                    let planned = planner.plan_entry(entry, existing, &after).unwrap();
                    after.next_id += u64::from(planned.is_new);
                    changes.entry(RowKey::namespace_stats(&entry.namespace)).or_default().add(&planned.change);
                }
                let stats_of = |changes: &BTreeMap<RowKey, StatsChange>| {
                    let changing = |change: &StatsChange| {
                        change.entries != 0 || change.has_ttl || change.counts != EventCounts::default()
                    };
                    let rows: i64 = changes.values().map(|change| change.entries).sum();
                    let of_table = rows != 0 || changes.values().any(|change| change.has_ttl);
                    let stats = changes.iter().filter(|(_, change)| changing(change)).map(|(key, _)| *key);
                    stats.chain(of_table.then_some(RowKey::TABLE_STATS)).collect::<HashSet<_>>()
                };
                let stats = stats_of(&changes);
                let is_planned = |key: &RowKey| keys.contains(key.attribute().as_n().unwrap());
                for key in changes.keys().chain([&RowKey::TABLE_STATS]) {
                    prop_assert_eq!(is_planned(key), stats.contains(key));
                }
                // There are as few transactions as possible: the next entry would not have fitted.
                if let Some((entry, existing)) = some.iter().zip(&seen.existing).nth(plan.results.len()) {
                    let next = planner.plan_entry(entry, existing, &after).unwrap();
                    changes.entry(RowKey::namespace_stats(&entry.namespace)).or_default().add(&next.change);
                    let stats = stats_of(&changes).len() as isize - stats.len() as isize;
                    let blocks = next.tagged.keys().filter(|key| !is_planned(key)).count();
                    let others = plan.actions.len() + next.actions.len() + blocks;
                    let actions = others.checked_add_signed(stats).unwrap();
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

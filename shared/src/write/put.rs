//! Storing one entry.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::action::{TallyChange, delete, n, put};
use crate::cache::Cache;
use crate::config::IndexProjection;
use crate::embedding::Embedding;
use crate::entry::{Entry, Item, number};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::table::counter::Counter;
use crate::table::tally::Counts;
use crate::table::transaction::{Outcome, Verdict};
use crate::table::{ENTRY_ID, pointed_entry};

/// How long an idempotency key answers as the first time.
const RECEIPT_SECS: i64 = 24 * 60 * 60;

/// How many rows of one pair a put clears away; only the Python library's races leave more than one.
const MOST_DUPLICATES: usize = 40;

/// An entry to be stored.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Where.
    pub namespace: Namespace,
    /// The hash of the normalised query: with the namespace, the entry's identity.
    pub query_hash: QueryHash,
    /// The query, unless only its hash is to be kept.
    pub query: Option<String>,
    /// The answer.
    pub response: String,
    /// Unit norm; `None`: only the exact layer finds the entry.
    pub embedding: Option<Embedding>,
    /// What the caller keeps with it.
    pub metadata: Map<String, Value>,
    /// Seconds to live; `None`: for ever.
    pub ttl_secs: Option<u64>,
    /// 0 to 1.
    pub confidence_score: f64,
    /// With a key, the same put within 24 hours answers as the first time and stores nothing.
    pub idempotency_key: Option<String>,
}

/// A stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: EntryId,
    /// False when it replaced a live entry for the same query.
    pub created: bool,
    /// The namespace's quota, as it was when the entry was stored; `None` also when a receipt answered.
    pub quota: Option<u64>,
}

/// What a put has to know before it can write.
#[derive(Debug)]
struct Seen {
    counter: Counter,
    /// Where the pair's pointer points, if there is one.
    pointer: Option<EntryId>,
    /// The pair's rows, the newest last: at most one, but for what the Python library's races leave.
    rows: Vec<Entry>,
    receipt: Option<Stored>,
}

/// What an action of a put is for, so that a refusal can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Counter,
    Row,
    Rest,
}

struct Plan {
    stored: Stored,
    parts: Vec<Part>,
    actions: Vec<TransactWriteItem>,
}

impl Plan {
    fn add(&mut self, part: Part, action: TransactWriteItem) {
        self.parts.push(part);
        self.actions.push(action);
    }
}

impl Cache {
    /// Stores `new`, replacing the live entry for the same query in the same namespace, if there is one.
    ///
    /// A replaced entry whose embedding is the same keeps its id; with another one it takes a new id and the old row
    /// goes in the same transaction. Either way it is one mutation.
    ///
    /// Reads, at once: the counter, the pointer and `gsi_hash`; then the rows these name, if any. Writes: one
    /// transaction of the row, the counter, the pointer and the tally.
    /// Errors: `EmbedderDimensionError`, `EntryTooLarge`, `EmbedderMismatchError`, `StoreBackendError`; nothing is
    /// stored then.
    pub async fn put(&self, new: &NewEntry) -> Result<Stored, Error> {
        let mut pace = self.pace();
        pace.before_first().await;
        let mut read_at = Instant::now();
        let mut seen = self.look_before_put(new, false).await?;
        loop {
            if let Some(receipt) = seen.receipt {
                return Ok(receipt);
            }
            if let Some(embedding) = &new.embedding {
                seen.counter.check_dim(embedding.dim())?;
            }
            let plan = self.plan(new, &seen)?;
            let outcome = self.table.transact(plan.actions, self.deadline).await?;
            let Outcome::Cancelled(verdicts) = &outcome else {
                pace.won(read_at.elapsed());
                return Ok(plan.stored);
            };
            if outcome.was_crowded_out() {
                pace.after_crowding().await?;
                read_at = Instant::now();
                seen = self.look_before_put(new, true).await?;
                continue;
            }
            let refused: Vec<(Part, &Verdict)> = plan
                .parts
                .iter()
                .copied()
                .zip(verdicts)
                .filter(|(_, verdict)| matches!(verdict, Verdict::ConditionFailed(_)))
                .collect();
            match refused.as_slice() {
                // The id is taken although the counter has not given it out: as after a restore of an older item 0.
                [(Part::Row, _)] if plan.stored.id.get() == seen.counter.next_id => {
                    return Err(Error::backend(
                        format!("the counter stands at {}, but that id is taken", seen.counter.next_id),
                        "invoke `vacuum`, which sets the counter right; nothing was overwritten",
                    ));
                }
                // Only the counter moved. The refusal brought its new state along, which says how far; after the pause it
                // would be as stale as what was just refused.
                [(Part::Counter, Verdict::ConditionFailed(now))] => {
                    let version = now.as_ref().and_then(|item| number(item, "version_counter"));
                    let commits = version.map_or(1, |version: u64| version.saturating_sub(seen.counter.version));
                    pace.after_lost_race(read_at.elapsed(), commits).await?;
                    read_at = Instant::now();
                    seen.counter = self.counter().await?;
                }
                _ => {
                    pace.after_lost_race(read_at.elapsed(), 1).await?;
                    read_at = Instant::now();
                    seen = self.look_before_put(new, true).await?;
                }
            }
        }
    }

    /// `strong`: whether the pointer is read consistently. The first look need not: the transaction's condition on
    /// the pointer finds out what it missed, and an eventually consistent read costs half.
    async fn look_before_put(&self, new: &NewEntry, strong: bool) -> Result<Seen, Error> {
        let look = async || {
            let receipt = async {
                match &new.idempotency_key {
                    Some(key) => self.table.get(RowKey::receipt(&new.namespace, key), true).await,
                    None => Ok(None),
                }
            };
            tokio::try_join!(
                self.counter(),
                self.table.get(RowKey::pointer(&new.namespace, &new.query_hash), strong),
                self.table.ids_by_hash(&new.namespace, &new.query_hash),
                receipt,
            )
        };
        let looked = match look().await {
            // The table may be missing and ours to make; if it is not, opening names what is wrong.
            Err(_) if !self.is_open() => {
                self.open().await?;
                look().await
            }
            looked => looked,
        };
        let (counter, pointer, indexed, receipt) = looked?;
        let pointer = pointer.as_ref().and_then(pointed_entry);
        let ids = indexed.into_iter().take(MOST_DUPLICATES).chain(pointer);
        let rows = self.newest_last(&new.namespace, &new.query_hash, ids).await?;
        let receipt = receipt.filter(|item| number(item, "ttl").is_some_and(|until: i64| until > self.now_secs()));
        let receipt = receipt.and_then(|item| {
            Some(Stored { id: pointed_entry(&item)?, created: *item.get("created")?.as_bool().ok()?, quota: None })
        });
        Ok(Seen { counter, pointer, rows, receipt })
    }

    fn plan(&self, new: &NewEntry, seen: &Seen) -> Result<Plan, Error> {
        let now = self.now_secs();
        let live = |entry: &&Entry| !entry.is_expired(now);
        let replaced = seen
            .rows
            .iter()
            .find(|entry| Some(entry.id) == seen.pointer && live(entry))
            .or_else(|| seen.rows.iter().rfind(live));
        let bytes = match &new.embedding {
            Some(embedding) => Some(embedding.to_bytes()),
            None => self.absent_vector(&seen.counter)?,
        };
        let in_place = replaced.filter(|entry| entry.embedding == bytes);
        let id = match in_place {
            Some(entry) => entry.id,
            None => EntryId::new(seen.counter.next_id).ok_or_else(|| Error::internal("the counter stands at 0"))?,
        };
        let row = Entry {
            id,
            namespace: new.namespace.clone(),
            query_hash: new.query_hash.clone(),
            query: new.query.clone(),
            response: new.response.clone(),
            embedding: bytes,
            metadata: new.metadata.clone(),
            confidence_score: new.confidence_score,
            created_at: now,
            last_accessed_at: now,
            expires_at: new.ttl_secs.map(|secs| now.saturating_add_unsigned(secs)),
            access_count: 0,
        };
        let stored = Stored { id, created: replaced.is_none(), quota: seen.counter.quota(&new.namespace) };
        let mut plan = Plan { stored, parts: Vec::new(), actions: Vec::new() };
        plan.add(Part::Row, self.put_row(&row, in_place.is_some())?);
        let counter = match in_place {
            Some(_) => self.bump(1)?,
            None => self.claim(&seen.counter, new.embedding.as_ref().map(Embedding::dim))?,
        };
        plan.add(Part::Counter, counter);
        if seen.pointer != Some(id) {
            let pointer = RowKey::pointer(&new.namespace, &new.query_hash);
            plan.add(Part::Rest, self.point(pointer, seen.pointer, id)?);
        }
        let mut change = TallyChange {
            entries: i64::from(in_place.is_none()),
            has_ttl: new.ttl_secs.is_some(),
            counts: Counts::default(),
        };
        for old in seen.rows.iter().filter(|entry| entry.id != id) {
            plan.add(Part::Rest, self.delete_row(old)?);
            change.entries -= 1;
            change.counts.expirations += u64::from(old.is_expired(now));
        }
        for action in self.tallies([(&new.namespace, change)])? {
            plan.add(Part::Rest, action);
        }
        if let Some(key) = &new.idempotency_key {
            plan.add(Part::Rest, self.put_receipt(RowKey::receipt(&new.namespace, key), stored, now)?);
        }
        Ok(plan)
    }

    /// What stands for a vector that was not given: nothing, or, in a table shared with the Python library, which
    /// opens no table with a row without a vector, zeros, which are near nothing.
    fn absent_vector(&self, counter: &Counter) -> Result<Option<Vec<u8>>, Error> {
        if self.config.projection != IndexProjection::All {
            return Ok(None);
        }
        match counter.dim {
            Some(dim) => Ok(Some(vec![0; dim as usize * size_of::<f32>()])),
            None => Err(Error::invalid(
                "embedding: a table shared with the Python library needs one until its dimension is known",
                "send an embedding, or set MNEME_EMBEDDER_DIM",
            )),
        }
    }

    /// The row, over the one it replaces if that is still the pair's and has this very vector, else over nothing.
    fn put_row(&self, row: &Entry, in_place: bool) -> Result<TransactWriteItem, Error> {
        let item = row.to_item()?;
        let builder = Put::builder().table_name(self.table.name());
        if !in_place {
            return put(builder
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(#id)")
                .expression_attribute_names("#id", "id"));
        }
        let same_vector = match item.get("embedding").cloned() {
            Some(embedding) => ("#embedding = :embedding", Some(embedding)),
            None => ("(attribute_not_exists(#embedding) OR size(#embedding) = :none)", None),
        };
        let mut builder = builder
            .condition_expression(format!(
                "#namespace = :namespace AND #query_hash = :query_hash AND {}",
                same_vector.0
            ))
            .expression_attribute_names("#namespace", "namespace")
            .expression_attribute_names("#query_hash", "query_hash")
            .expression_attribute_names("#embedding", "embedding")
            .expression_attribute_values(":namespace", AttributeValue::S(row.namespace.to_string()))
            .expression_attribute_values(":query_hash", AttributeValue::S(row.query_hash.to_string()));
        builder = match same_vector.1 {
            Some(embedding) => builder.expression_attribute_values(":embedding", embedding),
            None => builder.expression_attribute_values(":none", n(0)),
        };
        put(builder.set_item(Some(item)))
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

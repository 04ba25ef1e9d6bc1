//! Removing entries, many in a transaction.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};

use super::action::{TallyChange, delete, n};
use super::pace::Pace;
use crate::cache::Cache;
use crate::entry::{Entry, Item, expires_at, number, text};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::table::tally::Counts;
use crate::table::transaction::{MAX_ACTIONS, Outcome};

/// Why entries are removed, which decides what must still be true of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A caller asked: whatever the row holds by now.
    Asked,
    /// Least recently used: unless it was used since it was chosen.
    Evicted,
    /// Its time is over: unless it was put again since.
    Expired,
}

/// An entry to be removed, as far as that needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRef {
    /// Its id.
    pub id: EntryId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its query's hash.
    pub query_hash: QueryHash,
    /// When it was put.
    pub created_at: i64,
    /// When it was last used.
    pub last_accessed_at: i64,
    /// When it becomes absent.
    pub expires_at: Option<i64>,
}

impl RowRef {
    /// The entry in `item`, of which only the small attributes are needed; `None` when it is not an entry.
    pub fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            id: item.get("id").and_then(RowKey::from_attribute)?.entry()?,
            namespace: text(item, "namespace").map(Namespace::from_row)?,
            query_hash: text(item, "query_hash").and_then(|hash| QueryHash::try_from(hash).ok())?,
            created_at: number(item, "created_at").unwrap_or(0),
            last_accessed_at: number(item, "last_accessed_at").unwrap_or(0),
            expires_at: expires_at(item),
        })
    }

    /// Whether the entry is absent at `now_secs`.
    pub fn is_expired(&self, now_secs: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_secs)
    }
}

impl From<&Entry> for RowRef {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            namespace: entry.namespace.clone(),
            query_hash: entry.query_hash.clone(),
            created_at: entry.created_at,
            last_accessed_at: entry.last_accessed_at,
            expires_at: entry.expires_at,
        }
    }
}

/// One entry's part in a transaction.
struct Doomed<'a> {
    row: &'a RowRef,
    /// Whether its pair's pointer may still point at it.
    unpoint: bool,
}

impl Cache {
    /// Removes `rows`, their pointers with them, and returns how many this call removed.
    ///
    /// Writes: transactions of up to 100 actions, one counter update each, which adds the number of entries to the
    /// version. A row that is gone, or no longer as `reason` requires, is passed over.
    /// Errors: `StoreBackendError`; what was removed until then stays removed.
    pub async fn remove(&self, rows: &[RowRef], reason: Reason) -> Result<u64, Error> {
        let mut removed = 0;
        let mut rest = rows;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(self.batch_len(rest));
            removed += self.remove_batch(batch, reason).await?;
            rest = after;
        }
        Ok(removed)
    }

    /// How many of `rows` fit one transaction: two actions each, one for each namespace's tally, the counter and
    /// the table's tally.
    fn batch_len(&self, rows: &[RowRef]) -> usize {
        let mut actions = 2;
        let mut namespaces = std::collections::HashSet::new();
        rows.iter()
            .take_while(|row| {
                actions += 2 + usize::from(namespaces.insert(&row.namespace));
                actions <= MAX_ACTIONS
            })
            .count()
    }

    async fn remove_batch(&self, rows: &[RowRef], reason: Reason) -> Result<u64, Error> {
        let mut pace = Pace::new(self.config.txn_retries, self.deadline);
        let mut batch: Vec<Doomed> = rows.iter().map(|row| Doomed { row, unpoint: true }).collect();
        while !batch.is_empty() {
            let mut actions = Vec::new();
            let mut changes: BTreeMap<&Namespace, TallyChange> = BTreeMap::new();
            for doomed in &batch {
                actions.push(self.delete_row_if(doomed.row, reason)?);
                let change = changes.entry(&doomed.row.namespace).or_default();
                change.entries -= 1;
                match reason {
                    Reason::Asked => {}
                    Reason::Evicted => change.counts.evictions += 1,
                    Reason::Expired => change.counts.expirations += 1,
                }
            }
            // Pointers stand behind the rows, in their order, so that a position tells both.
            for doomed in batch.iter().filter(|doomed| doomed.unpoint) {
                let pointer = RowKey::pointer(&doomed.row.namespace, &doomed.row.query_hash);
                actions.push(self.unpoint(pointer, doomed.row.id)?);
            }
            actions.push(self.bump(batch.len() as u64)?);
            for (namespace, change) in &changes {
                actions.extend(self.tally(namespace, change)?);
            }
            let whole = TallyChange { entries: -(batch.len() as i64), has_ttl: false, counts: Counts::default() };
            actions.extend(self.whole_tally(&whole)?);

            let outcome = self.table.transact(actions, self.deadline).await?;
            if let Outcome::Committed = outcome {
                return Ok(batch.len() as u64);
            }
            if outcome.was_crowded_out() {
                pace.after_crowding().await?;
                continue;
            }
            let mut pointer_at = batch.len();
            let mut changed = false;
            let verdicts: Vec<(bool, bool)> = batch
                .iter()
                .enumerate()
                .map(|(row_at, doomed)| {
                    let row_failed = outcome.failed_condition(row_at);
                    let pointer_failed = doomed.unpoint && outcome.failed_condition(pointer_at);
                    pointer_at += usize::from(doomed.unpoint);
                    (row_failed, pointer_failed)
                })
                .collect();
            let mut verdicts = verdicts.into_iter();
            batch.retain_mut(|doomed| {
                let (row_failed, pointer_failed) = verdicts.next().unwrap_or_default();
                doomed.unpoint &= !pointer_failed;
                changed |= row_failed || pointer_failed;
                !row_failed
            });
            if !changed {
                return Err(Error::internal("a removal was refused for none of its rows"));
            }
        }
        Ok(0)
    }

    fn delete_row_if(&self, row: &RowRef, reason: Reason) -> Result<TransactWriteItem, Error> {
        let builder = Delete::builder().table_name(self.table.name()).key("id", RowKey::from(row.id).attribute());
        delete(match reason {
            Reason::Asked => {
                builder.condition_expression("attribute_exists(#id)").expression_attribute_names("#id", "id")
            }
            Reason::Evicted => builder
                .condition_expression("#last_accessed_at = :seen")
                .expression_attribute_names("#last_accessed_at", "last_accessed_at")
                .expression_attribute_values(":seen", n(row.last_accessed_at)),
            Reason::Expired => builder
                .condition_expression("#created_at = :seen")
                .expression_attribute_names("#created_at", "created_at")
                .expression_attribute_values(":seen", n(row.created_at)),
        })
    }
}

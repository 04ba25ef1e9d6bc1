//! Removing entries, many in a transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use std::time::Duration;

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use tokio::time::Instant;

use super::action::{TallyChange, delete, n};
use crate::cache::Cache;
use crate::entry::{Entry, Item, expires_at, number, text};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::table::transaction::{MAX_ACTIONS, Outcome};

/// How long before the deadline no further transaction is begun.
const MARGIN: Duration = Duration::from_millis(500);

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

/// What a removal came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// Entries that this call removed.
    pub removed: u64,
    /// Entries that it did not come to, because its time was up.
    pub left: usize,
}

impl Cache {
    /// Removes `rows`, their pointers with them, as far as the time reaches.
    ///
    /// Writes: transactions of up to 100 actions, one counter update each, which adds the number of entries to the
    /// version. A row that is gone, or no longer as `reason` requires, is passed over.
    /// Errors: `StoreBackendError`; what was removed until then stays removed.
    pub async fn remove(&self, rows: &[RowRef], reason: Reason) -> Result<Removal, Error> {
        let mut removed = 0;
        let mut rest = rows;
        while !rest.is_empty() {
            if Instant::now() + MARGIN >= self.deadline {
                break;
            }
            let (batch, after) = rest.split_at(self.batch_len(rest));
            removed += self.remove_batch(batch, reason).await?;
            rest = after;
        }
        Ok(Removal { removed, left: rest.len() })
    }

    /// How many of `rows` fit one transaction: two actions each, one for each namespace's tally, the counter and
    /// the table's tally.
    fn batch_len(&self, rows: &[RowRef]) -> usize {
        let mut actions = 2;
        let mut namespaces = HashSet::new();
        rows.iter()
            .take_while(|row| {
                actions += 2 + usize::from(namespaces.insert(&row.namespace));
                actions <= MAX_ACTIONS
            })
            .count()
    }

    async fn remove_batch(&self, rows: &[RowRef], reason: Reason) -> Result<u64, Error> {
        let mut pace = self.pace();
        let mut rows: Vec<&RowRef> = rows.iter().collect();
        // Pointers that were found to lead elsewhere, and stay.
        let mut kept: BTreeSet<RowKey> = BTreeSet::new();
        while !rows.is_empty() {
            let mut changes: BTreeMap<&Namespace, TallyChange> = BTreeMap::new();
            // By key: a transaction takes one action per item, and duplicates of a pair share their pointer.
            let mut pointers: BTreeMap<RowKey, Vec<EntryId>> = BTreeMap::new();
            let mut actions = Vec::new();
            for row in &rows {
                actions.push(self.delete_row_if(row, reason)?);
                let change = changes.entry(&row.namespace).or_default();
                change.entries -= 1;
                match reason {
                    Reason::Asked => {}
                    Reason::Evicted => change.counts.evictions += 1,
                    Reason::Expired => change.counts.expirations += 1,
                }
                pointers.entry(RowKey::pointer(&row.namespace, &row.query_hash)).or_default().push(row.id);
            }
            pointers.retain(|pointer, _| !kept.contains(pointer));
            for (pointer, ids) in &pointers {
                actions.push(self.unpoint(*pointer, ids)?);
            }
            actions.push(self.bump(rows.len() as u64)?);
            actions.extend(self.tallies(changes)?);

            let outcome = self.table.transact(actions, self.deadline).await?;
            match outcome {
                Outcome::Committed => return Ok(rows.len() as u64),
                Outcome::Unknown(error) => return Err(error),
                _ if outcome.was_crowded_out() => {
                    pace.after_crowding().await?;
                    continue;
                }
                Outcome::Cancelled(_) => {}
            }
            let before = (rows.len(), kept.len());
            let first_pointer = rows.len();
            let elsewhere = pointers.keys().enumerate().filter(|(at, _)| outcome.failed_condition(first_pointer + at));
            kept.extend(elsewhere.map(|(_, pointer)| *pointer));
            let mut at = 0..rows.len();
            rows.retain(|_| at.next().is_some_and(|at| !outcome.failed_condition(at)));
            if before == (rows.len(), kept.len()) {
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

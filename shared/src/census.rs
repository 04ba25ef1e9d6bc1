//! Counting everything: a scan of the whole table, for the operations that are asked for totals.

use std::collections::BTreeMap;

use crate::cache::Cache;
use crate::entry::{Item, text};
use crate::error::Error;
use crate::key::{DerivedKind, EntryId, RowKey};
use crate::namespace::Namespace;
use crate::table::Projection;
use crate::table::tally::Counts;
use crate::write::remove::{Reason, RowRef};

/// Into how many segments the scan is split.
const SEGMENTS: u8 = 4;

/// What the table holds.
#[derive(Debug, Default)]
pub struct Census {
    /// Live entries by namespace, without those that have none.
    pub live: BTreeMap<Namespace, u64>,
    /// What happened, by namespace.
    pub counts: BTreeMap<Namespace, Counts>,
}

impl Cache {
    /// Counts live entries and collects the tallies. Reads: the whole table, strongly.
    pub async fn census(&self) -> Result<Census, Error> {
        let now = self.now_secs();
        let mut census = Census::default();
        self.table
            .scan(SEGMENTS, Projection::Census, |item| {
                if let Some(row) = RowRef::from_item(&item) {
                    if !row.is_expired(now) {
                        *census.live.entry(row.namespace).or_default() += 1;
                    }
                    return;
                }
                let key = item.get("id").and_then(RowKey::from_attribute);
                if key.and_then(RowKey::derived_kind) == Some(DerivedKind::Tally)
                    && let Some(name) = text(&item, "name")
                {
                    census.counts.insert(Namespace::from_row(name), Counts::from_item(&item));
                }
            })
            .await?;
        Ok(census)
    }

    /// Removes every entry of `namespace`, or of all, and returns how many live ones there were.
    ///
    /// Reads: the whole table, strongly, so that nothing acknowledged before is missed; during a move to another embedder, which
    /// gives entries new ids, also the ids given out since, until none of them is of an older entry. Writes: removals.
    /// Errors: `StoreBackendError`, also when the time does not suffice; what was removed until then stays removed.
    pub async fn clear(&self, namespace: Option<&Namespace>) -> Result<u64, Error> {
        let began = self.now_secs();
        let is_own = |row: &RowRef| namespace.is_none_or(|namespace| row.namespace == *namespace);
        let before = self.table.read_counter().await?;
        let mut rows = Vec::new();
        let found = |item: Item| rows.extend(RowRef::from_item(&item).filter(is_own));
        self.table.scan(SEGMENTS, Projection::Ages, found).await?;
        let mut removed = self.clear_rows(rows, began, 0).await?;
        let mut next_id = before.as_ref().map_or(1, |counter| counter.next_id);
        let was_moving = before.is_some_and(|counter| counter.other.is_some());
        while let Some(counter) = self.table.read_counter().await?
            && (was_moving || counter.other.is_some())
        {
            let ids = (next_id..counter.next_id).filter_map(EntryId::new).map(RowKey::from);
            let since = self.table.batch_get(ids, Projection::Ages).await?;
            let rows = since.iter().filter_map(|(_, item)| RowRef::from_item(item));
            let older: Vec<RowRef> = rows.filter(|row| is_own(row) && row.created_at <= began).collect();
            if older.is_empty() {
                break;
            }
            next_id = counter.next_id;
            removed = self.clear_rows(older, began, removed).await?;
        }
        Ok(removed)
    }

    /// Removes `rows`, and returns how many live ones there were, with the `removed` of before.
    async fn clear_rows(&self, rows: Vec<RowRef>, now: i64, removed: u64) -> Result<u64, Error> {
        let (expired, mut live): (Vec<RowRef>, Vec<RowRef>) = rows.into_iter().partition(|row| row.is_expired(now));
        // Rows of one namespace together: fewer tallies in each transaction.
        live.sort_unstable_by(|a, b| (&a.namespace, a.id).cmp(&(&b.namespace, b.id)));
        let live = self.remove(&live, Reason::Asked).await?;
        let expired = self.remove(&expired, Reason::Expired).await?;
        let removed = removed + live.removed;
        match live.left + expired.left {
            0 => Ok(removed),
            left => Err(Error::backend(
                format!("the time ran out with {removed} entries removed and {left} to go"),
                "call again: what was removed stays removed",
            )
            .retry_after(1)),
        }
    }
}

//! Counting everything: a scan of the whole table, for the operations that are asked for totals.

use std::collections::BTreeMap;

use crate::cache::Cache;
use crate::entry::text;
use crate::error::Error;
use crate::key::{DerivedKind, RowKey};
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
    /// Reads: the whole table, strongly, so that nothing acknowledged before is missed. Writes: removals.
    /// Errors: `StoreBackendError`, also when the time does not suffice; what was removed until then stays removed.
    pub async fn clear(&self, namespace: Option<&Namespace>) -> Result<u64, Error> {
        let now = self.now_secs();
        let (mut live, mut expired) = (Vec::new(), Vec::new());
        self.table
            .scan(SEGMENTS, Projection::Ages, |item| {
                let row = RowRef::from_item(&item);
                if let Some(row) = row.filter(|row| namespace.is_none_or(|namespace| row.namespace == *namespace)) {
                    if row.is_expired(now) { expired.push(row) } else { live.push(row) }
                }
            })
            .await?;
        // Rows of one namespace together: fewer tallies in each transaction.
        live.sort_unstable_by(|a, b| (&a.namespace, a.id).cmp(&(&b.namespace, b.id)));
        let live = self.remove(&live, Reason::Asked).await?;
        let expired = self.remove(&expired, Reason::Expired).await?;
        match live.left + expired.left {
            0 => Ok(live.removed),
            left => Err(Error::backend(
                format!("the time ran out with {} entries removed and {left} to go", live.removed),
                "call again: what was removed stays removed",
            )
            .retry_after(1)),
        }
    }
}

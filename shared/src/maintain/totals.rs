//! Counting everything: a scan of the whole table, for the operations that report totals.

use std::collections::BTreeMap;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::attribute as name;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::text;
use mneme_store::key::{DerivedKind, RowKey};
use mneme_store::namespace_stats::EventCounts;
use mneme_store::read::Projection;

use crate::cache::Cache;

/// What the table holds.
#[derive(Debug, Default)]
pub struct TableTotals {
    /// Live entries by namespace. Namespaces without live entries are left out.
    pub live: BTreeMap<Namespace, u64>,
    /// Events by namespace.
    pub counts: BTreeMap<Namespace, EventCounts>,
}

/// Counts live entries and collects the event counts. Reads: the whole table, strongly. Errors: `StoreBackendError`.
pub async fn table_totals(cache: &Cache) -> Result<TableTotals, Error> {
    let now = cache.now_secs();
    let mut totals = TableTotals::default();
    cache
        .table
        .scan(Projection::Stats, |item| {
            if let Some(row) = header_from_item(&item) {
                if !row.is_expired(now) {
                    *totals.live.entry(row.namespace).or_default() += 1;
                }
                return;
            }
            let key = item.get(name::ID).and_then(RowKey::from_attribute);
            if key.and_then(RowKey::derived_kind) == Some(DerivedKind::NamespaceStats)
                && let Some(namespace) = text(&item, name::NAME)
            {
                totals.counts.insert(Namespace::from_row(namespace), EventCounts::from_item(&item));
            }
        })
        .await?;
    Ok(totals)
}

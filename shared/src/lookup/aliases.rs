//! Aliases: questions whose answer a caller called right.

use mneme_model::error::Error;
use mneme_store::key::RowKey;
use mneme_store::read::{Rows, pointed_entry};

use super::round::PendingQuery;
use crate::cache::Cache;

/// Finds the entries of the aliases of `pending` that have got another id since the verdict: they were stored again with
/// another vector, or moved to another embedder. The rows at the ids of the verdicts have been read.
/// An entry that nobody names any more is noted as deleted in `rows`.
///
/// Reads: nothing if these rows exist; else the pointers of the entries' own questions, then the rows that these name.
/// Errors: `StoreBackendError`.
pub(super) async fn follow_aliases<'p, 'q: 'p>(
    cache: &Cache,
    pending: impl Iterator<Item = &'p mut PendingQuery<'q>>,
    rows: &mut Rows,
) -> Result<(), Error> {
    let mut moved = Vec::new();
    for PendingQuery { query, verdicts, .. } in pending {
        let Some(alias) = &mut verdicts.alias else { continue };
        let verdict = &mut alias.verdict;
        if rows.has_read(verdict.id.into()) && rows.get(verdict.id.into()).is_none() {
            moved.push((RowKey::pointer(&query.namespace, &verdict.query_hash), &mut verdict.id));
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    cache.table.fetch_missing(rows, moved.iter().map(|(pointer, _)| *pointer)).await?;
    let mut ids: Vec<RowKey> = Vec::new();
    for (pointer, id) in moved {
        match rows.get(pointer).and_then(pointed_entry).filter(|named| named != id) {
            Some(named) => {
                *id = named;
                ids.push(named.into());
            }
            // The pointer was read after the row. It still names the missing row, or is gone with it.
            None => rows.note_deleted(*id),
        }
    }
    cache.table.fetch_missing(rows, ids).await
}

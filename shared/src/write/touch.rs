//! Recording an access.

use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;

use super::commit::commit;
use crate::cache::Cache;

/// Sets the entry's last access to the epoch second `at_secs` and counts it. False when there is no such row.
///
/// Writes: one transaction of the row and the counter. Errors: `StoreBackendError`.
pub async fn touch(cache: &Cache, id: EntryId, at_secs: i64) -> Result<bool, Error> {
    let actions = [cache.table.touch_row(id, at_secs)?, cache.table.raise_version(1)?];
    commit(cache, &actions).await
}

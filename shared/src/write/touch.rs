//! Recording an access.

use aws_sdk_dynamodb::types::Update;

use super::action::{n, update};
use crate::cache::Cache;
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::table::transaction::Outcome;

impl Cache {
    /// Sets the entry's last access to now and counts it. False when there is no such row.
    ///
    /// Writes: one transaction of the row and the counter. Errors: `StoreBackendError`.
    pub async fn touch(&self, id: EntryId) -> Result<bool, Error> {
        let mut pace = self.pace();
        loop {
            let row = Update::builder()
                .table_name(self.table.name())
                .key("id", RowKey::from(id).attribute())
                .update_expression("SET #last_accessed_at = :now ADD #access_count :one")
                .condition_expression("attribute_exists(#id)")
                .expression_attribute_names("#id", "id")
                .expression_attribute_names("#last_accessed_at", "last_accessed_at")
                .expression_attribute_names("#access_count", "access_count")
                .expression_attribute_values(":now", n(self.now_secs()))
                .expression_attribute_values(":one", n(1));
            let outcome = self.table.transact(vec![update(row)?, self.bump(1)?], self.deadline).await?;
            match outcome {
                Outcome::Committed => return Ok(true),
                Outcome::Unknown(error) => return Err(error),
                _ if outcome.was_crowded_out() => pace.after_crowding().await?,
                _ => return Ok(false),
            }
        }
    }
}

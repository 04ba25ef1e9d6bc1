//! How far `vacuum` has come, in a derived item: a schedule's runs each have a function's time, and a large table takes
//! several.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Table;
use crate::entry::{Item, text};
use crate::error::Error;
use crate::key::RowKey;

/// The attribute that holds the cursor.
const CURSOR: &str = "cursor";

impl Table {
    /// The cursor that was kept last, if it has not been dropped. Reads: one key, strongly.
    pub(crate) async fn kept_cursor(&self) -> Result<Option<String>, Error> {
        Ok(self.get(RowKey::SWEEP, true).await?.as_ref().and_then(|item| text(item, CURSOR)))
    }

    /// Keeps `cursor`, or drops the one that is kept. Writes: one PutItem or DeleteItem.
    pub(crate) async fn keep_cursor(&self, cursor: Option<String>) -> Result<(), Error> {
        match cursor {
            Some(cursor) => {
                let cursor = (CURSOR.to_owned(), AttributeValue::S(cursor));
                self.put_derived(Item::from([("id".to_owned(), RowKey::SWEEP.attribute()), cursor])).await
            }
            None => self.drop_derived(RowKey::SWEEP).await,
        }
    }
}

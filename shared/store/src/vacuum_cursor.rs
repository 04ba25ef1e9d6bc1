//! The cursor at which the next `vacuum` continues, in a derived item. The scan of a large table takes several runs of
//! the function.

use mneme_model::error::Error;

use crate::attribute as name;
use crate::item::{Item, s, text};
use crate::key::RowKey;
use crate::table::Table;

impl Table {
    /// The saved cursor. `None` if the last run reached the end of the table. Reads: one key, strongly consistent.
    pub async fn load_vacuum_cursor(&self) -> Result<Option<String>, Error> {
        Ok(self.get(RowKey::VACUUM_CURSOR, true).await?.as_ref().and_then(|item| text(item, name::CURSOR)))
    }

    /// Saves `cursor`, or deletes the saved one if `cursor` is `None`. Writes: one PutItem or DeleteItem.
    pub async fn save_vacuum_cursor(&self, cursor: Option<String>) -> Result<(), Error> {
        match cursor {
            Some(cursor) => {
                let id = (name::ID.to_owned(), RowKey::VACUUM_CURSOR.attribute());
                self.put_derived(Item::from([id, (name::CURSOR.to_owned(), s(cursor))])).await
            }
            None => self.delete_derived(RowKey::VACUUM_CURSOR).await,
        }
    }
}

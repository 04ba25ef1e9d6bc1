//! Answer items: the response and the metadata of an entry whose row would be large with them. They are data: no other
//! item has what they hold.
//!
//! The key of an answer item follows from the entry's id. A put, an update of the answer or of its time to live, a removal
//! and a move write both items in one transaction. Row and item have the same stamp, which each put and each such update
//! changes. A reader reads the row first. If the stamps then differ, or the item is gone, the entry has changed since.

use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::types::TransactWriteItem;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use mneme_model::answer::{AnswerStamp, ApartAnswer};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::limits::{MAX_COMPRESSED_REPLY_BYTES, escaped_answer_bytes};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::attribute as name;
use crate::entry_row::{answer_attributes, check_item_bytes, entry_from_item, metadata_value};
use crate::expression::{Condition, Expression};
use crate::item::{Item, b, bytes, n, s, text};
use crate::key::RowKey;
use crate::read::{Projection, Rows};
use crate::table::Table;

/// An answer above this many bytes is compressed. Below, an answer item fits DynamoDB's 400 KB as it is.
const MAX_PLAIN_BYTES: usize = 350 * 1024;

/// Decides where the answer of `entry`, which is to be written, is stored. A table that is shared with the Python library
/// keeps every answer in its row (`is_shared`).
pub fn place_answer(entry: &mut Entry, is_shared: bool) {
    let stamp = AnswerStamp::from(*Uuid::new_v4().as_bytes());
    entry.apart = ApartAnswer::of(&entry.response, &entry.metadata, stamp).filter(|_| !is_shared);
}

/// The answer item of `entry`; `None` if its answer is in the row.
///
/// Errors: `EntryTooLarge` if the item exceeds DynamoDB's 400 KB although it is compressed, or if a reply has no room for
/// the answer.
pub fn answer_to_item(entry: &Entry) -> Result<Option<Item>, Error> {
    let Some(apart) = entry.apart else { return Ok(None) };
    let mut item = Item::from([
        (name::ID.to_owned(), RowKey::answer(entry.id).attribute()),
        (name::ANSWER_STAMP.to_owned(), b(*apart.stamp.as_bytes())),
    ]);
    // DynamoDB's TTL deletes the item together with the row.
    item.extend(entry.expires_at.map(|at| (name::TTL.to_owned(), n(at))));
    if apart.bytes > MAX_PLAIN_BYTES {
        let bytes = escaped_answer_bytes(&entry.response, &entry.metadata);
        if bytes > MAX_COMPRESSED_REPLY_BYTES {
            return Err(Error::new(
                ErrorKind::EntryTooLarge,
                format!("the answer takes {bytes} bytes of a reply, and {MAX_COMPRESSED_REPLY_BYTES} are allowed"),
                "shorten the response or the metadata, or keep the response elsewhere and store a reference to it",
            ));
        }
        item.insert(name::COMPRESSED.to_owned(), b(compress(&entry.response, &entry.metadata)?));
    } else {
        item.insert(name::RESPONSE.to_owned(), s(&entry.response));
        item.insert(name::METADATA.to_owned(), metadata_value(entry));
    }
    check_item_bytes(&item)?;
    Ok(Some(item))
}

fn compress(response: &str, metadata: &Map<String, Value>) -> Result<Vec<u8>, Error> {
    let answer = serde_json::to_vec(&(response, metadata)).map_err(Error::internal)?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&answer).and_then(|()| encoder.finish()).map_err(Error::internal)
}

/// The answer that [`compress`] wrote. `None` if the bytes are corrupt, or hold more than a put stores.
fn decompress(compressed: &[u8]) -> Option<(String, Map<String, Value>)> {
    let mut answer = Vec::new();
    let limit = MAX_COMPRESSED_REPLY_BYTES as u64 + 1;
    ZlibDecoder::new(compressed).take(limit).read_to_end(&mut answer).ok()?;
    serde_json::from_slice(&answer).ok()
}

/// Fills in the answer of `entry` from its answer item. Returns false if the item is gone, belongs to another state of
/// the entry, or is corrupt.
fn fill_in(entry: &mut Entry, item: Option<&Item>) -> bool {
    let stamp = entry.apart.map(|apart| apart.stamp);
    let Some(item) = item.filter(|item| stamp_of(item) == stamp) else { return false };
    let answer = match bytes(item, name::COMPRESSED) {
        Some(compressed) => decompress(compressed),
        None => text(item, name::RESPONSE).map(|response| {
            let metadata = text(item, name::METADATA).unwrap_or_default();
            (response, serde_json::from_str(&metadata).unwrap_or_default())
        }),
    };
    let Some((response, metadata)) = answer else {
        tracing::error!(id = %entry.id, "an answer item is corrupt");
        return false;
    };
    (entry.response, entry.metadata) = (response, metadata);
    true
}

/// The stamp of an answer item.
pub fn stamp_of(item: &Item) -> Option<AnswerStamp> {
    bytes(item, name::ANSWER_STAMP).and_then(AnswerStamp::from_bytes)
}

impl Table {
    /// Reads the answer of `entry` if the entry lacks it. Returns false if the answer item is no longer that of this state
    /// of the entry: the entry was replaced or removed since.
    ///
    /// Reads: one GetItem, strongly consistent, of the size of the answer. Errors: `StoreBackendError`.
    pub async fn read_answer(&self, entry: &mut Entry) -> Result<bool, Error> {
        if !entry.lacks_answer() {
            return Ok(true);
        }
        let item = self.get(RowKey::answer(entry.id), true).await?;
        Ok(fill_in(entry, item.as_ref()))
    }

    /// Reads the answers that `entries` lack, at once. Returns, for each, what [`Table::read_answer`] returns.
    ///
    /// Reads: BatchGetItem, strongly consistent. Errors: `StoreBackendError`.
    pub async fn read_answers<'e>(&self, entries: impl IntoIterator<Item = &'e mut Entry>) -> Result<Vec<bool>, Error> {
        let mut entries: Vec<&mut Entry> = entries.into_iter().collect();
        let lacking = entries.iter().filter(|entry| entry.lacks_answer());
        let keys: Vec<RowKey> = lacking.map(|entry| RowKey::answer(entry.id)).collect();
        let items = if keys.is_empty() { Rows::default() } else { self.batch_get(keys, Projection::All).await? };
        let complete =
            |entry: &mut &mut Entry| !entry.lacks_answer() || fill_in(entry, items.get(RowKey::answer(entry.id)));
        Ok(entries.iter_mut().map(complete).collect())
    }

    /// The action that stores an answer item, in place of an earlier one of the same entry.
    pub fn put_answer(&self, item: Item) -> Result<TransactWriteItem, Error> {
        self.put_action(item, Expression::new())
    }

    /// The action that deletes the answer item of the entry `id`.
    pub fn delete_answer(&self, id: EntryId) -> Result<TransactWriteItem, Error> {
        self.delete_action(RowKey::answer(id), Expression::new())
    }

    /// Deletes the answer item at `key` if it still has `stamp`. Returns whether it had.
    ///
    /// Writes: one DeleteItem. Errors: `StoreBackendError`.
    pub async fn delete_orphaned_answer(&self, key: RowKey, stamp: AnswerStamp) -> Result<bool, Error> {
        let is_same = Condition::equals(name::ANSWER_STAMP, b(*stamp.as_bytes()));
        self.delete_if(key, Expression::when(is_same)).await
    }

    /// The actions that move the answer in the row `item` to an item of its own, if the row still holds this answer.
    /// `None` if the row is no entry, or its answer is not long or is apart already.
    ///
    /// No answer changes, so the counter has no part in this transaction.
    /// Errors: `EntryTooLarge` if the answer has no room in an item of its own.
    pub fn set_answer_apart(&self, item: &Item) -> Result<Option<Vec<TransactWriteItem>>, Error> {
        let Some(mut entry) = entry_from_item(item).ok().filter(|entry| entry.apart.is_none()) else {
            return Ok(None);
        };
        place_answer(&mut entry, false);
        let Some(answer) = answer_to_item(&entry)? else { return Ok(None) };
        let is_same = |attribute| Condition::is(attribute, item.get(attribute).cloned());
        let unchanged = Expression::when(Condition::Exists(name::ID)).and(is_same(name::RESPONSE));
        let unchanged = unchanged.and(is_same(name::METADATA)).and(is_same(name::TTL));
        let row = answer_attributes(&entry)
            .into_iter()
            .fold(unchanged, |expression, (attribute, value)| expression.set_or_remove(attribute, value));
        let row = self.update_action(self.update_builder(entry.id.into(), row))?;
        Ok(Some(vec![row, self.put_answer(answer)?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_row::entry_to_item;

    /// Text that zlib compresses to about a half: hexadecimal digits of a hash chain.
    fn digits(bytes: usize) -> String {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.digit(16)).take(bytes).collect()
    }

    /// An entry with this response, as a put writes it.
    fn placed(response: String) -> Entry {
        let metadata = Map::from_iter([("model".to_owned(), Value::from("m"))]);
        let mut entry = Entry { response, metadata, expires_at: Some(77), ..Entry::example(9) };
        place_answer(&mut entry, false);
        entry
    }

    #[test]
    fn long_answer_is_not_in_the_row_and_reads_back_from_its_item() {
        for (bytes, is_compressed) in [(5000, false), (360 * 1024, true), (600 * 1024, true)] {
            let entry = placed(digits(bytes));
            let row = entry_to_item(&entry).unwrap();
            assert!(!row.contains_key(name::RESPONSE) && !row.contains_key(name::METADATA));
            let mut read = entry_from_item(&row).unwrap();
            assert!(read.lacks_answer() && read.is_servable());
            assert_eq!(read.apart, entry.apart);
            let item = answer_to_item(&entry).unwrap().unwrap();
            assert_eq!(item.contains_key(name::COMPRESSED), is_compressed, "{bytes}");
            assert_eq!(
                (RowKey::from_attribute(&item[name::ID]), &item[name::TTL]),
                (Some(RowKey::answer(entry.id)), &n(77))
            );
            assert!(fill_in(&mut read, Some(&item)));
            assert_eq!(read, entry);
        }
    }

    #[test]
    fn short_answer_and_the_answers_of_a_shared_table_stay_in_the_row() {
        let mut entry = placed("short".to_owned());
        assert_eq!((entry.apart, answer_to_item(&entry).unwrap()), (None, None));
        entry.response = digits(5000);
        place_answer(&mut entry, true);
        assert_eq!((entry.apart, answer_to_item(&entry).unwrap()), (None, None));
        assert_eq!(entry_from_item(&entry_to_item(&entry).unwrap()).unwrap(), entry);
    }

    #[test]
    fn answer_item_of_another_state_or_with_corrupt_bytes_is_not_filled_in() {
        let entry = placed(digits(360 * 1024));
        let mut read = entry_from_item(&entry_to_item(&entry).unwrap()).unwrap();
        let other = answer_to_item(&placed(digits(360 * 1024))).unwrap().unwrap();
        assert!(!fill_in(&mut read, None) && !fill_in(&mut read, Some(&other)));
        let mut corrupt = answer_to_item(&entry).unwrap().unwrap();
        corrupt.insert(name::COMPRESSED.to_owned(), b([1, 2, 3]));
        assert!(!fill_in(&mut read, Some(&corrupt)) && read.lacks_answer());
    }

    #[test]
    fn answer_that_stays_too_large_or_fits_no_reply_is_refused() {
        let random = String::from_utf8(std::iter::repeat_with(|| fastrand::u8(b' '..=b'~')).take(600_000).collect());
        let mut too_large = vec![placed(random.unwrap()), placed("x".repeat(MAX_COMPRESSED_REPLY_BYTES + 1))];
        too_large.push(placed("\"".repeat(MAX_COMPRESSED_REPLY_BYTES / 4)));
        for entry in too_large {
            assert_eq!(answer_to_item(&entry).unwrap_err().kind, ErrorKind::EntryTooLarge);
        }
    }

    #[test]
    fn row_of_a_long_stored_failure_says_that_it_is_not_served() {
        let entry = placed(format!("[ERROR] {}", digits(5000)));
        assert!(!entry_from_item(&entry_to_item(&entry).unwrap()).unwrap().is_servable());
    }
}

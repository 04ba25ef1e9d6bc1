//! The reply to a put with an idempotency key.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::entry_id::EntryId;

use crate::attribute as name;
use crate::item::{Item, b, bytes, flag, n, number};
use crate::key::RowKey;
use crate::read::pointed_entry;

/// The digest of a request, by which another request with the same idempotency key is recognised.
pub type RequestDigest = [u8; 16];

/// What is kept of a put with an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The entry that the put stored.
    pub id: EntryId,
    /// Whether the put created the entry.
    pub created: bool,
    /// The digest of the request. `None` in records of older versions.
    pub request: Option<RequestDigest>,
    /// The epoch second from which on the key is free again.
    pub until: i64,
}

impl IdempotencyRecord {
    /// Reads a record. `None` if an attribute is missing.
    pub fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            id: pointed_entry(item)?,
            created: flag(item, name::CREATED)?,
            request: bytes(item, name::REQUEST_DIGEST).and_then(|bytes| bytes.try_into().ok()),
            until: number(item, name::TTL)?,
        })
    }

    pub(crate) fn to_item(self, key: RowKey) -> Item {
        let mut item = Item::from([
            (name::ID.to_owned(), key.attribute()),
            (name::ENTRY_ID.to_owned(), n(self.id)),
            (name::CREATED.to_owned(), AttributeValue::Bool(self.created)),
            (name::TTL.to_owned(), n(self.until)),
        ]);
        item.extend(self.request.map(|digest| (name::REQUEST_DIGEST.to_owned(), b(digest))));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_item_reads_what_to_item_wrote_and_records_without_a_digest() {
        let id = EntryId::new(7).unwrap();
        for request in [None, Some([9; 16])] {
            let record = IdempotencyRecord { id, created: true, request, until: 5 };
            assert_eq!(IdempotencyRecord::from_item(&record.to_item(RowKey::WRITER_QUEUE)), Some(record));
        }
        assert_eq!(IdempotencyRecord::from_item(&Item::new()), None);
    }
}

//! What a segment's item holds: the codes of a range's vectors, and whose entries they are.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use mneme_guard::NumberFingerprint;

use mneme_model::context_key::ContextKey;
use mneme_model::namespace::NamespaceHash;

use super::ids_of;
use crate::attribute::ENTRIES;
use crate::item::{self, Item};
use crate::key::RowKey;

/// Bytes of one entry's entries: its place in the range, its group's place in the lists, its query hash's first 32 bits.
const ENTRY_BYTES: usize = 2 + 2 + 4;

/// The attribute that says which version the digests are of; those of another one are passed over.
const DIGESTS_VERSION: &str = "digests_version";

/// Bytes of one entry's digest; 0: it has none.
const DIGEST_BYTES: usize = 4;

/// Bytes of one group: its namespace's hash, whether it has a context_key, and which.
const GROUP_BYTES: usize = 16 + 1 + 32;

/// What is known of an entry beside its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Its id.
    pub id: u64,
    /// In [`Segment::groups`].
    pub group: u16,
    /// See [`crate::normalize::QueryHash::prefix`].
    pub prefix: u32,
    /// Of its message, where the guard has kept what decides its answer.
    pub digest: Option<NumberFingerprint>,
}

/// One range of ids. At 1,024 ids an item of up to 190 KB, and 49 bytes for each group: at most 240 KB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// Whose entries are in it.
    pub groups: Vec<(NamespaceHash, Option<ContextKey>)>,
    /// Of every entry, ascending by id.
    pub entries: Vec<SegmentEntry>,
    /// The codes, as `mneme_search` packs them; `None` where no entry has a vector.
    pub codes: Option<Vec<u8>>,
}

impl Segment {
    /// The item at `key` for range `number`.
    pub fn to_item(&self, key: RowKey, number: u64) -> Item {
        let first = *ids_of(number).start();
        let mut entries = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        let mut digests = Vec::with_capacity(self.entries.len() * DIGEST_BYTES);
        for entry in &self.entries {
            entries.extend_from_slice(&((entry.id - first) as u16).to_le_bytes());
            entries.extend_from_slice(&entry.group.to_le_bytes());
            entries.extend_from_slice(&entry.prefix.to_le_bytes());
            digests.extend_from_slice(&entry.digest.map_or(0, NumberFingerprint::to_bits).to_le_bytes());
        }
        let mut groups = Vec::with_capacity(self.groups.len() * GROUP_BYTES);
        for (namespace, context_key) in &self.groups {
            groups.extend_from_slice(namespace);
            groups.push(u8::from(context_key.is_some()));
            groups.extend_from_slice(&context_key.map_or([0; 32], |context_key| *context_key.as_bytes()));
        }
        let mut item = Item::from([
            ("id".to_owned(), key.attribute()),
            (ENTRIES.to_owned(), AttributeValue::N(self.entries.len().to_string())),
            ("groups".to_owned(), AttributeValue::B(Blob::new(groups))),
            ("facts".to_owned(), AttributeValue::B(Blob::new(entries))),
            ("digests".to_owned(), AttributeValue::B(Blob::new(digests))),
            (DIGESTS_VERSION.to_owned(), AttributeValue::N(NumberFingerprint::VERSION.to_string())),
        ]);
        if let Some(codes) = &self.codes {
            item.insert("codes".to_owned(), AttributeValue::B(Blob::new(codes.clone())));
        }
        item
    }

    /// The segment in `item`, of range `number`; `None` where it is none that was packed.
    pub fn from_item(item: &Item, number: u64) -> Option<Self> {
        let ids = ids_of(number);
        let (groups, none) = item.get("groups")?.as_b().ok()?.as_ref().as_chunks::<GROUP_BYTES>();
        let group = |bytes: &[u8; GROUP_BYTES]| {
            let (namespace, rest) = bytes.split_first_chunk::<16>()?;
            let (is_some, context_key) = rest.split_first()?;
            Some((*namespace, ContextKey::from_bytes(context_key).filter(|_| *is_some != 0)))
        };
        let groups: Vec<_> = groups.iter().map(group).collect::<Option<_>>()?;
        let (entries, rest) = item.get("facts")?.as_b().ok()?.as_ref().as_chunks::<ENTRY_BYTES>();
        let (digests, odd) = item.get("digests")?.as_b().ok()?.as_ref().as_chunks::<DIGEST_BYTES>();
        if digests.len() != entries.len() || !odd.is_empty() {
            return None;
        }
        let knows_digests = item::number(item, DIGESTS_VERSION) == Some(NumberFingerprint::VERSION);
        let entry = |(bytes, digest): (&[u8; ENTRY_BYTES], &[u8; DIGEST_BYTES])| {
            let [a, b, c, d, prefix @ ..] = *bytes;
            let digest = NumberFingerprint::from_bits(u32::from_le_bytes(*digest)).filter(|_| knows_digests);
            let id = ids.start() + u64::from(u16::from_le_bytes([a, b]));
            let group = u16::from_le_bytes([c, d]);
            let known = ids.contains(&id) && usize::from(group) < groups.len();
            known.then(|| SegmentEntry { id, group, prefix: u32::from_le_bytes(prefix), digest })
        };
        let entries: Vec<SegmentEntry> = entries.iter().zip(digests).map(entry).collect::<Option<_>>()?;
        let codes = match item.get("codes") {
            Some(codes) => Some(codes.as_b().ok()?.as_ref().to_vec()),
            None => None,
        };
        (rest.is_empty() && none.is_empty()).then_some(Self { groups, entries, codes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_segment_reads_back(
            number in 0u64..1 << 40,
            groups in prop::collection::vec((any::<[u8; 16]>(), prop::option::of(any::<[u8; 32]>())), 1..5),
            rows in prop::collection::btree_map(0u64..1024, any::<(u16, u32, u32)>(), 0..50),
            codes in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
        ) {
            let first = *ids_of(number).start();
            let entry = |(offset, (group, prefix, digest)): (u64, (u16, u32, u32))| {
                let digest = NumberFingerprint::from_bits(digest);
                SegmentEntry { id: first + offset, group: group % groups.len() as u16, prefix, digest }
            };
            let group = |(namespace, context_key): &([u8; 16], Option<[u8; 32]>)| {
                (*namespace, context_key.and_then(|bytes| ContextKey::from_bytes(&bytes)))
            };
            let segment = Segment {
                groups: groups.iter().map(group).collect(),
                entries: rows.into_iter().map(entry).collect(),
                codes,
            };
            let mut item = segment.to_item(RowKey::segment(7, number), number);
            prop_assert_eq!(Segment::from_item(&item, number), Some(segment.clone()));
            let whole = item.clone();
            item.insert("facts".to_owned(), AttributeValue::B(Blob::new([255; ENTRY_BYTES])));
            prop_assert_eq!(Segment::from_item(&item, number), None);
            item = whole.clone();
            item.insert(DIGESTS_VERSION.to_owned(), AttributeValue::N("0".to_owned()));
            let read = Segment::from_item(&item, number).unwrap();
            prop_assert!(read.entries.iter().all(|entry| entry.digest.is_none()));
            prop_assert_eq!(read.codes, segment.codes);
            item = whole;
            item.insert("digests".to_owned(), AttributeValue::B(Blob::new([0; 51 * DIGEST_BYTES])));
            prop_assert_eq!(Segment::from_item(&item, number), None);
        }
    }
}

//! The item of one segment: the codes of a range's vectors, and the keys of the entries that they belong to.

use mneme_guard::NumberFingerprint;
use mneme_model::context_key::ContextKey;
use mneme_model::namespace::NamespaceHash;

use super::ids_of;
use crate::attribute as name;
use crate::item::{Item, b, bytes, n, number};
use crate::key::RowKey;

/// The bytes of one entry: the offset of its id in the range, the position of its context, the prefix of its query
/// hash.
const ENTRY_BYTES: usize = 2 + 2 + 4;

/// The bytes of one entry's number fingerprint. The value 0 means that the entry has none.
const FINGERPRINT_BYTES: usize = 4;

/// The bytes of one context: the hash of the namespace, whether there is a context key, and the context key.
const CONTEXT_BYTES: usize = 16 + 1 + 32;

/// One entry of a segment. A segment holds nothing else of the entry but its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The entry's id, in the range of the segment.
    pub id: u64,
    /// The position of the entry's context in [`Segment::contexts`].
    pub context: u16,
    /// See [`mneme_model::normalize::QueryHash::prefix`].
    pub hash_prefix: u32,
    /// The fingerprint of the numbers in the entry's question. `None` if the row has no signature, or the question has
    /// no fingerprint.
    pub number_fingerprint: Option<NumberFingerprint>,
}

/// The segment of one range of ids.
///
/// At 1,024 ids the item has up to 190 KB, and 49 bytes for each context: at most 240 KB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// The namespaces and context keys of the entries, each pair once.
    pub contexts: Vec<(NamespaceHash, Option<ContextKey>)>,
    /// The entries, ascending by id.
    pub entries: Vec<SegmentEntry>,
    /// The codes, as `mneme_search` encodes them. `None` if no entry has a vector.
    pub codes: Option<Vec<u8>>,
}

impl Segment {
    /// The item at `key` for range `number`.
    pub fn to_item(&self, key: RowKey, number: u64) -> Item {
        let first_id = *ids_of(number).start();
        let mut entries = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        let mut fingerprints = Vec::with_capacity(self.entries.len() * FINGERPRINT_BYTES);
        for entry in &self.entries {
            entries.extend_from_slice(&((entry.id - first_id) as u16).to_le_bytes());
            entries.extend_from_slice(&entry.context.to_le_bytes());
            entries.extend_from_slice(&entry.hash_prefix.to_le_bytes());
            let bits = entry.number_fingerprint.map_or(0, NumberFingerprint::to_bits);
            fingerprints.extend_from_slice(&bits.to_le_bytes());
        }
        let mut contexts = Vec::with_capacity(self.contexts.len() * CONTEXT_BYTES);
        for (namespace, context_key) in &self.contexts {
            contexts.extend_from_slice(namespace);
            contexts.push(u8::from(context_key.is_some()));
            contexts.extend_from_slice(&context_key.map_or([0; 32], |context_key| *context_key.as_bytes()));
        }
        let mut item = Item::from([
            (name::ID.to_owned(), key.attribute()),
            (name::ENTRIES.to_owned(), n(self.entries.len())),
            (name::SEGMENT_CONTEXTS.to_owned(), b(contexts)),
            (name::SEGMENT_ENTRIES.to_owned(), b(entries)),
            (name::SEGMENT_FINGERPRINTS.to_owned(), b(fingerprints)),
            (name::SEGMENT_FINGERPRINTS_VERSION.to_owned(), n(NumberFingerprint::VERSION)),
        ]);
        if let Some(codes) = &self.codes {
            item.insert(name::SEGMENT_CODES.to_owned(), b(codes.clone()));
        }
        item
    }

    /// The segment of range `number` in `item`. `None` if the item is corrupt.
    ///
    /// Number fingerprints of another version are left out, because fingerprints of two versions must not be compared.
    pub fn from_item(item: &Item, number: u64) -> Option<Self> {
        let contexts: Vec<_> =
            records(item, name::SEGMENT_CONTEXTS)?.iter().map(context_from_bytes).collect::<Option<_>>()?;
        let entries: &[[u8; ENTRY_BYTES]] = records(item, name::SEGMENT_ENTRIES)?;
        let fingerprints: &[[u8; FINGERPRINT_BYTES]] = records(item, name::SEGMENT_FINGERPRINTS)?;
        if fingerprints.len() != entries.len() {
            return None;
        }
        let ids = ids_of(number);
        let is_known_version = is_known_version(item);
        let entry = |(entry, fingerprint): (&[u8; ENTRY_BYTES], &[u8; FINGERPRINT_BYTES])| {
            let [id_low, id_high, context_low, context_high, hash_prefix @ ..] = *entry;
            let fingerprint = NumberFingerprint::from_bits(u32::from_le_bytes(*fingerprint));
            let id = ids.start() + u64::from(u16::from_le_bytes([id_low, id_high]));
            let context = u16::from_le_bytes([context_low, context_high]);
            let is_valid = ids.contains(&id) && usize::from(context) < contexts.len();
            is_valid.then(|| SegmentEntry {
                id,
                context,
                hash_prefix: u32::from_le_bytes(hash_prefix),
                number_fingerprint: fingerprint.filter(|_| is_known_version),
            })
        };
        let entries: Vec<SegmentEntry> = entries.iter().zip(fingerprints).map(entry).collect::<Option<_>>()?;
        let codes = match item.get(name::SEGMENT_CODES) {
            Some(codes) => Some(codes.as_b().ok()?.as_ref().to_vec()),
            None => None,
        };
        Some(Self { contexts, entries, codes })
    }
}

/// The records of `N` bytes in `item`'s attribute `name`. `None` if the bytes are missing or not whole records.
fn records<'a, const N: usize>(item: &'a Item, name: &str) -> Option<&'a [[u8; N]]> {
    let (records, rest) = bytes(item, name)?.as_chunks::<N>();
    rest.is_empty().then_some(records)
}

fn context_from_bytes(bytes: &[u8; CONTEXT_BYTES]) -> Option<(NamespaceHash, Option<ContextKey>)> {
    let (namespace, rest) = bytes.split_first_chunk::<16>()?;
    let (has_context_key, context_key) = rest.split_first()?;
    Some((*namespace, ContextKey::from_bytes(context_key).filter(|_| *has_context_key != 0)))
}

fn is_known_version(item: &Item) -> bool {
    number(item, name::SEGMENT_FINGERPRINTS_VERSION) == Some(NumberFingerprint::VERSION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_segment(number: u64)(
            contexts in prop::collection::vec((any::<[u8; 16]>(), prop::option::of(any::<[u8; 32]>())), 1..5),
            rows in prop::collection::btree_map(0u64..1024, any::<(u16, u32, u32)>(), 0..50),
            codes in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
        ) -> Segment {
            let first_id = *ids_of(number).start();
            let entry = |(offset, (context, hash_prefix, bits)): (u64, (u16, u32, u32))| SegmentEntry {
                id: first_id + offset,
                context: context % contexts.len() as u16,
                hash_prefix,
                number_fingerprint: NumberFingerprint::from_bits(bits),
            };
            let entries = rows.into_iter().map(entry).collect();
            let context = |(namespace, context_key): ([u8; 16], Option<[u8; 32]>)| {
                (namespace, context_key.map(ContextKey::from))
            };
            Segment { entries, contexts: contexts.into_iter().map(context).collect(), codes }
        }
    }

    prop_compose! {
        fn numbered_segment()(number in 0u64..1 << 40)(segment in any_segment(number), number in Just(number))
            -> (u64, Segment) { (number, segment) }
    }

    proptest! {
        #[test]
        fn from_item_of_to_item_is_same_segment((number, segment) in numbered_segment()) {
            let item = segment.to_item(RowKey::segment(7, number), number);
            prop_assert_eq!(Segment::from_item(&item, number), Some(segment));
        }

        #[test]
        fn from_item_with_other_fingerprint_version_has_no_fingerprints((number, segment) in numbered_segment()) {
            let mut item = segment.to_item(RowKey::segment(7, number), number);
            item.insert(name::SEGMENT_FINGERPRINTS_VERSION.to_owned(), n(0));
            let read = Segment::from_item(&item, number).unwrap();
            prop_assert!(read.entries.iter().all(|entry| entry.number_fingerprint.is_none()));
            prop_assert_eq!(read.codes, segment.codes);
        }

        #[test]
        fn from_item_with_corrupt_attribute_returns_none((number, segment) in numbered_segment()) {
            let item = segment.to_item(RowKey::segment(7, number), number);
            for (attribute, corrupt) in [
                // An id and a context that do not exist.
                (name::SEGMENT_ENTRIES, vec![255; ENTRY_BYTES]),
                // More fingerprints than entries.
                (name::SEGMENT_FINGERPRINTS, vec![0; 51 * FINGERPRINT_BYTES]),
                // A part of a record.
                (name::SEGMENT_CONTEXTS, vec![0; 5 * CONTEXT_BYTES + 1]),
            ] {
                let mut item = item.clone();
                item.insert(attribute.to_owned(), b(corrupt));
                prop_assert_eq!(Segment::from_item(&item, number), None, "{}", attribute);
            }
        }
    }
}

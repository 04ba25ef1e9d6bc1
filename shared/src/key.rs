//! The table's key space: the counter at 0, entries from 1, derived items below 0.

use std::fmt;
use std::num::NonZeroU64;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::embedders::Era;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::normalize::QueryHash;

/// The id of an entry: never 0, which is the counter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(NonZeroU64);

impl EntryId {
    /// The entry id `id`; `None` for 0.
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value of the table's primary key `id`.
///
/// Derived items are kept apart by kind: `-(kind × 2^120 + h)` with `h` below 2^120. DynamoDB numbers hold
/// 38 decimal digits exactly (DynamoDB Developer Guide, "Numbers"), so kinds up to 75 fit. `h` is the first
/// 120 bits of a SHA-256, so two pairs meet with a probability of n²/2^121: 10^-24 at a million entries.
/// Readers compare the row's own namespace and hash all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(i128);

/// What a derived item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DerivedKind {
    /// The id of the one live entry of a (namespace, query hash) pair.
    Pointer = 1,
    /// The name, number of entries and counts of one namespace.
    Tally = 2,
    /// The reply to a put with an idempotency key.
    Receipt = 3,
    /// A set of names of namespaces.
    Directory = 4,
    /// The line of writers before the counter.
    Line = 5,
    /// How far `vacuum` has come.
    Sweep = 6,
    /// Which packed segments there are.
    Catalog = 7,
    /// A part of the basis that packed segments stand on.
    Basis = 8,
    /// The search codes of a range of ids.
    Segment = 9,
    /// How far a move to another embedder has come.
    Reembedding = 10,
}

/// Into how many items the names of the namespaces are spread: 64 × 400 KB hold over 100,000 of 200 bytes.
pub const DIRECTORY_SHARDS: u8 = 64;

impl RowKey {
    /// The counter.
    pub const COUNTER: Self = Self(0);

    /// The tally of the whole table.
    pub const TABLE_TALLY: Self = Self::derived(DerivedKind::Tally, 0);

    /// The tally of lookups in namespaces that have none: where nothing was ever put, or only by the Python library.
    pub const STRANGERS_TALLY: Self = Self::derived(DerivedKind::Tally, 1);

    /// The line of writers before the counter.
    pub const LINE: Self = Self::derived(DerivedKind::Line, 0);

    /// How far `vacuum` has come.
    pub const SWEEP: Self = Self::derived(DerivedKind::Sweep, 0);

    /// Which packed segments of `era`'s vectors there are.
    pub const fn catalog(era: Era) -> Self {
        Self::derived(DerivedKind::Catalog, era.get() as u128)
    }

    /// How far `era`'s vectors have been added, or removed.
    pub const fn reembedding(era: Era) -> Self {
        Self::derived(DerivedKind::Reembedding, era.get() as u128)
    }

    /// The era that a catalog, or the progress of a move, is of.
    pub fn era(self) -> Option<Era> {
        let kind = self.derived_kind()?;
        let low = self.0.unsigned_abs() & ((1 << 120) - 1);
        matches!(kind, DerivedKind::Catalog | DerivedKind::Reembedding).then_some(Era::new(low as u64))
    }

    /// Part `part` of the basis of `generation`, which is below 2^56.
    pub const fn basis(generation: u64, part: u64) -> Self {
        Self::derived(DerivedKind::Basis, ((generation as u128) << 64) + part as u128)
    }

    /// The segment of range `number` under the basis of `generation`, which is below 2^56.
    pub const fn segment(generation: u64, number: u64) -> Self {
        Self::derived(DerivedKind::Segment, ((generation as u128) << 64) + number as u128)
    }

    /// The generation that a part of a basis, or a segment, is of.
    pub fn generation(self) -> Option<u64> {
        let kind = self.derived_kind()?;
        let low = self.0.unsigned_abs() & ((1 << 120) - 1);
        matches!(kind, DerivedKind::Basis | DerivedKind::Segment).then_some((low >> 64) as u64)
    }

    const fn derived(kind: DerivedKind, low: u128) -> Self {
        Self(-(((kind as i128) << 120) + low as i128))
    }

    fn hashed(kind: DerivedKind, parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut low = [0u8; 16];
        low[1..].copy_from_slice(&digest.finalize()[..15]);
        Self::derived(kind, u128::from_be_bytes(low))
    }

    /// The pointer of a (namespace, query hash) pair.
    pub fn pointer(namespace: &Namespace, hash: &QueryHash) -> Self {
        Self::hashed(DerivedKind::Pointer, &[namespace.as_str(), hash.as_str()])
    }

    /// The tally of a namespace.
    pub fn tally(namespace: &Namespace) -> Self {
        Self::hashed(DerivedKind::Tally, &[namespace.as_str()])
    }

    /// The receipt of an idempotency key used in a namespace.
    pub fn receipt(namespace: &Namespace, idempotency_key: &str) -> Self {
        Self::hashed(DerivedKind::Receipt, &[namespace.as_str(), idempotency_key])
    }

    /// The directory item that holds `namespace`'s name.
    pub fn directory(namespace: &Namespace) -> Self {
        let shard = Sha256::digest(namespace.as_str().as_bytes())[0] % DIRECTORY_SHARDS;
        Self::directory_shard(shard)
    }

    /// Directory item number `shard`, below [`DIRECTORY_SHARDS`].
    pub const fn directory_shard(shard: u8) -> Self {
        Self::derived(DerivedKind::Directory, shard as u128)
    }

    /// The entry's id, where the key is an entry's.
    pub fn entry(self) -> Option<EntryId> {
        u64::try_from(self.0).ok().and_then(EntryId::new)
    }

    /// The kind of derived item, where the key is one's.
    pub fn derived_kind(self) -> Option<DerivedKind> {
        let kind = self.0.checked_neg()? >> 120;
        use DerivedKind::{Basis, Catalog, Directory, Line, Pointer, Receipt, Reembedding, Segment, Sweep, Tally};
        [Pointer, Tally, Receipt, Directory, Line, Sweep, Catalog, Basis, Segment, Reembedding]
            .into_iter()
            .find(|known| *known as i128 == kind)
    }

    /// The key as text for a caller to send back.
    pub fn to_cursor(self) -> String {
        self.0.to_string()
    }

    /// The key in a caller's text. Errors: `InvalidRequest`.
    pub fn from_cursor(cursor: &str) -> Result<Self, Error> {
        let refused = || Error::invalid("cursor: not a cursor of this operation", "send the last reply's `cursor`");
        // No key has more than 38 digits, the precision of DynamoDB's numbers.
        let digits = cursor.strip_prefix('-').unwrap_or(cursor);
        let key = Some(digits).filter(|digits| digits.len() <= 38).and_then(|_| cursor.parse().ok());
        key.map(Self).ok_or_else(refused)
    }

    /// The key as a DynamoDB number.
    pub fn attribute(self) -> AttributeValue {
        AttributeValue::N(self.0.to_string())
    }

    /// The key in a DynamoDB number.
    pub fn from_attribute(value: &AttributeValue) -> Option<Self> {
        value.as_n().ok()?.parse().ok().map(Self)
    }
}

impl From<EntryId> for RowKey {
    fn from(id: EntryId) -> Self {
        Self(i128::from(id.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_apart_and_fit_a_dynamodb_number() {
        let namespace = Namespace::default();
        let hash = QueryHash::of("q", true);
        for (key, kind) in [
            (RowKey::pointer(&namespace, &hash), DerivedKind::Pointer),
            (RowKey::tally(&namespace), DerivedKind::Tally),
            (RowKey::TABLE_TALLY, DerivedKind::Tally),
            (RowKey::receipt(&namespace, "k"), DerivedKind::Receipt),
            (RowKey::directory(&namespace), DerivedKind::Directory),
            (RowKey::LINE, DerivedKind::Line),
            (RowKey::SWEEP, DerivedKind::Sweep),
            (RowKey::catalog(Era::default()), DerivedKind::Catalog),
            (RowKey::catalog(Era::new(u64::MAX)), DerivedKind::Catalog),
            (RowKey::reembedding(Era::new(u64::MAX)), DerivedKind::Reembedding),
            (RowKey::basis((1 << 56) - 1, 3), DerivedKind::Basis),
            (RowKey::segment((1 << 56) - 1, u64::MAX), DerivedKind::Segment),
        ] {
            assert_eq!(key.derived_kind(), Some(kind));
            assert_eq!(key.entry(), None);
            let text = key.attribute().as_n().unwrap().clone();
            assert!(text.len() <= 39 && text.starts_with('-'), "{text}");
            assert_eq!(RowKey::from_attribute(&key.attribute()), Some(key));
        }
        assert_eq!(RowKey::segment(77, u64::MAX).generation(), Some(77));
        assert_eq!(RowKey::SWEEP.generation(), None);
        assert_eq!(RowKey::catalog(Era::new(u64::MAX)).era(), Some(Era::new(u64::MAX)));
        assert_eq!((RowKey::SWEEP.era(), RowKey::segment(7, 7).era()), (None, None));
        assert_eq!(RowKey::COUNTER.entry(), None);
        assert_eq!(RowKey::COUNTER.derived_kind(), None);
        assert_eq!(RowKey::from(EntryId::new(7).unwrap()).derived_kind(), None);
    }

    #[test]
    fn a_pointers_parts_do_not_run_together() {
        let hash = QueryHash::of("q", true);
        let keys: std::collections::HashSet<_> = ["a", "b", "ab", "a/b"]
            .map(|name| RowKey::pointer(&Namespace::try_from(name.to_owned()).unwrap(), &hash))
            .into();
        assert_eq!(keys.len(), 4);
    }
}

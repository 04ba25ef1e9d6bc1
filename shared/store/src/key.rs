//! The table's key space: the counter at 0, entries from 1, derived items below 0.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::embedder::EmbedderGeneration;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use sha2::{Digest, Sha256};

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
    NamespaceStats = 2,
    /// The reply to a put with an idempotency key.
    IdempotencyRecord = 3,
    /// A set of names of namespaces.
    Directory = 4,
    /// The line of writers before the counter.
    WriterQueue = 5,
    /// How far `vacuum` has come.
    VacuumCursor = 6,
    /// Which packed segments there are.
    SegmentManifest = 7,
    /// A part of the basis that packed segments stand on.
    Basis = 8,
    /// The search codes of a range of ids.
    Segment = 9,
    /// How far a move to another embedder has come.
    MoveProgress = 10,
}

/// Into how many items the names of the namespaces are spread: 64 × 400 KB hold over 100,000 of 200 bytes.
pub const DIRECTORY_SHARDS: u8 = 64;

impl RowKey {
    /// The counter.
    pub const COUNTER: Self = Self(0);

    /// The tally of the whole table.
    pub const TABLE_STATS: Self = Self::derived(DerivedKind::NamespaceStats, 0);

    /// The tally of lookups in namespaces that have none: where nothing was ever put, or only by the Python library.
    pub const UNKNOWN_NAMESPACE_STATS: Self = Self::derived(DerivedKind::NamespaceStats, 1);

    /// The line of writers before the counter.
    pub const WRITER_QUEUE: Self = Self::derived(DerivedKind::WriterQueue, 0);

    /// How far `vacuum` has come.
    pub const VACUUM_CURSOR: Self = Self::derived(DerivedKind::VacuumCursor, 0);

    /// Which packed segments of `era`'s vectors there are.
    pub const fn manifest(generation: EmbedderGeneration) -> Self {
        Self::derived(DerivedKind::SegmentManifest, generation.get() as u128)
    }

    /// How far `era`'s vectors have been added, or removed.
    pub const fn move_progress(generation: EmbedderGeneration) -> Self {
        Self::derived(DerivedKind::MoveProgress, generation.get() as u128)
    }

    /// The era that a manifest, or the progress of a move, is of.
    pub fn embedder_generation(self) -> Option<EmbedderGeneration> {
        let kind = self.derived_kind()?;
        let low = self.0.unsigned_abs() & ((1 << 120) - 1);
        matches!(kind, DerivedKind::SegmentManifest | DerivedKind::MoveProgress)
            .then_some(EmbedderGeneration::new(low as u64))
    }

    /// Part `part` of the basis of `generation`, which is below 2^56.
    pub const fn basis(basis_version: u64, part: u64) -> Self {
        Self::derived(DerivedKind::Basis, ((basis_version as u128) << 64) + part as u128)
    }

    /// The segment of range `number` under the basis of `generation`, which is below 2^56.
    pub const fn segment(basis_version: u64, number: u64) -> Self {
        Self::derived(DerivedKind::Segment, ((basis_version as u128) << 64) + number as u128)
    }

    /// The generation that a part of a basis, or a segment, is of.
    pub fn basis_version(self) -> Option<u64> {
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
    pub fn namespace_stats(namespace: &Namespace) -> Self {
        Self::hashed(DerivedKind::NamespaceStats, &[namespace.as_str()])
    }

    /// The receipt of an idempotency key used in a namespace.
    pub fn idempotency_record(namespace: &Namespace, idempotency_key: &str) -> Self {
        Self::hashed(DerivedKind::IdempotencyRecord, &[namespace.as_str(), idempotency_key])
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
        use DerivedKind::{
            Basis, Directory, IdempotencyRecord, MoveProgress, NamespaceStats, Pointer, Segment, SegmentManifest,
            VacuumCursor, WriterQueue,
        };
        [
            Pointer,
            NamespaceStats,
            IdempotencyRecord,
            Directory,
            WriterQueue,
            VacuumCursor,
            SegmentManifest,
            Basis,
            Segment,
            MoveProgress,
        ]
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
            (RowKey::namespace_stats(&namespace), DerivedKind::NamespaceStats),
            (RowKey::TABLE_STATS, DerivedKind::NamespaceStats),
            (RowKey::idempotency_record(&namespace, "k"), DerivedKind::IdempotencyRecord),
            (RowKey::directory(&namespace), DerivedKind::Directory),
            (RowKey::WRITER_QUEUE, DerivedKind::WriterQueue),
            (RowKey::VACUUM_CURSOR, DerivedKind::VacuumCursor),
            (RowKey::manifest(EmbedderGeneration::default()), DerivedKind::SegmentManifest),
            (RowKey::manifest(EmbedderGeneration::new(u64::MAX)), DerivedKind::SegmentManifest),
            (RowKey::move_progress(EmbedderGeneration::new(u64::MAX)), DerivedKind::MoveProgress),
            (RowKey::basis((1 << 56) - 1, 3), DerivedKind::Basis),
            (RowKey::segment((1 << 56) - 1, u64::MAX), DerivedKind::Segment),
        ] {
            assert_eq!(key.derived_kind(), Some(kind));
            assert_eq!(key.entry(), None);
            let text = key.attribute().as_n().unwrap().clone();
            assert!(text.len() <= 39 && text.starts_with('-'), "{text}");
            assert_eq!(RowKey::from_attribute(&key.attribute()), Some(key));
        }
        assert_eq!(RowKey::segment(77, u64::MAX).basis_version(), Some(77));
        assert_eq!(RowKey::VACUUM_CURSOR.basis_version(), None);
        assert_eq!(
            RowKey::manifest(EmbedderGeneration::new(u64::MAX)).embedder_generation(),
            Some(EmbedderGeneration::new(u64::MAX))
        );
        assert_eq!(
            (RowKey::VACUUM_CURSOR.embedder_generation(), RowKey::segment(7, 7).embedder_generation()),
            (None, None)
        );
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

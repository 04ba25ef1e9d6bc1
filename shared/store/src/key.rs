//! The keys of the table: the counter has 0, entries have keys from 1 on, and derived items have negative keys.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::context_key::ContextKey;
use mneme_model::embedder::EmbedderGeneration;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::tag::Tag;
use sha2::{Digest, Sha256};

/// A value of the table's primary key `id`.
///
/// The key of a derived item is `-(kind × 2^120 + h)` with `h` below 2^120, so that items of different kinds never have
/// the same key. DynamoDB numbers hold 38 decimal digits exactly (DynamoDB Developer Guide, "Numbers"), so kinds up to
/// 75 fit. `h` is a number, or the first 120 bits of a SHA-256. Of `n` hashes, two collide with a probability
/// of n²/2^121, which is 10^-24 at a million entries. So readers compare the namespace and the hash of the row that a
/// pointer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(i128);

/// The purpose of a derived item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DerivedKind {
    /// The id of the one live entry of an entry key.
    Pointer = 1,
    /// The name, number of entries and event counts of one namespace.
    NamespaceStats = 2,
    /// The reply to a put with an idempotency key.
    IdempotencyRecord = 3,
    /// A set of names of namespaces.
    Directory = 4,
    /// The queue of writers that lost a race for the counter.
    WriterQueue = 5,
    /// The cursor at which the next `vacuum` continues.
    VacuumCursor = 6,
    /// The list of segments for one embedder's vectors.
    SegmentManifest = 7,
    /// A part of the basis that the codes of segments refer to.
    Basis = 8,
    /// The search codes of a range of ids.
    Segment = 9,
    /// The progress of a move to another embedder.
    MoveProgress = 10,
    /// The lease of one entry key: who is to make its answer.
    Lease = 11,
    /// The vectors of the questions of one context that were leased lately.
    LeaseBoard = 12,
    /// The entries of a range of ids that have one tag.
    TagBlock = 13,
    /// The lookups of one hour, in a namespace or in the whole cache.
    HourStats = 14,
    /// The settings of one namespace. It is data, not derived: it must not be lost.
    Settings = 20,
    /// The `meta` map. It is data, not derived: it must not be lost.
    Meta = 21,
    /// A set of names of namespaces that have settings.
    SettingsDirectory = 22,
    /// A deletion by a tag that `vacuum` has to finish. It is data, not derived: it must not be lost.
    TagDeletion = 24,
    /// The response and the metadata of one entry. It is data, not derived: it is written, moved and removed with the
    /// entry's row.
    Answer = 30,
}

/// The number of items of a directory, which holds names of namespaces. 64 items of 400 KB hold over 100,000 names of 200 bytes.
pub const DIRECTORY_SHARDS: u8 = 64;

/// The number of bits below the kind in the key of a derived item.
const LOW_BITS: u32 = 120;

impl RowKey {
    /// The counter.
    pub const COUNTER: Self = Self(0);

    /// The stats of the whole table.
    pub const TABLE_STATS: Self = Self::derived(DerivedKind::NamespaceStats, 0);

    /// The stats of lookups in namespaces without stats: nothing was ever put there, or only by the Python library.
    pub const UNKNOWN_NAMESPACE_STATS: Self = Self::derived(DerivedKind::NamespaceStats, 1);

    /// The queue of writers that lost a race for the counter.
    pub const WRITER_QUEUE: Self = Self::derived(DerivedKind::WriterQueue, 0);

    /// The cursor at which the next `vacuum` continues.
    pub const VACUUM_CURSOR: Self = Self::derived(DerivedKind::VacuumCursor, 0);

    /// The `meta` map.
    pub const META: Self = Self::derived(DerivedKind::Meta, 0);

    /// The segment manifest for the vectors of `generation`.
    pub const fn manifest(generation: EmbedderGeneration) -> Self {
        Self::derived(DerivedKind::SegmentManifest, generation.get() as u128)
    }

    /// The progress of adding or removing the vectors of `generation`.
    pub const fn move_progress(generation: EmbedderGeneration) -> Self {
        Self::derived(DerivedKind::MoveProgress, generation.get() as u128)
    }

    /// The generation in the key of a segment manifest or of the progress of a move.
    pub fn embedder_generation(self) -> Option<EmbedderGeneration> {
        let kind = self.derived_kind()?;
        matches!(kind, DerivedKind::SegmentManifest | DerivedKind::MoveProgress)
            .then_some(EmbedderGeneration::new(self.low() as u64))
    }

    /// Part `part` of the basis `basis_version`, which is below 2^56.
    pub const fn basis(basis_version: u64, part: u64) -> Self {
        Self::derived(DerivedKind::Basis, ((basis_version as u128) << 64) + part as u128)
    }

    /// The segment of range `number` for the basis `basis_version`, which is below 2^56.
    pub const fn segment(basis_version: u64, number: u64) -> Self {
        Self::derived(DerivedKind::Segment, ((basis_version as u128) << 64) + number as u128)
    }

    /// The basis version in the key of a segment or of a part of a basis.
    pub fn basis_version(self) -> Option<u64> {
        let kind = self.derived_kind()?;
        matches!(kind, DerivedKind::Basis | DerivedKind::Segment).then_some((self.low() >> 64) as u64)
    }

    const fn derived(kind: DerivedKind, low: u128) -> Self {
        Self(-(((kind as i128) << LOW_BITS) + low as i128))
    }

    /// The part of a derived item's key below the kind.
    fn low(self) -> u128 {
        self.0.unsigned_abs() & ((1 << LOW_BITS) - 1)
    }

    /// The remainder of the part below the kind, divided by `divisor`. For a key that is made from a hash, it is evenly
    /// distributed.
    pub(crate) fn low_remainder(self, divisor: usize) -> usize {
        (self.low() % divisor as u128) as usize
    }

    fn hashed(kind: DerivedKind, parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let mut low = [0u8; 16];
        low[1..].copy_from_slice(&hasher.finalize()[..15]);
        Self::derived(kind, u128::from_be_bytes(low))
    }

    /// The pointer of an entry key.
    pub fn pointer(namespace: &Namespace, hash: &QueryHash) -> Self {
        Self::hashed(DerivedKind::Pointer, &[namespace.as_str(), hash.as_str()])
    }

    /// The stats of a namespace.
    pub fn namespace_stats(namespace: &Namespace) -> Self {
        Self::hashed(DerivedKind::NamespaceStats, &[namespace.as_str()])
    }

    /// The idempotency record of an idempotency key in a namespace.
    pub fn idempotency_record(namespace: &Namespace, idempotency_key: &str) -> Self {
        Self::hashed(DerivedKind::IdempotencyRecord, &[namespace.as_str(), idempotency_key])
    }

    /// The lease of an entry key.
    pub fn lease(namespace: &Namespace, hash: &QueryHash) -> Self {
        Self::hashed(DerivedKind::Lease, &[namespace.as_str(), hash.as_str()])
    }

    /// The lease board of a namespace and context key.
    pub fn lease_board(namespace: &Namespace, context_key: Option<&ContextKey>) -> Self {
        let context: String =
            context_key.iter().flat_map(|key| key.as_bytes()).map(|byte| format!("{byte:02x}")).collect();
        Self::hashed(DerivedKind::LeaseBoard, &[namespace.as_str(), &context])
    }

    /// The settings of a namespace.
    pub fn settings(namespace: &Namespace) -> Self {
        Self::hashed(DerivedKind::Settings, &[namespace.as_str()])
    }

    /// The block of `tag` for range `number` of ids.
    pub fn tag_block(namespace: &Namespace, tag: &Tag, number: u64) -> Self {
        Self::hashed(DerivedKind::TagBlock, &[namespace.as_str(), tag.as_str(), &number.to_string()])
    }

    /// The lookups of `hour`, in hours since the epoch, in a namespace, or in the whole cache if it is `None`.
    pub fn hour_stats(namespace: Option<&Namespace>, hour: i64) -> Self {
        // No namespace has an empty name.
        let name = namespace.map_or("", Namespace::as_str);
        Self::hashed(DerivedKind::HourStats, &[name, &hour.to_string()])
    }

    /// The deletion of the entries with `tag`.
    pub fn tag_deletion(namespace: &Namespace, tag: &Tag) -> Self {
        Self::hashed(DerivedKind::TagDeletion, &[namespace.as_str(), tag.as_str()])
    }

    /// The answer item of the entry `id`.
    pub fn answer(id: EntryId) -> Self {
        Self::derived(DerivedKind::Answer, id.get() as u128)
    }

    /// The entry in the key of an answer item.
    pub fn answered_entry(self) -> Option<EntryId> {
        let id = Some(self).filter(|key| key.derived_kind() == Some(DerivedKind::Answer))?.low();
        u64::try_from(id).ok().and_then(EntryId::new)
    }

    /// The directory item that holds the name of `namespace`.
    pub fn directory(namespace: &Namespace) -> Self {
        Self::directory_shard(shard_of(namespace))
    }

    /// The item of the directory of settings that holds the name of `namespace`.
    pub fn settings_directory(namespace: &Namespace) -> Self {
        Self::settings_directory_shard(shard_of(namespace))
    }

    /// Item number `shard` of the directory of settings, below [`DIRECTORY_SHARDS`].
    pub const fn settings_directory_shard(shard: u8) -> Self {
        Self::derived(DerivedKind::SettingsDirectory, shard as u128)
    }

    /// Directory item number `shard`, below [`DIRECTORY_SHARDS`].
    pub const fn directory_shard(shard: u8) -> Self {
        Self::derived(DerivedKind::Directory, shard as u128)
    }

    /// The id of the entry. `None` if this is the key of the counter or of a derived item.
    pub fn entry(self) -> Option<EntryId> {
        u64::try_from(self.0).ok().and_then(EntryId::new)
    }

    /// The kind of the derived item. `None` if this is the key of the counter, of an entry or of an unknown kind.
    pub fn derived_kind(self) -> Option<DerivedKind> {
        let kind = self.0.checked_neg()? >> LOW_BITS;
        use DerivedKind::{
            Answer, Basis, Directory, HourStats, IdempotencyRecord, Lease, LeaseBoard, Meta, MoveProgress,
            NamespaceStats, Pointer, Segment, SegmentManifest, Settings, SettingsDirectory, TagBlock, TagDeletion,
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
            Lease,
            LeaseBoard,
            TagBlock,
            HourStats,
            Settings,
            Meta,
            SettingsDirectory,
            TagDeletion,
            Answer,
        ]
        .into_iter()
        .find(|known| *known as i128 == kind)
    }

    /// The key as text, which a caller sends back to continue.
    pub fn to_cursor(self) -> String {
        self.0.to_string()
    }

    /// Reads the key from a caller's text. Errors: `InvalidRequest`.
    pub fn from_cursor(cursor: &str) -> Result<Self, Error> {
        let refused = || Error::invalid("cursor: not a cursor of this operation", "send the last reply's `cursor`");
        // A key has at most 38 digits, which is the precision of DynamoDB's numbers.
        let digits = cursor.strip_prefix('-').unwrap_or(cursor);
        let key = Some(digits).filter(|digits| digits.len() <= 38).and_then(|_| cursor.parse().ok());
        key.map(Self).ok_or_else(refused)
    }

    /// The key as a DynamoDB number.
    pub fn attribute(self) -> AttributeValue {
        AttributeValue::N(self.0.to_string())
    }

    /// Reads the key from a DynamoDB number. `None` if the value is no number of this size.
    pub fn from_attribute(value: &AttributeValue) -> Option<Self> {
        value.as_n().ok()?.parse().ok().map(Self)
    }
}

/// The number of the directory item that holds the name of `namespace`.
fn shard_of(namespace: &Namespace) -> u8 {
    Sha256::digest(namespace.as_str().as_bytes())[0] % DIRECTORY_SHARDS
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
    fn derived_key_of_each_kind_has_kind_and_fits_dynamodb_number() {
        let namespace = Namespace::default();
        let hash = QueryHash::of("q", true);
        let tag = Tag::try_from("t".to_owned()).unwrap();
        for (key, kind) in [
            (RowKey::pointer(&namespace, &hash), DerivedKind::Pointer),
            (RowKey::namespace_stats(&namespace), DerivedKind::NamespaceStats),
            (RowKey::TABLE_STATS, DerivedKind::NamespaceStats),
            (RowKey::idempotency_record(&namespace, "k"), DerivedKind::IdempotencyRecord),
            (RowKey::directory(&namespace), DerivedKind::Directory),
            (RowKey::lease(&namespace, &hash), DerivedKind::Lease),
            (RowKey::lease_board(&namespace, None), DerivedKind::LeaseBoard),
            (RowKey::tag_block(&namespace, &tag, 0), DerivedKind::TagBlock),
            (RowKey::tag_deletion(&namespace, &tag), DerivedKind::TagDeletion),
            (RowKey::hour_stats(None, 0), DerivedKind::HourStats),
            (RowKey::settings(&namespace), DerivedKind::Settings),
            (RowKey::settings_directory(&namespace), DerivedKind::SettingsDirectory),
            (RowKey::META, DerivedKind::Meta),
            (RowKey::answer(EntryId::new(u64::MAX).unwrap()), DerivedKind::Answer),
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
        let id = EntryId::new(u64::MAX);
        assert_eq!(id.map(RowKey::answer).and_then(RowKey::answered_entry), id);
        assert_eq!(RowKey::META.answered_entry(), None);
        assert_eq!(RowKey::COUNTER.entry(), None);
        assert_eq!(RowKey::COUNTER.derived_kind(), None);
        assert_eq!(RowKey::from(EntryId::new(7).unwrap()).derived_kind(), None);
    }

    #[test]
    fn pointer_keys_of_different_namespaces_are_different() {
        let hash = QueryHash::of("q", true);
        let keys: std::collections::HashSet<_> = ["a", "b", "ab", "a/b"]
            .map(|name| RowKey::pointer(&Namespace::try_from(name.to_owned()).unwrap(), &hash))
            .into();
        assert_eq!(keys.len(), 4);
    }

    #[test]
    fn from_cursor_with_other_text_is_refused() {
        for key in [RowKey::from(EntryId::new(7).unwrap()), RowKey::TABLE_STATS, RowKey::WRITER_QUEUE] {
            assert_eq!(RowKey::from_cursor(&key.to_cursor()).unwrap(), key);
        }
        for text in ["", "-", "a", "1.5", &"9".repeat(39)] {
            assert!(RowKey::from_cursor(text).is_err(), "{text:?}");
        }
    }
}

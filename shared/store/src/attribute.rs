//! The names of the table's attributes. They are part of the table's format and never change.

/// The table's primary key.
pub const ID: &str = "id";

// Entries. The first twelve are those of the Python library.

/// The hash key of both indexes.
pub const NAMESPACE: &str = "namespace";
/// The range key of `gsi_hash`.
pub const QUERY_HASH: &str = "query_hash";
/// The query's text.
pub const QUERY: &str = "query";
/// The answer.
pub const RESPONSE: &str = "response";
/// JSON.
pub const METADATA: &str = "metadata";
/// The first vector, little-endian float32.
pub const EMBEDDING: &str = "embedding";
/// 0 to 1.
pub const CONFIDENCE_SCORE: &str = "confidence_score";
/// Epoch seconds.
pub const CREATED_AT: &str = "created_at";
/// Epoch seconds; the range key of `gsi_lru`.
pub const LAST_ACCESSED_AT: &str = "last_accessed_at";
/// A count.
pub const ACCESS_COUNT: &str = "access_count";
/// The epoch second of expiry. DynamoDB's own TTL acts on it.
pub const TTL: &str = "ttl";
/// The context key, 32 bytes.
pub const CONTEXT_KEY: &str = "partition";
/// What the guard compares, encoded by `mneme_guard::ConversationSignature`.
pub const SIGNATURE: &str = "signature";
/// The generation of the first vector, where it is not the cache's base generation.
pub const EMBEDDING_GENERATION: &str = "embedder_era";
/// The second vector, little-endian float32.
pub const NEXT_EMBEDDING: &str = "embedding_next";
/// The generation of the second vector.
pub const NEXT_GENERATION: &str = "next_era";

// Item 0, the counter.

/// The id that the next insert takes.
pub const NEXT_ID: &str = "next_id";
/// How many mutations were committed.
pub const VERSION: &str = "version_counter";
/// The active embedder's fingerprint.
pub const FINGERPRINT: &str = "embedder_fingerprint";
/// The dimension of the active embedder's vectors.
pub const DIM: &str = "embedder_dim";
/// A map of settings.
pub const META: &str = "meta";
/// A map from namespace to `max_entries`.
pub const QUOTAS: &str = "quotas";
/// The active embedder's generation.
pub const ACTIVE_GENERATION: &str = "embedder_era";
/// The generation of first vectors that name none.
pub const BASE_GENERATION: &str = "base_era";
/// The highest generation that was given out.
pub const LAST_GENERATION: &str = "last_era";
/// How often the active embedder was switched.
pub const SWITCHES: &str = "embedder_switches";
/// The second embedder's generation, during a move.
pub const SECOND_GENERATION: &str = "reembed_era";
/// The second embedder's fingerprint.
pub const SECOND_FINGERPRINT: &str = "reembed_fingerprint";
/// The dimension of the second embedder's vectors.
pub const SECOND_DIM: &str = "reembed_dim";
/// Present while the second embedder's vectors are being removed.
pub const SECOND_ENDING: &str = "reembed_ending";

// Derived items.

/// The entry's id, in pointers and idempotency records.
pub const ENTRY_ID: &str = "entry_id";
/// Whether the put created an entry, in idempotency records.
pub const CREATED: &str = "created";
/// A number of entries, in statistics and segments.
pub const ENTRIES: &str = "entries";
/// A namespace's name, in statistics.
pub const NAME: &str = "name";
/// Whether `entries` includes every row, in statistics.
pub const COUNTED: &str = "counted";
/// Whether an entry with a time to live was ever written, in statistics.
pub const HAS_TTL: &str = "has_ttl";
/// A set of namespaces, in the directory.
pub const NAMES: &str = "names";
/// The last ticket given out, in the writer queue.
pub const ISSUED: &str = "issued";
/// When it was given out, epoch milliseconds.
pub const ISSUED_AT: &str = "issued_at";
/// The last ticket released, in the writer queue.
pub const SERVED: &str = "served";
/// When it was released, epoch milliseconds.
pub const SERVED_AT: &str = "served_at";
/// Where the next `vacuum` goes on.
pub const CURSOR: &str = "cursor";
/// What a move is doing, in its progress.
pub const PHASE: &str = "phase";
/// The version of the basis, in segment manifests.
pub const BASIS_VERSION: &str = "generation";
/// In how many items the basis is stored, in segment manifests.
pub const BASIS_PARTS: &str = "basis_parts";
/// How many ranges of ids are covered, in segment manifests.
pub const RANGES: &str = "ranges";
/// Which ranges hold no entry, in segment manifests.
pub const EMPTY_RANGES: &str = "emptied";
/// A part of a basis.
pub const BYTES: &str = "bytes";

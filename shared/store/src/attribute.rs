//! The names of the table's attributes. They are part of the table's format and never change.

/// The table's primary key: 0 for the counter, from 1 on for entries, below 0 for derived items.
pub const ID: &str = "id";

// Entries. The Python library writes all of these up to `ttl`, except `query`.

/// The partition key of both indexes.
pub const NAMESPACE: &str = "namespace";
/// The sort key of `gsi_hash`: 64 hexadecimal digits.
pub const QUERY_HASH: &str = "query_hash";
/// The text of the query. It is absent if the cache stores only the hash.
pub const QUERY: &str = "query";
/// The stored answer, a text.
pub const RESPONSE: &str = "response";
/// A JSON object as text.
pub const METADATA: &str = "metadata";
/// The first vector, little-endian float32.
pub const EMBEDDING: &str = "embedding";
/// The caller's trust in the answer, from 0 to 1.
pub const CONFIDENCE_SCORE: &str = "confidence_score";
/// The time of the put, in epoch seconds.
pub const CREATED_AT: &str = "created_at";
/// The time of the last recorded access, in epoch seconds; the sort key of `gsi_lru`.
pub const LAST_ACCESSED_AT: &str = "last_accessed_at";
/// The number of recorded accesses.
pub const ACCESS_COUNT: &str = "access_count";
/// The epoch second of expiry. DynamoDB's own TTL deletes by it.
pub const TTL: &str = "ttl";
/// The entry's tags, a list of texts in ascending order. It is absent if there are none.
pub const TAGS: &str = "tags";
/// What the answer cost, a JSON object as text. It is absent if the caller did not say.
pub const USAGE: &str = "usage";
/// The name of the caller who put the entry.
pub const STORED_BY: &str = "stored_by";
/// The stamp of the answer item, 16 bytes, in an entry and in its answer item. An entry with it has neither `response`
/// nor `metadata`.
pub const ANSWER_STAMP: &str = "answer";
/// The bytes of the response and the metadata before compression, in an entry with an answer item.
pub const ANSWER_BYTES: &str = "answer_bytes";
/// Present in an entry whose answer item holds a response that is not served: an empty one, or a stored failure.
pub const ANSWER_REFUSED: &str = "answer_refused";
/// The context key, 32 bytes.
pub const CONTEXT_KEY: &str = "partition";
/// The signature for the guard, encoded by `mneme_guard::ConversationSignature`.
pub const SIGNATURE: &str = "signature";
/// The generation of the first vector. If it is absent, the cache's base generation applies.
pub const EMBEDDING_GENERATION: &str = "embedder_era";
/// The second vector, little-endian float32.
pub const NEXT_EMBEDDING: &str = "embedding_next";
/// The generation of the second vector.
pub const NEXT_GENERATION: &str = "next_era";
/// The hash of what an embedder did not read of the query, 16 bytes.
pub const UNREAD: &str = "unread";
/// The attributes that hold the vectors of an entry, and what they do not stand for.
pub const VECTOR_ATTRIBUTES: [&str; 5] = [EMBEDDING, EMBEDDING_GENERATION, NEXT_EMBEDDING, NEXT_GENERATION, UNREAD];

// Item 0, the counter.

/// The id that the next insert takes.
pub const NEXT_ID: &str = "next_id";
/// The number of committed mutations.
pub const VERSION: &str = "version_counter";
/// The active embedder's fingerprint.
pub const FINGERPRINT: &str = "embedder_fingerprint";
/// The dimension of the active embedder's vectors.
pub const DIM: &str = "embedder_dim";
/// The `meta` map: texts by key.
pub const META: &str = "meta";
/// A map from namespace to `max_entries`. It holds quotas in tables that are shared with the Python library, and in
/// tables of versions before quotas had items of their own.
pub const QUOTAS: &str = "quotas";
/// Whether quotas may be in items of their own, in tables of versions before [`SETTINGS_VERSION`].
pub const HAS_QUOTA_ITEMS: &str = "has_quota_items";
/// The number of changes of the settings of namespaces.
pub const SETTINGS_VERSION: &str = "settings_version";
/// The active embedder's generation.
pub const ACTIVE_GENERATION: &str = "embedder_era";
/// The generation of first vectors in rows that name no generation.
pub const BASE_GENERATION: &str = "base_era";
/// The highest generation that was given out.
pub const LAST_GENERATION: &str = "last_era";
/// The scale of the active embedder's similarities.
pub const SCALE: &str = "embedder_scale";
/// How often the active embedder was switched.
pub const SWITCHES: &str = "embedder_switches";
/// The second embedder's generation, during a move.
pub const SECOND_GENERATION: &str = "reembed_era";
/// The second embedder's fingerprint.
pub const SECOND_FINGERPRINT: &str = "reembed_fingerprint";
/// The dimension of the second embedder's vectors.
pub const SECOND_DIM: &str = "reembed_dim";
/// The scale of the second embedder's similarities.
pub const SECOND_SCALE: &str = "reembed_scale";
/// Present while the second embedder's vectors are being removed.
pub const SECOND_ENDING: &str = "reembed_ending";

// Items with negative keys.

/// What is set for a namespace, as JSON, except the largest number of entries.
pub const SETTINGS: &str = "settings";
/// The largest number of entries, in the settings of a namespace.
pub const MAX_ENTRIES: &str = "max_entries";
/// The map of the `meta` item: texts by key.
pub const VALUES: &str = "values";

/// The response and the metadata as a JSON array, compressed by zlib, in answer items.
pub const COMPRESSED: &str = "compressed";
/// The entry's id, in pointers and idempotency records.
pub const ENTRY_ID: &str = "entry_id";
/// The entries that must not answer the question, in pointers: verdicts as a JSON array.
pub const BARS: &str = "bars";
/// The entry of another question that answers the question, in pointers: a verdict as JSON.
pub const ALIAS: &str = "alias";
/// The signature of the question that [`ALIAS`] is about, in pointers.
pub const ALIAS_SIGNATURE: &str = "alias_signature";
/// Whether the put created an entry, in idempotency records.
pub const CREATED: &str = "created";
/// A digest of the request, in idempotency records.
pub const REQUEST_DIGEST: &str = "request";
/// The token of a lease's holder, in leases and in the slots of lease boards.
pub const LEASE_TOKEN: &str = "lease_token";
/// The epoch millisecond at which a lease ends, in leases and in the slots of lease boards.
pub const LEASED_UNTIL: &str = "leased_until";
/// The key of the lease that a slot of a lease board is about.
pub const LEASE: &str = "lease";
/// The vector of a leased question, in the slots of lease boards: one signed byte for each component.
pub const COARSE_VECTOR: &str = "coarse_vector";
/// The slots of a lease board: one map each, with the attributes above and [`SIGNATURE`].
pub const LEASE_SLOTS: [&str; 16] = [
    "slot_0", "slot_1", "slot_2", "slot_3", "slot_4", "slot_5", "slot_6", "slot_7", "slot_8", "slot_9", "slot_10",
    "slot_11", "slot_12", "slot_13", "slot_14", "slot_15",
];
/// A number of entries, in namespace stats and segments.
pub const ENTRIES: &str = "entries";
/// The name of the namespace, in namespace stats, in settings, and in pointers with verdicts.
pub const NAME: &str = "name";
/// Whether `entries` includes every row, in namespace stats.
pub const COUNTED: &str = "counted";
/// Whether an entry with a time to live was ever written, in namespace stats.
pub const HAS_TTL: &str = "has_ttl";
/// The number of hits of the exact layer, in namespace stats.
pub const HITS_EXACT: &str = "hits_exact";
/// The number of hits of the semantic layer, in namespace stats.
pub const HITS_SEMANTIC: &str = "hits_semantic";
/// The number of misses, in namespace stats.
pub const MISSES: &str = "misses";
/// The number of evicted entries, in namespace stats.
pub const EVICTIONS: &str = "evictions";
/// The number of removed expired entries, in namespace stats.
pub const EXPIRATIONS: &str = "expirations";
/// A set of namespaces, in the directories.
pub const NAMES: &str = "names";
/// The last ticket given out, in the writer queue.
pub const ISSUED: &str = "issued";
/// The time at which the last ticket was given out, in epoch milliseconds.
pub const ISSUED_AT: &str = "issued_at";
/// The nonce of the writer that took the last ticket.
pub const TICKET_NONCE: &str = "ticket_nonce";
/// The last ticket released, in the writer queue.
pub const SERVED: &str = "served";
/// The time at which the last ticket was released, in epoch milliseconds.
pub const SERVED_AT: &str = "served_at";
/// The cursor at which the next `vacuum` continues.
pub const CURSOR: &str = "cursor";
/// The phase of a move, in its progress.
pub const PHASE: &str = "phase";
/// The number of visited ids, in the progress of a move.
pub const VISITED_IDS: &str = "ids";
/// The time spent in a phase in milliseconds, in the progress of a move.
pub const WORKED_MS: &str = "worked_ms";
/// The number of entries with the vectors that they need, in the progress of a move.
pub const READY: &str = "ready";
/// The number of entries that are stored without their query, in the progress of a move.
pub const WITHOUT_QUERY: &str = "without_query";
/// The number of entries that the embedder refused, in the progress of a move.
pub const REFUSED: &str = "refused";
/// The number of entries without room for a second vector, in the progress of a move.
pub const TOO_LARGE: &str = "too_large";
/// The number of entries that the embedder cannot read, in the progress of a move.
pub const NOT_EMBEDDABLE: &str = "not_embeddable";
/// The number of entries that never had a vector, in the progress of a move.
pub const WITHOUT_VECTOR: &str = "without_vector";
/// The version of the basis, in segment manifests.
pub const BASIS_VERSION: &str = "generation";
/// The number of items that hold the basis, in segment manifests.
pub const BASIS_PARTS: &str = "basis_parts";
/// The number of ranges of ids that are covered, in segment manifests.
pub const RANGES: &str = "ranges";
/// A bit set of the ranges that hold no entry, in segment manifests.
pub const EMPTY_RANGES: &str = "emptied";
/// The hour in hours since the epoch, in hour stats.
pub const HOUR: &str = "hour";
/// The number of hits whose entries say what they cost, in hour stats.
pub const HITS_WITH_USAGE: &str = "hits_with_usage";
/// The number of hits whose cost is known, in hour stats.
pub const HITS_WITH_COST: &str = "hits_with_cost";
/// The tokens of prompts that hits saved, in hour stats.
pub const PROMPT_TOKENS: &str = "prompt_tokens";
/// The tokens of answers that hits saved, in hour stats.
pub const COMPLETION_TOKENS: &str = "completion_tokens";
/// The time of model calls that hits saved in milliseconds, in hour stats.
pub const LATENCY_MS: &str = "latency_ms";
/// The cost that hits saved, in millionths, in hour stats.
pub const COST_MICROS: &str = "cost_micros";
/// The number of a range of ids, in tag blocks.
pub const RANGE: &str = "range";
/// The set of positions in the range whose entries have the tag, in tag blocks.
pub const POSITIONS: &str = "positions";
/// The tag, in tag deletions.
pub const TAG: &str = "tag";
/// The counter's next id when a tag deletion was asked for.
pub const BEFORE_ID: &str = "before_id";
/// The time at which a tag deletion was asked for, in epoch seconds.
pub const ASKED_AT: &str = "asked_at";
/// How often `vacuum` has carried out a tag deletion.
pub const VISITS: &str = "visits";
/// The bytes of one part of a basis.
pub const BYTES: &str = "bytes";
/// The namespaces and context keys of the entries, in segments.
pub const SEGMENT_CONTEXTS: &str = "groups";
/// The id, context and hash prefix of each entry, in segments.
pub const SEGMENT_ENTRIES: &str = "facts";
/// The number fingerprint of each entry, in segments.
pub const SEGMENT_FINGERPRINTS: &str = "digests";
/// The version of the number fingerprints, in segments.
pub const SEGMENT_FINGERPRINTS_VERSION: &str = "digests_version";
/// The codes of the vectors, in segments.
pub const SEGMENT_CODES: &str = "codes";

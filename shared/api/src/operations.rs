//! The operations: one declaration of each.
//!
//! The HTTP routes, the function list of `mneme-local` and the output of `mneme-local contract --json` are derived from
//! [`OPERATIONS`]. The checks of `template.yaml` and `openapi.yaml` compare those files with that output.
//!
//! To add an operation, declare it here, list it in [`OPERATIONS`] and add the package `functions/<name>`.

use serde::Serialize;

use crate::access::Scope;
use mneme_model::error::ErrorKind::{
    self, CheckpointError, EmbedderDimensionError, EmbedderError, EmbedderMismatchError, EntryTooLarge,
    IdempotentParameterMismatch, InsufficientScope, Internal, InvalidRequest, NamespaceForbidden, NotCached, NotFound,
    StoreBackendError, Unauthorized, UnsupportedContentEncoding, UpstreamError,
};

use self::EmbedderRole::{Active, Next};
use self::TableAction::{
    BatchGetItem, DeleteItem, DescribeTable, DescribeTimeToLive, GetItem, PutItem, Scan, Stamp, UpdateItem,
};

/// What an operation is called, how it is reached, what it answers and what it needs.
#[derive(Debug, Clone, Copy)]
pub struct OperationSpec {
    /// The function's name. Its package is `mneme-<name>`.
    pub name: &'static str,
    /// What the operation does, in one sentence.
    pub summary: &'static str,
    /// The scope that a caller needs. An action may need a wider one.
    pub scope: Scope,
    /// Its HTTP methods and paths. Empty: the operation is invoked directly only.
    pub endpoints: &'static [Endpoint],
    /// Whether an EventBridge schedule may invoke it.
    pub scheduled: bool,
    /// Whether it has a Function URL, which streams its replies, besides the HTTP API.
    pub has_url: bool,
    /// The errors of the contract that it can answer with, besides [`COMMON_ERRORS`].
    pub errors: &'static [ErrorKind],
    /// The DynamoDB actions that it needs on the table. A transaction needs the permissions of its parts.
    pub table_actions: &'static [TableAction],
    /// The indexes that it queries.
    pub index_queries: &'static [&'static str],
    /// The embedders that it calls.
    pub embedders: &'static [EmbedderRole],
    /// The environment variables that change what it does, besides [`COMMON_VARIABLES`].
    pub variables: &'static [&'static str],
}

impl OperationSpec {
    /// An operation that answers with no error of its own and needs nothing.
    const NOTHING: Self = Self {
        name: "",
        summary: "",
        scope: Scope::Admin,
        endpoints: &[],
        scheduled: false,
        has_url: false,
        errors: &[],
        table_actions: &[],
        index_queries: &[],
        embedders: &[],
        variables: &[],
    };
}

/// One HTTP method and path of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Path template in API Gateway's form: `{name}` matches one path segment.
    pub path: &'static str,
    /// The value of the request's field `action`, for an operation that has such a field.
    pub action: Option<&'static str>,
}

impl Endpoint {
    const fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path, action: None }
    }

    const fn with_action(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// A permission on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TableAction {
    /// `dynamodb:BatchGetItem`.
    BatchGetItem,
    /// `dynamodb:DeleteItem`.
    DeleteItem,
    /// `dynamodb:DescribeTable`.
    DescribeTable,
    /// `dynamodb:DescribeTimeToLive`.
    DescribeTimeToLive,
    /// `dynamodb:GetItem`.
    GetItem,
    /// `dynamodb:PutItem`.
    PutItem,
    /// `dynamodb:Scan`.
    Scan,
    /// `dynamodb:UpdateItem`, limited by `dynamodb:Attributes` to the attributes that `provision` writes.
    Stamp,
    /// `dynamodb:UpdateItem` without that limit.
    UpdateItem,
}

/// Which of the configured embedders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedderRole {
    /// The one of `MNEME_EMBEDDER`.
    Active,
    /// The one of `MNEME_EMBEDDER_NEXT`.
    Next,
}

/// The errors that every operation can answer with. All but `InvalidRequest` and `Internal` occur over HTTP only.
pub const COMMON_ERRORS: &[ErrorKind] =
    &[InvalidRequest, NamespaceForbidden, InsufficientScope, UnsupportedContentEncoding, Internal];

/// The variables that every operation reads: to find, create and open the table, to bind callers to namespaces, and to
/// write metrics.
pub const COMMON_VARIABLES: &[&str] = &[
    "MNEME_TABLE_NAME",
    "MNEME_CREATE_TABLE",
    "MNEME_BILLING_MODE",
    "MNEME_PROVISIONED_CAPACITY",
    "MNEME_GSI_PROJECTION",
    "MNEME_EMBEDDER",
    "MNEME_EMBEDDER_FINGERPRINT",
    "MNEME_EMBEDDER_DIM",
    "MNEME_EMBEDDER_MAX_TOKENS",
    "MNEME_EMBEDDER_NEXT",
    "MNEME_EMBEDDER_NEXT_FINGERPRINT",
    "MNEME_EMBEDDER_NEXT_DIM",
    "MNEME_EMBEDDER_NEXT_MAX_TOKENS",
    "MNEME_MAX_ENTRIES",
    "MNEME_NAMESPACE_CLAIM",
    "MNEME_NAMESPACE_CLAIM_FORM",
    "MNEME_SCOPE_CLAIM",
    "MNEME_METRIC_NAMESPACES",
    "MNEME_TLS_ROOTS",
];

const HASH_INDEX: &str = "gsi_hash";
const LRU_INDEX: &str = "gsi_lru";

/// Every operation, in an order in which each example event of `events/` finds what the earlier ones stored.
pub const OPERATIONS: &[OperationSpec] = &[
    PROVISION, CONSOLE, PUT, LOOKUP, CHAT, FEEDBACK, GET, FIND, LIST, TOUCH, UPDATE, NAMESPACES, QUOTA, SETTINGS, META,
    STATS, HEALTH, VACUUM, CALIBRATE, REEMBED, SNAPSHOT, DELETE, CLEAR,
];

/// The operation `provision`.
pub const PROVISION: OperationSpec = OperationSpec {
    name: "provision",
    summary: "Create the table if that is allowed, and stamp it with the embedder.",
    errors: &[EmbedderMismatchError, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, DescribeTimeToLive, Scan, Stamp],
    ..OperationSpec::NOTHING
};

/// The operation `console`.
pub const CONSOLE: OperationSpec = OperationSpec {
    name: "console",
    scope: Scope::Public,
    summary: "Serve the page for operators.",
    endpoints: &[Endpoint::new("GET", "/console")],
    ..OperationSpec::NOTHING
};

/// The operation `put`.
pub const PUT: OperationSpec = OperationSpec {
    name: "put",
    scope: Scope::Write,
    summary: "Store one answer, or a batch of answers.",
    endpoints: &[Endpoint::new("POST", "/v1/entries")],
    errors: &[
        IdempotentParameterMismatch,
        EmbedderMismatchError,
        EntryTooLarge,
        EmbedderDimensionError,
        EmbedderError,
        StoreBackendError,
    ],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, PutItem, UpdateItem, DeleteItem],
    index_queries: &[HASH_INDEX, LRU_INDEX],
    embedders: &[Active, Next],
    variables: &[
        "MNEME_EMBEDDER_API_KEY",
        "MNEME_EMBEDDER_NEXT_API_KEY",
        "MNEME_MINILM_PATH",
        "MNEME_NORMALIZE",
        "MNEME_STORE_QUERY",
        "MNEME_DEFAULT_TTL_SECS",
        "MNEME_VOLATILE_TTL_SECS",
        "MNEME_TIME_ZONE",
        "MNEME_REFUSE_RESPONSES",
        "MNEME_CALLER_VECTORS",
        "MNEME_PERSONAL",
        "MNEME_MAX_QUERY_BYTES",
        "MNEME_MAX_RESPONSE_BYTES",
        "MNEME_MAX_METADATA_BYTES",
        "MNEME_GUARD",
        "MNEME_TXN_RETRIES",
    ],
    ..OperationSpec::NOTHING
};

/// The operation `lookup`.
pub const LOOKUP: OperationSpec = OperationSpec {
    name: "lookup",
    scope: Scope::Read,
    summary: "Find the answer to one question, or to each of several, or release a lease.",
    endpoints: &[
        Endpoint::new("POST", "/v1/lookup"),
        Endpoint::new("POST", "/v1/lookup/release").with_action("release"),
    ],
    errors: &[EmbedderMismatchError, EntryTooLarge, EmbedderDimensionError, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, UpdateItem],
    index_queries: &[HASH_INDEX],
    embedders: &[Active, Next],
    variables: &[
        "MNEME_EMBEDDER_API_KEY",
        "MNEME_EMBEDDER_NEXT_API_KEY",
        "MNEME_MINILM_PATH",
        "MNEME_NORMALIZE",
        "MNEME_MAX_QUERY_BYTES",
        "MNEME_SIMILARITY_THRESHOLD",
        "MNEME_CONFIDENCE_CUTOFF",
        "MNEME_CONFIDENCE_HALF_LIFE_SECS",
        "MNEME_GUARD",
        "MNEME_GUARD_PER_REQUEST",
        "MNEME_EXPLAIN",
        "MNEME_CROSS_LANGUAGE",
        "MNEME_PERSONAL",
        "MNEME_STALE_CHECK_INTERVAL_MS",
        "MNEME_LOOKUP_BUDGET_MS",
        "MNEME_STALE_IF_ERROR_MS",
        "MNEME_EMBEDDER_TIMEOUT_MS",
        "MNEME_ACCESS_RESOLUTION_SECS",
        "MNEME_LEASES",
        "MNEME_PRICES",
        "MNEME_TXN_RETRIES",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    ],
    ..OperationSpec::NOTHING
};

/// The operation `chat`.
pub const CHAT: OperationSpec = OperationSpec {
    name: "chat",
    scope: Scope::Write,
    summary: "Answer a request of the OpenAI API from the cache, or by the upstream service.",
    endpoints: &[
        Endpoint::new("POST", "/v1/chat/completions"),
        Endpoint::new("POST", "/v1/embeddings"),
        Endpoint::new("GET", "/v1/models"),
    ],
    has_url: true,
    errors: &[Unauthorized, NotCached, UpstreamError, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, PutItem, UpdateItem, DeleteItem],
    index_queries: &[HASH_INDEX, LRU_INDEX],
    embedders: &[Active, Next],
    variables: &[
        "MNEME_UPSTREAM",
        "MNEME_UPSTREAM_API_KEY",
        "MNEME_UPSTREAM_TIMEOUT_MS",
        "MNEME_CHAT_BUDGET_MS",
        "MNEME_CHAT_WAIT_MS",
        "MNEME_LEASES",
        "MNEME_CHAT_KEYS",
        "MNEME_CHAT_TOOL_CALLS",
        "MNEME_EMBEDDER_API_KEY",
        "MNEME_EMBEDDER_NEXT_API_KEY",
        "MNEME_MINILM_PATH",
        "MNEME_NORMALIZE",
        "MNEME_STORE_QUERY",
        "MNEME_MAX_QUERY_BYTES",
        "MNEME_MAX_RESPONSE_BYTES",
        "MNEME_MAX_METADATA_BYTES",
        "MNEME_SIMILARITY_THRESHOLD",
        "MNEME_CONFIDENCE_CUTOFF",
        "MNEME_CONFIDENCE_HALF_LIFE_SECS",
        "MNEME_GUARD",
        "MNEME_CROSS_LANGUAGE",
        "MNEME_PERSONAL",
        "MNEME_STALE_CHECK_INTERVAL_MS",
        "MNEME_LOOKUP_BUDGET_MS",
        "MNEME_STALE_IF_ERROR_MS",
        "MNEME_EMBEDDER_TIMEOUT_MS",
        "MNEME_ACCESS_RESOLUTION_SECS",
        "MNEME_PRICES",
        "MNEME_DEFAULT_TTL_SECS",
        "MNEME_VOLATILE_TTL_SECS",
        "MNEME_TIME_ZONE",
        "MNEME_REFUSE_RESPONSES",
        "MNEME_TXN_RETRIES",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    ],
    ..OperationSpec::NOTHING
};

/// The operation `feedback`.
pub const FEEDBACK: OperationSpec = OperationSpec {
    name: "feedback",
    scope: Scope::Write,
    summary: "Say whether an answer was right for a question.",
    endpoints: &[Endpoint::new("POST", "/v1/feedback")],
    errors: &[NotFound, EntryTooLarge, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, UpdateItem],
    variables: &["MNEME_NORMALIZE", "MNEME_MAX_QUERY_BYTES", "MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `get`.
pub const GET: OperationSpec = OperationSpec {
    name: "get",
    scope: Scope::Read,
    summary: "Read one entry by its id.",
    endpoints: &[Endpoint::new("GET", "/v1/entries/{id}")],
    errors: &[NotFound, StoreBackendError],
    table_actions: &[GetItem, DescribeTable],
    ..OperationSpec::NOTHING
};

/// The operation `find`.
pub const FIND: OperationSpec = OperationSpec {
    name: "find",
    scope: Scope::Read,
    summary: "Read one entry by its namespace and its question's hash.",
    endpoints: &[Endpoint::new("GET", "/v1/namespaces/{namespace}/entries/{query_hash}")],
    errors: &[NotFound, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem],
    index_queries: &[HASH_INDEX],
    ..OperationSpec::NOTHING
};

/// The operation `list`.
pub const LIST: OperationSpec = OperationSpec {
    name: "list",
    scope: Scope::Read,
    summary: "List entries page by page, by id or least recently used first.",
    endpoints: &[Endpoint::new("GET", "/v1/entries")],
    errors: &[StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, Scan],
    index_queries: &[LRU_INDEX],
    ..OperationSpec::NOTHING
};

/// The operation `touch`.
pub const TOUCH: OperationSpec = OperationSpec {
    name: "touch",
    scope: Scope::Write,
    summary: "Record an access to an entry.",
    endpoints: &[Endpoint::new("POST", "/v1/entries/{id}/touch")],
    errors: &[NotFound, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, UpdateItem],
    variables: &["MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `update`.
pub const UPDATE: OperationSpec = OperationSpec {
    name: "update",
    scope: Scope::Write,
    summary: "Change the answer, the metadata, the tags, the confidence or the expiry of an entry.",
    endpoints: &[Endpoint::new("PATCH", "/v1/entries/{id}")],
    errors: &[NotFound, EntryTooLarge, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, PutItem, UpdateItem, DeleteItem],
    variables: &["MNEME_MAX_RESPONSE_BYTES", "MNEME_MAX_METADATA_BYTES", "MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `namespaces`.
pub const NAMESPACES: OperationSpec = OperationSpec {
    name: "namespaces",
    scope: Scope::Read,
    summary: "List the namespaces with their numbers of live entries.",
    endpoints: &[Endpoint::new("GET", "/v1/namespaces")],
    errors: &[StoreBackendError],
    table_actions: &[GetItem, DescribeTable, Scan],
    ..OperationSpec::NOTHING
};

/// The operation `quota`.
pub const QUOTA: OperationSpec = OperationSpec {
    name: "quota",
    scope: Scope::Read,
    summary: "Read, set or remove the maximum number of entries of a namespace.",
    endpoints: &[
        Endpoint::new("GET", "/v1/namespaces/{namespace}/quota").with_action("get"),
        Endpoint::new("PUT", "/v1/namespaces/{namespace}/quota").with_action("set"),
        Endpoint::new("DELETE", "/v1/namespaces/{namespace}/quota").with_action("delete"),
    ],
    errors: &[NotFound, EntryTooLarge, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, PutItem, UpdateItem, DeleteItem],
    variables: &["MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `settings`.
pub const SETTINGS: OperationSpec = OperationSpec {
    name: "settings",
    scope: Scope::Read,
    summary: "Read, set, remove or list what is set for namespaces.",
    endpoints: &[
        Endpoint::new("GET", "/v1/namespaces/{namespace}/settings").with_action("get"),
        Endpoint::new("PUT", "/v1/namespaces/{namespace}/settings").with_action("set"),
        Endpoint::new("DELETE", "/v1/namespaces/{namespace}/settings").with_action("delete"),
        Endpoint::new("GET", "/v1/settings").with_action("list"),
    ],
    errors: &[NotFound, EntryTooLarge, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, PutItem, UpdateItem, DeleteItem],
    variables: &[
        "MNEME_SIMILARITY_THRESHOLD",
        "MNEME_CONFIDENCE_CUTOFF",
        "MNEME_GUARD",
        "MNEME_CROSS_LANGUAGE",
        "MNEME_DEFAULT_TTL_SECS",
        "MNEME_TXN_RETRIES",
    ],
    ..OperationSpec::NOTHING
};

/// The operation `meta`.
pub const META: OperationSpec = OperationSpec {
    name: "meta",
    summary: "Read, set, remove or list values of the cache's `meta` map.",
    endpoints: &[
        Endpoint::new("GET", "/v1/meta/{key}").with_action("get"),
        Endpoint::new("PUT", "/v1/meta/{key}").with_action("set"),
        Endpoint::new("DELETE", "/v1/meta/{key}").with_action("delete"),
        Endpoint::new("GET", "/v1/meta").with_action("list"),
    ],
    errors: &[NotFound, EntryTooLarge, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, PutItem, UpdateItem, DeleteItem],
    variables: &["MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `stats`.
pub const STATS: OperationSpec = OperationSpec {
    name: "stats",
    scope: Scope::Read,
    summary: "Count entries, hits and misses, or show the lookups of a range of time and what they saved.",
    endpoints: &[Endpoint::new("GET", "/v1/stats")],
    errors: &[StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, Scan],
    ..OperationSpec::NOTHING
};

/// The operation `health`.
pub const HEALTH: OperationSpec = OperationSpec {
    name: "health",
    scope: Scope::Read,
    summary: "Tell whether the table is reachable and agrees with the schema and the embedder, and whether the embedder works.",
    endpoints: &[Endpoint::new("GET", "/v1/health")],
    errors: &[StoreBackendError],
    table_actions: &[GetItem, DescribeTable],
    embedders: &[Active, Next],
    variables: &["MNEME_EMBEDDER_API_KEY", "MNEME_EMBEDDER_NEXT_API_KEY", "MNEME_MINILM_PATH"],
    ..OperationSpec::NOTHING
};

/// The operation `vacuum`.
pub const VACUUM: OperationSpec = OperationSpec {
    name: "vacuum",
    summary: "Remove expired entries, enforce the limits on entries, and repair and pack derived items.",
    endpoints: &[Endpoint::new("POST", "/v1/vacuum")],
    scheduled: true,
    errors: &[StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, Scan, PutItem, UpdateItem, DeleteItem],
    index_queries: &[LRU_INDEX],
    variables: &["MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `calibrate`.
pub const CALIBRATE: OperationSpec = OperationSpec {
    name: "calibrate",
    summary: "Find the best similarity threshold for labelled pairs of questions.",
    endpoints: &[Endpoint::new("POST", "/v1/calibrate")],
    errors: &[EntryTooLarge, EmbedderDimensionError, EmbedderError, StoreBackendError],
    embedders: &[Active],
    variables: &[
        "MNEME_EMBEDDER_API_KEY",
        "MNEME_MINILM_PATH",
        "MNEME_NORMALIZE",
        "MNEME_MAX_QUERY_BYTES",
        "MNEME_CONFIDENCE_CUTOFF",
        "MNEME_GUARD",
        "MNEME_CROSS_LANGUAGE",
    ],
    ..OperationSpec::NOTHING
};

/// The operation `reembed`.
pub const REEMBED: OperationSpec = OperationSpec {
    name: "reembed",
    summary: "Move the cache to another embedder while it is served.",
    endpoints: &[Endpoint::new("POST", "/v1/reembed")],
    errors: &[NotFound, EmbedderMismatchError, EmbedderDimensionError, EmbedderError, StoreBackendError],
    table_actions: &[GetItem, BatchGetItem, PutItem, UpdateItem, DeleteItem],
    embedders: &[Active, Next],
    variables: &["MNEME_EMBEDDER_API_KEY", "MNEME_EMBEDDER_NEXT_API_KEY", "MNEME_MINILM_PATH", "MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `snapshot`.
pub const SNAPSHOT: OperationSpec = OperationSpec {
    name: "snapshot",
    summary: "Refuse, and name AWS's own tools for snapshots and for restoring.",
    endpoints: &[Endpoint::new("POST", "/v1/snapshot"), Endpoint::new("POST", "/v1/restore")],
    errors: &[CheckpointError],
    ..OperationSpec::NOTHING
};

/// The operation `delete`.
pub const DELETE: OperationSpec = OperationSpec {
    name: "delete",
    scope: Scope::Write,
    summary: "Delete an entry by its id, or by its namespace and question, or the entries that have a tag.",
    endpoints: &[Endpoint::new("DELETE", "/v1/entries/{id}"), Endpoint::new("POST", "/v1/entries/delete")],
    errors: &[NotFound, EntryTooLarge, StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, UpdateItem, DeleteItem],
    index_queries: &[HASH_INDEX],
    variables: &["MNEME_NORMALIZE", "MNEME_MAX_QUERY_BYTES", "MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

/// The operation `clear`.
pub const CLEAR: OperationSpec = OperationSpec {
    name: "clear",
    summary: "Delete every entry of one namespace, or of all, and on request what else is kept of it.",
    endpoints: &[Endpoint::new("DELETE", "/v1/namespaces"), Endpoint::new("DELETE", "/v1/namespaces/{namespace}")],
    errors: &[StoreBackendError],
    table_actions: &[GetItem, DescribeTable, BatchGetItem, Scan, UpdateItem, DeleteItem],
    variables: &["MNEME_TXN_RETRIES"],
    ..OperationSpec::NOTHING
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn operations_have_distinct_names_and_one_sentence_summaries() {
        let names: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
        assert_eq!(names.len(), OPERATIONS.len());
        for OperationSpec { name, summary, .. } in OPERATIONS {
            assert!(summary.ends_with('.') && summary.matches(". ").count() == 0, "{name}: {summary}");
        }
    }

    #[test]
    fn operations_do_not_repeat_what_all_have_in_common() {
        for OperationSpec { name, errors, variables, .. } in OPERATIONS {
            assert!(errors.iter().all(|error| !COMMON_ERRORS.contains(error)), "{name}");
            assert!(variables.iter().all(|variable| !COMMON_VARIABLES.contains(variable)), "{name}");
        }
    }
}

//! The configuration of a function. It is read from the environment once, at start, and all bad variables are reported
//! together.

mod chat;
mod env;

use mneme_embed::key::KeySource;
use mneme_embed::spec::Spec;

use crate::limits::MAX_TTL_SECS;
use crate::usage::Prices;
pub use chat::ChatConfig;
pub use env::Variable;
use env::{MAIN, RawEnv};

/// How a created table is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// On demand.
    PayPerRequest,
    /// Provisioned capacity, the same for the table and for each GSI.
    Provisioned {
        /// Read capacity units, at least 1.
        read_units: i64,
        /// Write capacity units, at least 1.
        write_units: i64,
    },
}

/// The attributes that the GSIs of a created table hold in addition to the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexProjection {
    /// No further attribute, which makes writes the cheapest.
    KeysOnly,
    /// The whole entry, which the Python library reads from the GSIs.
    All,
}

/// How a claim names namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClaimForm {
    /// The claim is one name, exactly. It is the default because a claim that users choose, such as a user name, must not
    /// be read as a list.
    #[default]
    One,
    /// The claim is a list of percent-encoded names.
    List,
}

/// The claims of a caller's token that say what the caller may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The claim that names the caller's namespaces. `None`: every caller may use all.
    pub namespace: Option<String>,
    /// The form of that claim.
    pub namespace_form: ClaimForm,
    /// The claim that grants scopes. `None`: every caller has all.
    pub scope: Option<String>,
}

/// The accepted form of a claim's name.
const CLAIM_NAME_FORM: &str = "the name of a claim in the callers' tokens";

/// What happens to the vectors that callers send with entries while an embedder is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerVectors {
    /// The functions embed the text, too, and refuse another vector.
    Check,
    /// They are refused.
    Refuse,
    /// They are stored as they came.
    Trust,
}

/// Which questions one lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leases {
    /// There are no leases.
    Off,
    /// Questions of the same text.
    Exact,
    /// Also questions of the same meaning.
    Meaning,
}

/// The accepted form of a table name. Source: DynamoDB Developer Guide, "Naming rules".
const TABLE_NAME_FORM: &str = "a table name: 3 to 255 of a-z A-Z 0-9 _ - .";

/// Lambda sets this variable (Lambda Developer Guide, "Defined runtime environment variables").
const MEMORY_SIZE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// The configuration of one embedder.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedderConfig {
    /// The embedder for texts that are sent without a vector.
    pub spec: Spec,
    /// The source of the embedder's API key.
    pub key: KeySource,
    /// The configured fingerprint, or else the embedder's own. `None` accepts the fingerprint in the table.
    pub fingerprint: Option<String>,
    /// The configured dimension, or else the embedder's own. `None` accepts the dimension in the table.
    pub dim: Option<u32>,
    /// How many tokens of a text the embedder reads: as configured, or else the embedder's own. `None` if callers send
    /// the vectors and nothing is configured; each text then counts as read.
    pub max_tokens: Option<usize>,
}

/// The resolved configuration of one function. `docs/configuration.md` has the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `MNEME_TABLE_NAME`.
    pub table_name: String,
    /// `MNEME_CREATE_TABLE`: whether the first open creates a table that is missing.
    pub create_table: bool,
    /// `MNEME_BILLING_MODE` and `MNEME_PROVISIONED_CAPACITY`.
    pub billing: Billing,
    /// `MNEME_GSI_PROJECTION`.
    pub projection: IndexProjection,
    /// `MNEME_EMBEDDER`, `MNEME_EMBEDDER_API_KEY`, `MNEME_EMBEDDER_FINGERPRINT` and `MNEME_EMBEDDER_DIM`.
    pub embedder: EmbedderConfig,
    /// `MNEME_EMBEDDER_NEXT` and the three variables that start with it: a second embedder, which the instance may
    /// serve while the cache moves from one embedder to the other. `None` without a fingerprint.
    pub next_embedder: Option<EmbedderConfig>,
    /// `MNEME_SIMILARITY_THRESHOLD`, in [-1, 1]: the lowest similarity of a semantic hit.
    pub similarity_threshold: f32,
    /// `MNEME_CONFIDENCE_CUTOFF`, in [0, 1]: the lowest confidence of a semantic hit.
    pub confidence_cutoff: f64,
    /// `MNEME_CONFIDENCE_HALF_LIFE_SECS`: the age in seconds at which the confidence has halved.
    pub confidence_half_life_secs: Option<f64>,
    /// `MNEME_GUARD`: whether the guard is on in namespaces without a meta key for it.
    pub guard: bool,
    /// `MNEME_GUARD_PER_REQUEST`: whether a lookup may switch the guard off for itself.
    pub guard_per_request: bool,
    /// `MNEME_EXPLAIN`: whether callers that a claim binds to namespaces may have a lookup explained.
    pub explains_to_bound_callers: bool,
    /// `MNEME_CROSS_LANGUAGE`: whether a question may get the answer to a question in another language.
    pub cross_language: bool,
    /// `MNEME_DEFAULT_TTL_SECS`.
    pub default_ttl_secs: Option<u64>,
    /// `MNEME_MAX_ENTRIES`: the cap on the entries of the whole table.
    pub max_entries: Option<u64>,
    /// `MNEME_NORMALIZE`.
    pub normalize: bool,
    /// `MNEME_STORE_QUERY`.
    pub store_query: bool,
    /// `MNEME_STALE_CHECK_INTERVAL_MS`.
    pub stale_check_interval_ms: u64,
    /// `MNEME_LOOKUP_BUDGET_MS`: how long a lookup may take, without the time of the embedder.
    pub lookup_budget_ms: u64,
    /// `MNEME_STALE_IF_ERROR_MS`: how old the last known state of item 0 may be that a lookup uses while item 0 does not
    /// answer. 0 uses none.
    pub stale_if_error_ms: u64,
    /// `MNEME_EMBEDDER_TIMEOUT_MS`: how long a lookup waits for the embedder.
    pub embedder_timeout_ms: u64,
    /// `MNEME_ACCESS_RESOLUTION_SECS`.
    pub access_resolution_secs: u64,
    /// `MNEME_TXN_RETRIES`: how often a write that lost the counter race is tried again.
    pub txn_retries: u32,
    /// `MNEME_NAMESPACE_CLAIM`, `MNEME_NAMESPACE_CLAIM_FORM` and `MNEME_SCOPE_CLAIM`.
    pub claims: Claims,
    /// `MNEME_METRIC_NAMESPACES`: how many namespaces get their own metrics from an instance.
    pub metric_namespaces: usize,
    /// `MNEME_MAX_QUERY_BYTES`.
    pub max_query_bytes: usize,
    /// `MNEME_MAX_RESPONSE_BYTES`. `None`: only the size of an item limits the response.
    pub max_response_bytes: Option<usize>,
    /// `MNEME_MAX_METADATA_BYTES`: the cap on the metadata as JSON.
    pub max_metadata_bytes: usize,
    /// `MNEME_CALLER_VECTORS`.
    pub caller_vectors: CallerVectors,
    /// `MNEME_LEASES`.
    pub leases: Leases,
    /// `MNEME_REFUSE_RESPONSES`: regular expressions, one a line. A response that one of them fits is not stored.
    pub refuse_responses: Option<String>,
    /// `MNEME_PERSONAL`: whether personal questions are neither stored nor looked up.
    pub refuse_personal: bool,
    /// `MNEME_VOLATILE_TTL_SECS`: the longest time to live of an answer that depends on the time of asking, if the put
    /// names none.
    pub volatile_ttl_secs: u64,
    /// `MNEME_TIME_ZONE`: the IANA name of the time zone at whose midnight such an answer expires at the latest.
    pub time_zone: Option<String>,
    /// What only `chat` reads.
    pub chat: ChatConfig,
    /// `MNEME_PRICES`: the prices of tokens by model. Without it, no hit has a cost.
    pub prices: Prices,
    /// `MNEME_TLS_ROOTS`: true if connections to AWS trust only the pinned roots, false if they trust the system's.
    pub pins_tls_roots: bool,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`: the memory of the function in MB. `None` outside Lambda.
    pub memory_mb: Option<u64>,
}

/// The bad variables, one sentence each, with the accepted form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the configuration from the environment of this process. Errors: as [`Config::from_variables`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Reads the configuration from those of `variables` that start with `MNEME_`, and from Lambda's memory size.
    ///
    /// Errors: every bad variable, with its accepted form.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut env = RawEnv {
            variables: variables
                .into_iter()
                .filter(|(name, _)| name.starts_with("MNEME_") || name == MEMORY_SIZE)
                .collect(),
            ..RawEnv::default()
        };
        let config = Self::read(&mut env);
        for name in env.variables.keys() {
            // This is not an error: another version of the function or another tool may read the variable.
            tracing::warn!(variable = %name, "this function does not know this MNEME_ variable");
        }
        if env.complaints.is_empty() { Ok(config) } else { Err(ConfigError(env.complaints)) }
    }

    /// Lists every variable with its default and its accepted form.
    pub fn variables() -> Vec<Variable> {
        let mut env = RawEnv { described: Some(Vec::new()), ..RawEnv::default() };
        Self::read(&mut env);
        env.described.unwrap_or_default()
    }

    /// Reads every variable. A bad one gets its default, and a complaint in `env`.
    fn read(env: &mut RawEnv) -> Self {
        let table_name = env.take("MNEME_TABLE_NAME", None, &TABLE_NAME_FORM).unwrap_or_default();
        let well_named = (3..=255).contains(&table_name.len())
            && table_name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if !well_named {
            env.complaints.push(format!("MNEME_TABLE_NAME={table_name:?} is not {TABLE_NAME_FORM}"));
        }
        let positive = "a whole number from 1";
        let from_zero = "a whole number from 0";
        let config = Self {
            table_name,
            create_table: env.switch("MNEME_CREATE_TABLE", false),
            billing: env.billing(),
            projection: env.one_of(
                "MNEME_GSI_PROJECTION",
                IndexProjection::KeysOnly,
                &[("KEYS_ONLY", IndexProjection::KeysOnly), ("ALL", IndexProjection::All)],
            ),
            embedder: env.embedder(&MAIN),
            next_embedder: env.next_embedder(),
            similarity_threshold: env
                .parse("MNEME_SIMILARITY_THRESHOLD", 0.85, "a number from -1 to 1", |t| (-1.0..=1.0).contains(t)),
            confidence_cutoff: env
                .parse("MNEME_CONFIDENCE_CUTOFF", 0.7, "a number from 0 to 1", |c| (0.0..=1.0).contains(c)),
            confidence_half_life_secs: env.optional(
                "MNEME_CONFIDENCE_HALF_LIFE_SECS",
                "a number of seconds above 0",
                |h: &f64| *h > 0.0 && h.is_finite(),
            ),
            guard: env.one_of("MNEME_GUARD", true, &[("on", true), ("off", false)]),
            guard_per_request: env.switch("MNEME_GUARD_PER_REQUEST", false),
            explains_to_bound_callers: env.one_of("MNEME_EXPLAIN", false, &[("unbound", false), ("all", true)]),
            cross_language: env.switch("MNEME_CROSS_LANGUAGE", false),
            default_ttl_secs: env.optional(
                "MNEME_DEFAULT_TTL_SECS",
                "a whole number of seconds from 1 to 3153600000",
                |t| (1..=MAX_TTL_SECS).contains(t),
            ),
            max_entries: env.optional("MNEME_MAX_ENTRIES", positive, |n| *n >= 1),
            normalize: env.switch("MNEME_NORMALIZE", true),
            store_query: env.switch("MNEME_STORE_QUERY", true),
            stale_check_interval_ms: env.parse("MNEME_STALE_CHECK_INTERVAL_MS", 0, from_zero, |_| true),
            lookup_budget_ms: env.parse("MNEME_LOOKUP_BUDGET_MS", 300, positive, |ms| *ms >= 1),
            stale_if_error_ms: env.parse("MNEME_STALE_IF_ERROR_MS", 0, from_zero, |_| true),
            embedder_timeout_ms: env.parse("MNEME_EMBEDDER_TIMEOUT_MS", 2000, positive, |ms| *ms >= 1),
            access_resolution_secs: env.parse("MNEME_ACCESS_RESOLUTION_SECS", 300, from_zero, |_| true),
            txn_retries: env.parse("MNEME_TXN_RETRIES", 5, "a whole number from 0 to 100", |n| *n <= 100),
            claims: Claims {
                namespace: env.take("MNEME_NAMESPACE_CLAIM", None, &CLAIM_NAME_FORM),
                namespace_form: env.one_of(
                    "MNEME_NAMESPACE_CLAIM_FORM",
                    ClaimForm::One,
                    &[("one", ClaimForm::One), ("list", ClaimForm::List)],
                ),
                scope: env.take("MNEME_SCOPE_CLAIM", None, &CLAIM_NAME_FORM),
            },
            metric_namespaces: env
                .parse("MNEME_METRIC_NAMESPACES", 10, "a whole number from 0 to 1000", |n| *n <= 1000),
            max_query_bytes: env.parse("MNEME_MAX_QUERY_BYTES", 32_768, positive, |n| *n >= 1),
            max_response_bytes: env.optional("MNEME_MAX_RESPONSE_BYTES", positive, |n| *n >= 1),
            max_metadata_bytes: env.parse("MNEME_MAX_METADATA_BYTES", 65_536, positive, |n| *n >= 1),
            caller_vectors: env.one_of(
                "MNEME_CALLER_VECTORS",
                CallerVectors::Check,
                &[("check", CallerVectors::Check), ("refuse", CallerVectors::Refuse), ("trust", CallerVectors::Trust)],
            ),
            leases: env.one_of(
                "MNEME_LEASES",
                Leases::Meaning,
                &[("off", Leases::Off), ("exact", Leases::Exact), ("meaning", Leases::Meaning)],
            ),
            refuse_responses: env.take("MNEME_REFUSE_RESPONSES", None, &"regular expressions, one a line"),
            refuse_personal: env.one_of("MNEME_PERSONAL", false, &[("store", false), ("refuse", true)]),
            volatile_ttl_secs: env.parse(
                "MNEME_VOLATILE_TTL_SECS",
                3600,
                "a whole number of seconds from 1 to 3153600000",
                |t| (1..=MAX_TTL_SECS).contains(t),
            ),
            time_zone: env.take("MNEME_TIME_ZONE", None, &"the name of a time zone of the IANA, such as Europe/Vienna"),
            chat: env.chat(),
            prices: env.optional("MNEME_PRICES", Prices::FORM, |_| true).unwrap_or_default(),
            pins_tls_roots: env.one_of("MNEME_TLS_ROOTS", true, &[("pinned", true), ("system", false)]),
            memory_mb: env.optional(MEMORY_SIZE, positive, |n| *n >= 1),
        };
        // The embedder `minilm` reads this variable itself when it loads its model.
        env.take("MNEME_MINILM_PATH", None, &"a directory that holds the model of `minilm`");
        config
    }
}

impl Config {
    /// Whether the Python library uses the table, too. It reads whole entries from the indexes, so rows and item 0 keep
    /// the layout that it knows.
    pub fn is_shared_with_library(&self) -> bool {
        self.projection == IndexProjection::All
    }

    /// A configuration with the table name `cache` and these variables, for tests. Panics on a bad variable.
    ///
    /// No feature of the crate guards it, because `cargo test` would then build every crate twice, with and without.
    #[doc(hidden)]
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let all = [("MNEME_TABLE_NAME", "cache")].into_iter().chain(variables.iter().copied());
        Self::from_variables(all.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .expect("variables as they should be")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn config_without_optional_variables_has_documented_defaults() {
        let config = read(&[("MNEME_TABLE_NAME", "cache"), ("PATH", "/bin")]).unwrap();
        assert_eq!(config.similarity_threshold, 0.85);
        assert_eq!(config.confidence_cutoff, 0.7);
        assert_eq!(config.billing, Billing::PayPerRequest);
        assert_eq!(config.projection, IndexProjection::KeysOnly);
        assert_eq!((config.txn_retries, config.access_resolution_secs), (5, 300));
        assert_eq!((config.max_query_bytes, config.max_metadata_bytes), (32_768, 65_536));
        assert!(
            config.normalize && config.store_query && config.guard && !config.create_table && !config.guard_per_request
        );
    }

    #[test]
    fn variables_list_each_name_once_with_default_and_form() {
        let variables = Config::variables();
        let names: std::collections::BTreeSet<_> = variables.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), variables.len());
        let described = |name: &str| {
            let variable = variables.iter().find(|variable| variable.name == name).unwrap();
            (variable.default.as_deref(), variable.accepted.as_str())
        };
        assert_eq!(described("MNEME_SIMILARITY_THRESHOLD"), (Some("0.85"), "a number from -1 to 1"));
        assert_eq!(described("MNEME_GUARD"), (Some("on"), "on or off"));
        assert_eq!(described("MNEME_GSI_PROJECTION"), (Some("KEYS_ONLY"), "KEYS_ONLY or ALL"));
        assert_eq!(described("MNEME_MAX_ENTRIES"), (None, "a whole number from 1"));
        assert_eq!(described("MNEME_EMBEDDER"), (Some("none"), mneme_embed::spec::FORMS));
    }

    #[test]
    fn config_with_many_bad_variables_reports_all_of_them() {
        let ConfigError(complaints) = read(&[
            ("MNEME_CREATE_TABLE", "yes"),
            ("MNEME_BILLING_MODE", "PROVISIONED"),
            ("MNEME_GSI_PROJECTION", "SOME"),
            ("MNEME_EMBEDDER_DIM", "0"),
            ("MNEME_SIMILARITY_THRESHOLD", "NaN"),
            ("MNEME_CONFIDENCE_CUTOFF", "1.5"),
            ("MNEME_CONFIDENCE_HALF_LIFE_SECS", "inf"),
            ("MNEME_DEFAULT_TTL_SECS", "0"),
            ("MNEME_MAX_ENTRIES", "-1"),
            ("MNEME_NORMALIZE", "maybe"),
            ("MNEME_GUARD", "true"),
            ("MNEME_GUARD_PER_REQUEST", "on"),
            ("MNEME_CROSS_LANGUAGE", "fr"),
            ("MNEME_TXN_RETRIES", "1000"),
            ("MNEME_MAX_QUERY_BYTES", "1e3"),
            ("MNEME_TLS_ROOTS", "none"),
        ])
        .unwrap_err();
        assert_eq!(complaints.len(), 17, "{complaints:#?}");
        assert!(complaints[0].contains("MNEME_TABLE_NAME"));
        assert!(complaints.iter().any(|c| c.contains("requires MNEME_PROVISIONED_CAPACITY")));
    }

    #[test]
    fn embedder_config_without_fingerprint_and_dim_has_those_of_its_spec() {
        let table = ("MNEME_TABLE_NAME", "cache");
        let titan = ("MNEME_EMBEDDER", "bedrock:amazon.titan-embed-text-v2:0:512");
        let config = read(&[table, titan]).unwrap();
        assert_eq!(
            (config.embedder.fingerprint.clone(), config.embedder.dim),
            (config.embedder.spec.fingerprint(), Some(512))
        );
        assert_eq!(config.next_embedder, None);
        let configured = [table, titan, ("MNEME_EMBEDDER_FINGERPRINT", "ours"), ("MNEME_EMBEDDER_DIM", "512")];
        let embedder = read(&configured).unwrap().embedder;
        assert_eq!((embedder.fingerprint.as_deref(), embedder.dim), (Some("ours"), Some(512)));
    }

    #[test]
    fn next_embedder_config_requires_fingerprint_or_spec() {
        let table = ("MNEME_TABLE_NAME", "cache");
        let titan = ("MNEME_EMBEDDER", "bedrock:amazon.titan-embed-text-v2:0:512");
        let next = read(&[table, titan, ("MNEME_EMBEDDER_NEXT", "minilm")]).unwrap().next_embedder.unwrap();
        assert_eq!((next.fingerprint.as_deref(), next.dim), (Some("minilm:all-MiniLM-L6-v2/1"), Some(384)));
        let without_spec = [table, ("MNEME_EMBEDDER_NEXT_FINGERPRINT", "theirs")];
        let next = read(&without_spec).unwrap().next_embedder.unwrap();
        assert_eq!((next.fingerprint.as_deref(), next.spec), (Some("theirs"), Spec::None));
        let ConfigError(complaints) = read(&[table, ("MNEME_EMBEDDER_NEXT_DIM", "4")]).unwrap_err();
        assert!(complaints[0].contains("requires MNEME_EMBEDDER_NEXT"), "{complaints:?}");
    }

    #[test]
    fn embedder_config_with_contradiction_or_secret_is_refused_without_showing_the_secret() {
        let table = ("MNEME_TABLE_NAME", "cache");
        let titan = ("MNEME_EMBEDDER", "bedrock:amazon.titan-embed-text-v2:0:512");
        let ConfigError(complaints) = read(&[table, titan, ("MNEME_EMBEDDER_DIM", "1024")]).unwrap_err();
        assert!(complaints[0].contains("MNEME_EMBEDDER_DIM=1024 is not the 512"), "{complaints:?}");
        let ConfigError(complaints) = read(&[table, titan, ("MNEME_EMBEDDER_API_KEY", "sk-secret")]).unwrap_err();
        assert!(complaints[0].contains("is only for MNEME_EMBEDDER=openai") && !complaints[0].contains("sk-secret"));
        let bad = [table, ("MNEME_EMBEDDER", "titan"), ("MNEME_EMBEDDER_API_KEY", "sk secret")];
        let ConfigError(complaints) = read(&bad).unwrap_err();
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(
            complaints.iter().all(|complaint| complaint.contains("accepted: ") && !complaint.contains("sk secret"))
        );
    }

    #[test]
    fn key_for_a_service_over_plain_http_is_refused_except_on_this_machine() {
        let over = |url: &str| {
            let spec = format!("openai:m@{url}");
            let all =
                [("MNEME_TABLE_NAME", "cache"), ("MNEME_EMBEDDER", &spec), ("MNEME_EMBEDDER_API_KEY", "sk-secret")];
            read(&all)
        };
        let ConfigError(complaints) = over("http://10.0.0.7/v1").unwrap_err();
        assert!(complaints[0].contains("in clear text") && !complaints[0].contains("sk-secret"), "{complaints:?}");
        over("http://127.0.0.1:11434/v1").unwrap();
        over("https://10.0.0.7/v1").unwrap();
        read(&[("MNEME_TABLE_NAME", "cache"), ("MNEME_EMBEDDER", "openai:m@http://10.0.0.7/v1")]).unwrap();
    }

    #[test]
    fn provisioned_capacity_without_provisioned_billing_is_refused() {
        let table = ("MNEME_TABLE_NAME", "cache");
        let mode = ("MNEME_BILLING_MODE", "PROVISIONED");
        let config = read(&[table, mode, ("MNEME_PROVISIONED_CAPACITY", "5, 7")]).unwrap();
        assert_eq!(config.billing, Billing::Provisioned { read_units: 5, write_units: 7 });
        assert!(read(&[table, mode, ("MNEME_PROVISIONED_CAPACITY", "5")]).is_err());
        assert!(read(&[table, ("MNEME_PROVISIONED_CAPACITY", "5,7")]).is_err());
        assert!(read(&[table, ("MNEME_PROVISIONED_CAPACITY", "")]).is_ok());
    }
}

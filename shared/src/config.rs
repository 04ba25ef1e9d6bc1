//! Configuration: read from the environment once, at start; every bad variable is reported at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use mneme_embed::key::KeySource;
use mneme_embed::spec::Spec;
use serde::Serialize;

/// How a created table is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// On demand.
    PayPerRequest,
    /// Provisioned read and write capacity units, for the table and for each GSI.
    Provisioned {
        /// Read capacity units.
        read_units: i64,
        /// Write capacity units.
        write_units: i64,
    },
}

/// What a created table's GSIs hold beside their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexProjection {
    /// Nothing: the cheapest to write.
    KeysOnly,
    /// The whole entry, which the Python library reads from them.
    All,
}

/// The accepted form of a table's provisioned capacity.
const CAPACITY_FORM: &str = "rcu,wcu: two whole numbers from 1";

/// The accepted form of a table's name. Source: DynamoDB Developer Guide, "Naming rules".
const TABLE_NAME_FORM: &str = "a table name: 3 to 255 of a-z A-Z 0-9 _ - .";

/// Lambda's own variable (Lambda Developer Guide, "Defined runtime environment variables").
const MEMORY_SIZE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// The variables of one embedder.
struct EmbedderVariables {
    spec: &'static str,
    key: &'static str,
    fingerprint: &'static str,
    dim: &'static str,
}

/// Those of the embedder that the cache has.
const MAIN: EmbedderVariables = EmbedderVariables {
    spec: "MNEME_EMBEDDER",
    key: "MNEME_EMBEDDER_API_KEY",
    fingerprint: "MNEME_EMBEDDER_FINGERPRINT",
    dim: "MNEME_EMBEDDER_DIM",
};
/// Those of the one that it moves to.
const NEXT: EmbedderVariables = EmbedderVariables {
    spec: "MNEME_EMBEDDER_NEXT",
    key: "MNEME_EMBEDDER_NEXT_API_KEY",
    fingerprint: "MNEME_EMBEDDER_NEXT_FINGERPRINT",
    dim: "MNEME_EMBEDDER_NEXT_DIM",
};

/// An embedder as the configuration names it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedderConfig {
    /// What embeds the texts that come without a vector.
    pub spec: Spec,
    /// Where its key is.
    pub key: KeySource,
    /// As given, or else the embedder's own; `None`: whatever the table is stamped with.
    pub fingerprint: Option<String>,
    /// As given, or else the embedder's own; `None`: whatever the table is stamped with.
    pub dim: Option<u32>,
}

/// The resolved configuration of one function. Defaults: the README's table.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `MNEME_TABLE_NAME`.
    pub table_name: String,
    /// `MNEME_CREATE_TABLE`: create the table on first open when it is missing.
    pub create_table: bool,
    /// `MNEME_BILLING_MODE` and `MNEME_PROVISIONED_CAPACITY`.
    pub billing: Billing,
    /// `MNEME_GSI_PROJECTION`.
    pub projection: IndexProjection,
    /// `MNEME_EMBEDDER`, and what goes with it.
    pub embedder: EmbedderConfig,
    /// `MNEME_EMBEDDER_NEXT`, and what goes with it: a second embedder that the instance may serve, while the cache moves from
    /// one to the other; `None` without a fingerprint.
    pub next_embedder: Option<EmbedderConfig>,
    /// `MNEME_SIMILARITY_THRESHOLD`, in [-1, 1]; a semantic hit is at least this similar.
    pub similarity_threshold: f32,
    /// `MNEME_CONFIDENCE_CUTOFF`, in [0, 1]: semantic hits below it are misses.
    pub confidence_cutoff: f64,
    /// `MNEME_CONFIDENCE_HALF_LIFE_SECS`: the age at which confidence has halved.
    pub confidence_half_life_secs: Option<f64>,
    /// `MNEME_GUARD`: whether similar questions are compared by what they ask, where a namespace's meta says nothing else.
    pub guard: bool,
    /// `MNEME_GUARD_PER_REQUEST`: whether a lookup may switch the guard off for itself.
    pub guard_per_request: bool,
    /// `MNEME_DEFAULT_TTL_SECS`.
    pub default_ttl_secs: Option<u64>,
    /// `MNEME_MAX_ENTRIES`: the whole-table cap.
    pub max_entries: Option<u64>,
    /// `MNEME_NORMALIZE`.
    pub normalize: bool,
    /// `MNEME_STORE_QUERY`.
    pub store_query: bool,
    /// `MNEME_STALE_CHECK_INTERVAL_MS`.
    pub stale_check_interval_ms: u64,
    /// `MNEME_ACCESS_RESOLUTION_SECS`.
    pub access_resolution_secs: u64,
    /// `MNEME_TXN_RETRIES`: how often a write that lost the counter race tries again.
    pub txn_retries: u32,
    /// `MNEME_NAMESPACE_CLAIM`: the claim of a caller's token that lists the namespaces it may use; `None`: all.
    pub namespace_claim: Option<String>,
    /// `MNEME_METRIC_NAMESPACES`: how many namespaces an instance gives metrics of their own.
    pub metric_namespaces: usize,
    /// `MNEME_MAX_QUERY_BYTES`.
    pub max_query_bytes: usize,
    /// `MNEME_MAX_RESPONSE_BYTES`; `None`: what fits one item.
    pub max_response_bytes: Option<usize>,
    /// `MNEME_MAX_METADATA_BYTES`, of the metadata as JSON.
    pub max_metadata_bytes: usize,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`: the memory that the function has, in MB; `None` outside Lambda.
    pub memory_mb: Option<u64>,
}

/// The variables that are not as they should be, one sentence each.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

/// What one variable accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The value that an unset variable counts as; `None`: the feature is off, or its value comes from elsewhere.
    pub default: Option<String>,
    /// The accepted form, in words.
    pub accepted: String,
}

/// The unparsed `MNEME_*` variables and the complaints about those read so far.
#[derive(Default)]
struct RawEnv {
    variables: BTreeMap<String, String>,
    complaints: Vec<String>,
    /// The variables asked for so far, where somebody wants the list.
    described: Option<Vec<Variable>>,
}

impl RawEnv {
    /// Takes a variable out; an empty one counts as not set, as in a template's unset parameter.
    fn take(&mut self, name: &'static str, default: Option<&dyn Display>, form: &dyn Display) -> Option<String> {
        if let Some(described) = &mut self.described {
            let default = default.map(ToString::to_string);
            described.push(Variable { name, default, accepted: form.to_string() });
        }
        self.variables.remove(name).filter(|value| !value.is_empty())
    }

    /// The variable as a `T` for which `accept` holds, or `default`; `form` says what is accepted.
    fn parse<T: FromStr + Display>(
        &mut self,
        name: &'static str,
        default: T,
        form: &str,
        accept: impl Fn(&T) -> bool,
    ) -> T {
        let text = self.take(name, Some(&default), &form);
        self.accept(name, text, form, accept).unwrap_or(default)
    }

    /// The variable as a `T` for which `accept` holds; `None` when it is not set.
    fn optional<T: FromStr>(&mut self, name: &'static str, form: &str, accept: impl Fn(&T) -> bool) -> Option<T> {
        let text = self.take(name, None, &form);
        self.accept(name, text, form, accept)
    }

    fn accept<T: FromStr>(
        &mut self,
        name: &str,
        text: Option<String>,
        form: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let text = text?;
        match text.trim().parse::<T>() {
            Ok(value) if accept(&value) => Some(value),
            _ => {
                self.complaints.push(format!("{name}={text:?} is not {form}"));
                None
            }
        }
    }

    fn one_of<T: Copy + PartialEq>(&mut self, name: &'static str, default: T, accepted: &[(&'static str, T)]) -> T {
        let words = || accepted.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        let default_word = accepted.iter().find(|(_, value)| *value == default).map(|(word, _)| word as &dyn Display);
        let form = if self.described.is_some() { words() } else { String::new() };
        let Some(text) = self.take(name, default_word, &form) else { return default };
        match accepted.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim())) {
            Some((_, value)) => *value,
            None => {
                self.complaints.push(format!("{name}={text:?} is not {}", words()));
                default
            }
        }
    }

    fn switch(&mut self, name: &'static str, default: bool) -> bool {
        self.one_of(name, default, &[("true", true), ("false", false), ("1", true), ("0", false)])
    }

    fn embedder(&mut self, of: &EmbedderVariables) -> EmbedderConfig {
        let spec = self.take(of.spec, Some(&Spec::None), &mneme_embed::spec::FORMS).unwrap_or_default().parse::<Spec>();
        if let Err(error) = &spec {
            self.complaints.push(format!("{}: {error}", of.spec));
        }
        // Neither the key nor what was taken for one is ever repeated.
        let key = match KeySource::parse(&self.take(of.key, None, &mneme_embed::key::FORM).unwrap_or_default()) {
            Ok(key) => key,
            Err(error) => {
                self.complaints.push(format!("{}: {error}", of.key));
                KeySource::None
            }
        };
        if key != KeySource::None && spec.as_ref().is_ok_and(|spec| !matches!(spec, Spec::OpenAi(_))) {
            self.complaints
                .push(format!("{} is only for {}=openai:<model>@<base URL>: drop it or set that", of.key, of.spec));
        }
        let spec = spec.unwrap_or_default();
        let fingerprint =
            self.take(of.fingerprint, None, &"a name of the embedder's vectors").or_else(|| spec.fingerprint());
        let dim = self.dim(of, &spec);
        EmbedderConfig { spec, key, fingerprint, dim }
    }

    /// The dimension, which may be no other than the embedder has, where that is known.
    fn dim(&mut self, of: &EmbedderVariables, embedder: &Spec) -> Option<u32> {
        let own = embedder.dim().and_then(|dim| u32::try_from(dim).ok());
        let given = self.optional(of.dim, "a whole number from 1 to 65536", |dim| (1..=65536).contains(dim));
        if let (Some(given), Some(own)) = (given, own)
            && given != own
        {
            self.complaints.push(format!("{}={given} is not the {own} of {}: drop one of the two", of.dim, of.spec));
        }
        given.or(own)
    }

    /// The embedder to move to, which has to have a name.
    fn next_embedder(&mut self) -> Option<EmbedderConfig> {
        let next = self.embedder(&NEXT);
        if next.fingerprint.is_none() && next.dim.is_some() {
            self.complaints.push(
                "MNEME_EMBEDDER_NEXT_DIM requires MNEME_EMBEDDER_NEXT, or MNEME_EMBEDDER_NEXT_FINGERPRINT where callers bring the vectors"
                    .to_owned(),
            );
        }
        next.fingerprint.is_some().then_some(next)
    }

    fn billing(&mut self) -> Billing {
        let provisioned =
            self.one_of("MNEME_BILLING_MODE", false, &[("PAY_PER_REQUEST", false), ("PROVISIONED", true)]);
        let capacity = self.take("MNEME_PROVISIONED_CAPACITY", None, &CAPACITY_FORM);
        match (provisioned, capacity) {
            (false, None) => Billing::PayPerRequest,
            (false, Some(_)) => {
                self.complaints.push(
                    "MNEME_PROVISIONED_CAPACITY is only for MNEME_BILLING_MODE=PROVISIONED: drop it or set that"
                        .to_owned(),
                );
                Billing::PayPerRequest
            }
            (true, None) => {
                self.complaints
                    .push("MNEME_BILLING_MODE=PROVISIONED requires MNEME_PROVISIONED_CAPACITY=rcu,wcu".to_owned());
                Billing::PayPerRequest
            }
            (true, Some(text)) => {
                let units: Option<Vec<i64>> =
                    text.split(',').map(|part| part.trim().parse().ok().filter(|unit| *unit >= 1)).collect();
                if let Some(&[read_units, write_units]) = units.as_deref() {
                    return Billing::Provisioned { read_units, write_units };
                }
                self.complaints.push(format!("MNEME_PROVISIONED_CAPACITY={text:?} is not {CAPACITY_FORM}"));
                Billing::PayPerRequest
            }
        }
    }
}

impl Config {
    /// The configuration in this process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The configuration in `variables`, of which those whose names start with `MNEME_` are read, and Lambda's own.
    ///
    /// Errors: every bad variable, with the form it should have.
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
            // Not an error: another version of a function, or another tool, may read it.
            tracing::warn!(variable = %name, "an MNEME_ variable that this function does not know");
        }
        if env.complaints.is_empty() { Ok(config) } else { Err(ConfigError(env.complaints)) }
    }

    /// Every variable that is read, with its default and its accepted form.
    pub fn variables() -> Vec<Variable> {
        let mut env = RawEnv { described: Some(Vec::new()), ..RawEnv::default() };
        Self::read(&mut env);
        env.described.unwrap_or_default()
    }

    /// Reads every variable. Complaints about bad ones are left in `env`.
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
            default_ttl_secs: env.optional(
                "MNEME_DEFAULT_TTL_SECS",
                "a whole number of seconds from 1 to 3153600000",
                |t| (1..=crate::entry::MAX_TTL_SECS).contains(t),
            ),
            max_entries: env.optional("MNEME_MAX_ENTRIES", positive, |n| *n >= 1),
            normalize: env.switch("MNEME_NORMALIZE", true),
            store_query: env.switch("MNEME_STORE_QUERY", true),
            stale_check_interval_ms: env.parse("MNEME_STALE_CHECK_INTERVAL_MS", 0, from_zero, |_| true),
            access_resolution_secs: env.parse("MNEME_ACCESS_RESOLUTION_SECS", 300, from_zero, |_| true),
            txn_retries: env.parse("MNEME_TXN_RETRIES", 5, "a whole number from 0 to 100", |n| *n <= 100),
            namespace_claim: env.take("MNEME_NAMESPACE_CLAIM", None, &"the name of a claim in the callers' tokens"),
            metric_namespaces: env
                .parse("MNEME_METRIC_NAMESPACES", 10, "a whole number from 0 to 1000", |n| *n <= 1000),
            max_query_bytes: env.parse("MNEME_MAX_QUERY_BYTES", 32_768, positive, |n| *n >= 1),
            max_response_bytes: env.optional("MNEME_MAX_RESPONSE_BYTES", positive, |n| *n >= 1),
            max_metadata_bytes: env.parse("MNEME_MAX_METADATA_BYTES", 65_536, positive, |n| *n >= 1),
            memory_mb: env.optional(MEMORY_SIZE, positive, |n| *n >= 1),
        };
        // The embedder `minilm` reads this variable itself when it loads its model.
        env.take("MNEME_MINILM_PATH", None, &"a directory that holds the model of `minilm`");
        config
    }
}

#[cfg(test)]
impl Config {
    /// With a table's name and these variables.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
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
    fn defaults_are_the_contracts() {
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
    fn every_variable_is_described_once_with_its_default_and_form() {
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
    fn every_bad_variable_is_reported_at_once() {
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
            ("MNEME_TXN_RETRIES", "1000"),
            ("MNEME_MAX_QUERY_BYTES", "1e3"),
        ])
        .unwrap_err();
        assert_eq!(complaints.len(), 15, "{complaints:#?}");
        assert!(complaints[0].contains("MNEME_TABLE_NAME"));
        assert!(complaints.iter().any(|c| c.contains("requires MNEME_PROVISIONED_CAPACITY")));
    }

    #[test]
    fn an_embedder_brings_its_stamp() {
        let table = ("MNEME_TABLE_NAME", "cache");
        let titan = ("MNEME_EMBEDDER", "bedrock:amazon.titan-embed-text-v2:0:512");
        let config = read(&[table, titan]).unwrap();
        assert_eq!(
            (config.embedder.fingerprint.clone(), config.embedder.dim),
            (config.embedder.spec.fingerprint(), Some(512))
        );
        assert_eq!(config.next_embedder, None);
        let named = [table, titan, ("MNEME_EMBEDDER_FINGERPRINT", "ours"), ("MNEME_EMBEDDER_DIM", "512")];
        let own = read(&named).unwrap().embedder;
        assert_eq!((own.fingerprint.as_deref(), own.dim), (Some("ours"), Some(512)));
        let next = read(&[table, titan, ("MNEME_EMBEDDER_NEXT", "minilm")]).unwrap().next_embedder.unwrap();
        assert_eq!((next.fingerprint.as_deref(), next.dim), (Some("minilm:all-MiniLM-L6-v2/1"), Some(384)));
        let brought = read(&[table, ("MNEME_EMBEDDER_NEXT_FINGERPRINT", "theirs")]).unwrap().next_embedder.unwrap();
        assert_eq!((brought.fingerprint.as_deref(), brought.spec), (Some("theirs"), Spec::None));
        let ConfigError(complaints) = read(&[table, ("MNEME_EMBEDDER_NEXT_DIM", "4")]).unwrap_err();
        assert!(complaints[0].contains("requires MNEME_EMBEDDER_NEXT"), "{complaints:?}");

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
    fn capacity_goes_with_provisioned_only() {
        let table = ("MNEME_TABLE_NAME", "cache");
        let mode = ("MNEME_BILLING_MODE", "PROVISIONED");
        let config = read(&[table, mode, ("MNEME_PROVISIONED_CAPACITY", "5, 7")]).unwrap();
        assert_eq!(config.billing, Billing::Provisioned { read_units: 5, write_units: 7 });
        assert!(read(&[table, mode, ("MNEME_PROVISIONED_CAPACITY", "5")]).is_err());
        assert!(read(&[table, ("MNEME_PROVISIONED_CAPACITY", "5,7")]).is_err());
        assert!(read(&[table, ("MNEME_PROVISIONED_CAPACITY", "")]).is_ok());
    }
}

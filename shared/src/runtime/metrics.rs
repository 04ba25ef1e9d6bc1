//! The one line that each invocation leaves in the log, which is also its CloudWatch metrics.
//!
//! The line is a JSON object in CloudWatch's embedded metric format (CloudWatch User Guide, "Specification: Embedded
//! metric format"): fields to read, and under `_aws` which of them are metrics, by `function` and by `function` and
//! `namespace`. It never holds a query, a response, an embedding, metadata or a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::Level;

use mneme_api::event::Caller;
use mneme_aws::sdk_error::cause_chain;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::capacity::Usage;

/// The metrics' namespace in CloudWatch.
const CLOUDWATCH_NAMESPACE: &str = "mneme";
/// The dimension's value for namespaces without metrics of their own.
const OTHER: &str = "(other)";
/// CloudWatch's limit for a dimension's value (API reference, `Dimension`).
const MAX_DIMENSION_CHARS: usize = 1024;

/// How many namespaces one line names: a namespace has up to 2 KB, and an event of CloudWatch Logs 256 KB (CloudWatch
/// Logs User Guide, "CloudWatch Logs quotas").
const MAX_NAMES: usize = 20;

/// A figure of an invocation, and a metric in CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Lookups that the exact layer answered.
    HitsExact,
    /// Lookups that the semantic layer answered.
    HitsSemantic,
    /// Lookups without an answer.
    Misses,
    /// … by reason.
    MissesNoEntry,
    /// …
    MissesBelowThreshold,
    /// …
    MissesLowConfidence,
    /// …
    MissesRejected,
    /// …
    MissesVetoed,
    /// …
    MissesNoEmbedding,
    /// …
    MissesEmbedderFailure,
    /// …
    MissesBypass,
    /// Cosine similarity of the answer, or of the nearest entry where it was not good enough.
    Similarity,
    /// Entries stored.
    EntriesStored,
    /// Entries of a batch that were not stored.
    EntriesFailed,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::HitsExact => "HitsExact",
            Self::HitsSemantic => "HitsSemantic",
            Self::Misses => "Misses",
            Self::MissesNoEntry => "MissesNoEntry",
            Self::MissesBelowThreshold => "MissesBelowThreshold",
            Self::MissesLowConfidence => "MissesLowConfidence",
            Self::MissesRejected => "MissesRejected",
            Self::MissesVetoed => "MissesVetoed",
            Self::MissesNoEmbedding => "MissesNoEmbedding",
            Self::MissesEmbedderFailure => "MissesEmbedderFailure",
            Self::MissesBypass => "MissesBypass",
            Self::Similarity => "Similarity",
            Self::EntriesStored => "EntriesStored",
            Self::EntriesFailed => "EntriesFailed",
        }
    }

    fn unit(self) -> &'static str {
        if self == Self::Similarity { "None" } else { "Count" }
    }
}

/// What the log line says of an invocation.
#[derive(Debug, Default)]
pub(crate) struct InvocationRecord {
    /// The namespaces it used.
    pub(crate) namespaces: BTreeSet<Namespace>,
    /// Its figures.
    pub(crate) metrics: BTreeMap<Metric, f64>,
    /// What went wrong in it through no fault of the caller's, the first few.
    pub(crate) failures: Vec<Failure>,
    /// How much of it went wrong in all.
    pub(crate) failed: u32,
}

/// Something that went wrong, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What could not be done.
    what: &'static str,
    /// The error's name.
    error: &'static str,
    /// The fact; for errors of ours and of the table alone, as others may quote the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The causes, outermost first.
    #[serde(skip_serializing_if = "String::is_empty")]
    causes: String,
}

/// The causes of `error` in one line, outermost first.
pub(crate) fn causes(error: &Error) -> String {
    std::error::Error::source(error).map(cause_chain).unwrap_or_default()
}

impl Failure {
    /// What there is to say of `error`, which kept `what` from being done.
    pub fn new(what: &'static str, error: &Error) -> Self {
        let detail = error.kind.is_ours().then(|| error.detail.clone());
        Self { what, error: error.kind.name(), detail, causes: causes(error) }
    }
}

/// What is said of an invocation beside what it record itself.
#[derive(Debug)]
pub(crate) struct InvocationOutcome<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) caller: Caller,
    /// The status that an HTTP caller gets, or would get.
    pub(crate) status: u16,
    pub(crate) error: Option<&'a Error>,
    pub(crate) latency: Duration,
    pub(crate) usage: Usage,
}

/// How grave it was, and that in words.
fn level(outcome: &InvocationOutcome<'_>, record: &InvocationRecord) -> (Level, &'static str) {
    match outcome.error {
        Some(error) if error.kind.is_ours() => (Level::ERROR, "failed"),
        Some(_) => (Level::INFO, "refused"),
        None if record.failed > 0 => (Level::WARN, "answered, with a failure"),
        None => (Level::INFO, "answered"),
    }
}

/// Writes the lines of one instance.
#[derive(Debug)]
pub(crate) struct EmfWriter {
    /// The function's name on Lambda, else the operation's.
    function: String,
    max_namespaces: usize,
    /// The namespaces that have metrics of their own: the first that this instance met an entry of.
    named: Mutex<BTreeSet<Namespace>>,
}

impl EmfWriter {
    pub(crate) fn new(operation: &str, max_namespaces: usize) -> Self {
        let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| operation.to_owned());
        Self { function, max_namespaces, named: Mutex::default() }
    }

    /// Prints the invocation's line, unless `AWS_LAMBDA_LOG_LEVEL` is above its level.
    pub(crate) fn report(&self, outcome: &InvocationOutcome<'_>, record: &InvocationRecord) {
        let wanted = match level(outcome, record).0 {
            Level::ERROR => tracing::enabled!(Level::ERROR),
            Level::WARN => tracing::enabled!(Level::WARN),
            _ => tracing::enabled!(Level::INFO),
        };
        if wanted {
            println!("{}", self.line(outcome, record, SystemTime::now()));
        }
    }

    fn line(&self, outcome: &InvocationOutcome<'_>, record: &InvocationRecord, now: SystemTime) -> Value {
        let now = OffsetDateTime::from(now);
        let (level, message) = level(outcome, record);
        let mut line = Map::new();
        let mut say = |name: &str, value: Value| {
            line.insert(name.to_owned(), value);
        };
        say("timestamp", json!(now.format(&Rfc3339).unwrap_or_default()));
        say("level", json!(level.as_str()));
        say("message", json!(message));
        say("requestId", json!(outcome.request_id));
        say("function", json!(self.function));
        say("caller", json!(outcome.caller));
        say("status", json!(outcome.status));
        let own = outcome.error.map(|error| Failure::new("the request", error));
        let failures: Vec<&Failure> = own.iter().chain(&record.failures).collect();
        if !failures.is_empty() {
            say("failures", json!(failures));
        }

        let mut metrics = vec![json!({"Name": "Latency", "Unit": "Milliseconds"})];
        say("Latency", json!((outcome.latency.as_secs_f64() * 1e6).round() / 1e3));
        let mut measure = |name: &str, unit: &str, value: f64| {
            metrics.push(json!({"Name": name, "Unit": unit}));
            say(name, json!(value));
        };
        let own = |ours: bool| u32::from(outcome.error.is_some_and(|error| error.kind.is_ours() == ours));
        for (name, count) in [("Refusals", own(false)), ("Failures", own(true) + record.failed)] {
            if count > 0 {
                measure(name, "Count", count.into());
            }
        }
        for (metric, value) in &record.metrics {
            measure(metric.name(), metric.unit(), *value);
        }
        let Usage { read_units, write_units, retries, conflicts, lost_races } = outcome.usage;
        for (name, value) in [
            ("ReadUnits", read_units),
            ("WriteUnits", write_units),
            ("Retries", retries.into()),
            ("Conflicts", conflicts.into()),
            ("LostRaces", lost_races.into()),
        ] {
            if value > 0.0 {
                measure(name, "Count", value);
            }
        }

        let mut dimensions = vec![vec!["function"]];
        if let Some(namespace) = self.dimension(record) {
            dimensions.push(vec!["function", "namespace"]);
            say("namespace", json!(namespace));
        }
        if !record.namespaces.is_empty() {
            say("namespaces", record.namespaces.iter().take(MAX_NAMES).map(Namespace::as_str).collect());
        }
        if record.namespaces.len() > MAX_NAMES {
            say("namespacesOmitted", json!(record.namespaces.len() - MAX_NAMES));
        }
        say(
            "_aws",
            json!({
                "Timestamp": u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
                "CloudWatchMetrics": [
                    {"Namespace": CLOUDWATCH_NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}
                ],
            }),
        );
        Value::Object(line)
    }

    /// The dimension's value, where the invocation used one namespace and no other. A namespace gets metrics of its
    /// own by a hit or a stored entry: names that nobody stored under get none.
    fn dimension(&self, record: &InvocationRecord) -> Option<String> {
        let mut namespaces = record.namespaces.iter();
        let (Some(namespace), None) = (namespaces.next(), namespaces.next()) else { return None };
        let name = namespace.as_str();
        let fits = name.is_ascii() && name.len() <= MAX_DIMENSION_CHARS && !name.trim().is_empty();
        let of_entries = [Metric::HitsExact, Metric::HitsSemantic, Metric::EntriesStored];
        let holds_an_entry = of_entries.iter().any(|metric| record.metrics.contains_key(metric));
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if fits && holds_an_entry && named.len() < self.max_namespaces {
            named.insert(namespace.clone());
        }
        Some(if named.contains(namespace) { name } else { OTHER }.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(error: Option<&Error>) -> InvocationOutcome<'_> {
        InvocationOutcome {
            request_id: "r",
            caller: Caller::Direct,
            status: 200,
            error,
            latency: Duration::from_micros(1_234),
            usage: Usage { read_units: 1.5, ..Usage::default() },
        }
    }

    fn record(namespaces: &[&str], metrics: &[(Metric, f64)]) -> InvocationRecord {
        let namespaces = namespaces.iter().map(|name| Namespace::try_from((*name).to_owned()).unwrap()).collect();
        InvocationRecord { namespaces, metrics: metrics.iter().copied().collect(), ..InvocationRecord::default() }
    }

    fn line(reporter: &EmfWriter, record: &InvocationRecord, error: Option<&Error>) -> Value {
        reporter.line(&outcome(error), record, SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_348_800_123))
    }

    #[test]
    fn a_line_is_embedded_metric_format() {
        let reporter = EmfWriter { function: "f".to_owned(), max_namespaces: 1, named: Mutex::default() };
        let line = line(&reporter, &record(&["a"], &[(Metric::HitsExact, 1.0), (Metric::Similarity, 0.5)]), None);
        assert_eq!(line["timestamp"], "2026-11-22T12:00:00.123Z");
        assert_eq!((&line["level"], &line["message"]), (&json!("INFO"), &json!("answered")));
        assert_eq!(line["_aws"]["Timestamp"], 1_795_348_800_123_u64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "mneme");
        assert_eq!(directive["Dimensions"], json!([["function"], ["function", "namespace"]]));
        let metrics = directive["Metrics"].as_array().unwrap();
        // Each metric, and each dimension, is a field of the line.
        for metric in metrics {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        assert_eq!((&line["function"], &line["namespace"]), (&json!("f"), &json!("a")));
        assert_eq!((&line["Latency"], &line["ReadUnits"]), (&json!(1.234), &json!(1.5)));
        assert_eq!(metrics.len(), 4, "no metric without a value: {metrics:?}");
    }

    #[test]
    fn so_many_namespaces_have_metrics_of_their_own_and_no_more() {
        let reporter = EmfWriter { function: "f".to_owned(), max_namespaces: 2, named: Mutex::default() };
        let hit = [(Metric::HitsExact, 1.0)];
        let name = |record: &InvocationRecord| line(&reporter, record, None)["namespace"].clone();
        assert_eq!(name(&record(&["never stored"], &[(Metric::Misses, 1.0)])), OTHER);
        assert_eq!(name(&record(&["é"], &hit)), OTHER, "CloudWatch takes ASCII alone");
        assert_eq!(name(&record(&["a"], &hit)), "a");
        assert_eq!(name(&record(&["b"], &[(Metric::EntriesStored, 1.0)])), "b");
        assert_eq!(name(&record(&["c"], &hit)), OTHER);
        assert_eq!(name(&record(&["a"], &[(Metric::Misses, 1.0)])), "a");
        let several = line(&reporter, &record(&["a", "b"], &hit), None);
        assert_eq!(several["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["function"]]));
        assert_eq!(several["namespaces"], json!(["a", "b"]));
    }

    #[test]
    fn a_line_fits_an_event_of_cloudwatch_logs() {
        let reporter = EmfWriter { function: "f".to_owned(), max_namespaces: 2, named: Mutex::default() };
        let names: Vec<String> = (0..100).map(|n| format!("{n:02000}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let line = line(&reporter, &record(&names, &[(Metric::EntriesStored, 100.0)]), None);
        assert_eq!(line["namespacesOmitted"], 80);
        assert!(line.to_string().len() < 100_000);
    }

    #[test]
    fn a_failure_is_record_with_its_causes_and_a_refusal_by_its_name() {
        let reporter = EmfWriter { function: "f".to_owned(), max_namespaces: 2, named: Mutex::default() };
        let failed = Error::backend("no answer", "try again").caused_by("why");
        let record_of = line(&reporter, &record(&[], &[]), Some(&failed));
        assert_eq!((&record_of["level"], &record_of["Failures"]), (&json!("ERROR"), &json!(1.0)));
        let failure = json!({
            "what": "the request", "error": "StoreBackendError", "detail": "no answer", "causes": "why",
        });
        assert_eq!(record_of["failures"], json!([failure]));
        let refused = line(&reporter, &record(&[], &[]), Some(&Error::invalid("query: \"secret\"", "mend it")));
        assert_eq!((&refused["level"], &refused["Refusals"]), (&json!("INFO"), &json!(1.0)));
        assert_eq!(refused["failures"], json!([{"what": "the request", "error": "InvalidRequest"}]));
        assert!(!refused.to_string().contains("secret"));
    }
}

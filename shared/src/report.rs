//! The one line that each invocation leaves in the log, which is also its CloudWatch metrics.
//!
//! The line is a JSON object in CloudWatch's embedded metric format (CloudWatch User Guide, "Specification: Embedded
//! metric format"): fields to read, and under `_aws` which of them are metrics, by `function` and by `function` and
//! `namespace`. It never holds a query, a response, an embedding, metadata or a secret.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::Level;

use crate::error::Error;
use crate::event::Caller;
use crate::invocation::Told;
use crate::namespace::Namespace;
use crate::table::meter::Usage;

/// The metrics' namespace in CloudWatch.
const CLOUDWATCH_NAMESPACE: &str = "mneme";
/// The dimension's value for namespaces without metrics of their own.
const OTHER: &str = "(other)";
/// CloudWatch's limit for a dimension's value (API reference, `Dimension`).
const MAX_DIMENSION_CHARS: usize = 1024;

/// How many namespaces one line names: a namespace has up to 2 KB, and an event of CloudWatch Logs 256 KB (CloudWatch
/// Logs User Guide, "CloudWatch Logs quotas").
const MOST_NAMES: usize = 20;

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

impl Failure {
    /// What there is to say of `error`, which kept `what` from being done.
    pub fn new(what: &'static str, error: &Error) -> Self {
        let detail = error.kind.is_ours().then(|| error.detail.clone());
        Self { what, error: error.kind.name(), detail, causes: error.causes() }
    }
}

/// What is said of an invocation beside what it told itself.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) caller: Caller,
    /// The status that an HTTP caller gets, or would get.
    pub(crate) status: u16,
    pub(crate) error: Option<&'a Error>,
    pub(crate) latency: Duration,
    pub(crate) usage: Usage,
}

/// How grave it was, and that in words.
fn level(facts: &Facts<'_>, told: &Told) -> (Level, &'static str) {
    match facts.error {
        Some(error) if error.kind.is_ours() => (Level::ERROR, "failed"),
        Some(_) => (Level::INFO, "refused"),
        None if told.failed > 0 => (Level::WARN, "answered, with a failure"),
        None => (Level::INFO, "answered"),
    }
}

/// Writes the lines of one instance.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// The function's name on Lambda, else the operation's.
    function: String,
    most_namespaces: usize,
    /// The namespaces that have metrics of their own: the first that this instance met an entry of.
    named: Mutex<BTreeSet<Namespace>>,
}

impl Reporter {
    pub(crate) fn new(operation: &str, most_namespaces: usize) -> Self {
        let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| operation.to_owned());
        Self { function, most_namespaces, named: Mutex::default() }
    }

    /// Prints the invocation's line, unless `AWS_LAMBDA_LOG_LEVEL` is above its level.
    pub(crate) fn report(&self, facts: &Facts<'_>, told: &Told) {
        let wanted = match level(facts, told).0 {
            Level::ERROR => tracing::enabled!(Level::ERROR),
            Level::WARN => tracing::enabled!(Level::WARN),
            _ => tracing::enabled!(Level::INFO),
        };
        if wanted {
            println!("{}", self.line(facts, told, SystemTime::now()));
        }
    }

    fn line(&self, facts: &Facts<'_>, told: &Told, now: SystemTime) -> Value {
        let now = OffsetDateTime::from(now);
        let (level, message) = level(facts, told);
        let mut line = Map::new();
        let mut say = |name: &str, value: Value| {
            line.insert(name.to_owned(), value);
        };
        say("timestamp", json!(now.format(&Rfc3339).unwrap_or_default()));
        say("level", json!(level.as_str()));
        say("message", json!(message));
        say("requestId", json!(facts.request_id));
        say("function", json!(self.function));
        say("caller", json!(facts.caller));
        say("status", json!(facts.status));
        let own = facts.error.map(|error| Failure::new("the request", error));
        let failures: Vec<&Failure> = own.iter().chain(&told.failures).collect();
        if !failures.is_empty() {
            say("failures", json!(failures));
        }

        let mut metrics = vec![json!({"Name": "Latency", "Unit": "Milliseconds"})];
        say("Latency", json!((facts.latency.as_secs_f64() * 1e6).round() / 1e3));
        let mut measure = |name: &str, unit: &str, value: f64| {
            metrics.push(json!({"Name": name, "Unit": unit}));
            say(name, json!(value));
        };
        let own = |ours: bool| u32::from(facts.error.is_some_and(|error| error.kind.is_ours() == ours));
        for (name, count) in [("Refusals", own(false)), ("Failures", own(true) + told.failed)] {
            if count > 0 {
                measure(name, "Count", count.into());
            }
        }
        for (metric, value) in &told.metrics {
            measure(metric.name(), metric.unit(), *value);
        }
        let Usage { read_units, write_units, retries, conflicts, lost_races } = facts.usage;
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
        if let Some(namespace) = self.dimension(told) {
            dimensions.push(vec!["function", "namespace"]);
            say("namespace", json!(namespace));
        }
        if !told.namespaces.is_empty() {
            say("namespaces", told.namespaces.iter().take(MOST_NAMES).map(Namespace::as_str).collect());
        }
        if told.namespaces.len() > MOST_NAMES {
            say("namespacesOmitted", json!(told.namespaces.len() - MOST_NAMES));
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
    fn dimension(&self, told: &Told) -> Option<String> {
        let mut namespaces = told.namespaces.iter();
        let (Some(namespace), None) = (namespaces.next(), namespaces.next()) else { return None };
        let name = namespace.as_str();
        let fits = name.is_ascii() && name.len() <= MAX_DIMENSION_CHARS && !name.trim().is_empty();
        let of_entries = [Metric::HitsExact, Metric::HitsSemantic, Metric::EntriesStored];
        let holds_an_entry = of_entries.iter().any(|metric| told.metrics.contains_key(metric));
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if fits && holds_an_entry && named.len() < self.most_namespaces {
            named.insert(namespace.clone());
        }
        Some(if named.contains(namespace) { name } else { OTHER }.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(error: Option<&Error>) -> Facts<'_> {
        Facts {
            request_id: "r",
            caller: Caller::Direct,
            status: 200,
            error,
            latency: Duration::from_micros(1_234),
            usage: Usage { read_units: 1.5, ..Usage::default() },
        }
    }

    fn told(namespaces: &[&str], metrics: &[(Metric, f64)]) -> Told {
        let namespaces = namespaces.iter().map(|name| Namespace::try_from((*name).to_owned()).unwrap()).collect();
        Told { namespaces, metrics: metrics.iter().copied().collect(), ..Told::default() }
    }

    fn line(reporter: &Reporter, told: &Told, error: Option<&Error>) -> Value {
        reporter.line(&facts(error), told, SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_348_800_123))
    }

    #[test]
    fn a_line_is_embedded_metric_format() {
        let reporter = Reporter { function: "f".to_owned(), most_namespaces: 1, named: Mutex::default() };
        let line = line(&reporter, &told(&["a"], &[(Metric::HitsExact, 1.0), (Metric::Similarity, 0.5)]), None);
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
        let reporter = Reporter { function: "f".to_owned(), most_namespaces: 2, named: Mutex::default() };
        let hit = [(Metric::HitsExact, 1.0)];
        let name = |told: &Told| line(&reporter, told, None)["namespace"].clone();
        assert_eq!(name(&told(&["never stored"], &[(Metric::Misses, 1.0)])), OTHER);
        assert_eq!(name(&told(&["é"], &hit)), OTHER, "CloudWatch takes ASCII alone");
        assert_eq!(name(&told(&["a"], &hit)), "a");
        assert_eq!(name(&told(&["b"], &[(Metric::EntriesStored, 1.0)])), "b");
        assert_eq!(name(&told(&["c"], &hit)), OTHER);
        assert_eq!(name(&told(&["a"], &[(Metric::Misses, 1.0)])), "a");
        let several = line(&reporter, &told(&["a", "b"], &hit), None);
        assert_eq!(several["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["function"]]));
        assert_eq!(several["namespaces"], json!(["a", "b"]));
    }

    #[test]
    fn a_line_fits_an_event_of_cloudwatch_logs() {
        let reporter = Reporter { function: "f".to_owned(), most_namespaces: 2, named: Mutex::default() };
        let names: Vec<String> = (0..100).map(|n| format!("{n:02000}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let line = line(&reporter, &told(&names, &[(Metric::EntriesStored, 100.0)]), None);
        assert_eq!(line["namespacesOmitted"], 80);
        assert!(line.to_string().len() < 100_000);
    }

    #[test]
    fn a_failure_is_told_with_its_causes_and_a_refusal_by_its_name() {
        let reporter = Reporter { function: "f".to_owned(), most_namespaces: 2, named: Mutex::default() };
        let failed = Error::backend("no answer", "try again").caused_by("why");
        let told_of = line(&reporter, &told(&[], &[]), Some(&failed));
        assert_eq!((&told_of["level"], &told_of["Failures"]), (&json!("ERROR"), &json!(1.0)));
        let failure = json!({
            "what": "the request", "error": "StoreBackendError", "detail": "no answer", "causes": "why",
        });
        assert_eq!(told_of["failures"], json!([failure]));
        let refused = line(&reporter, &told(&[], &[]), Some(&Error::invalid("query: \"secret\"", "mend it")));
        assert_eq!((&refused["level"], &refused["Refusals"]), (&json!("INFO"), &json!(1.0)));
        assert_eq!(refused["failures"], json!([{"what": "the request", "error": "InvalidRequest"}]));
        assert!(!refused.to_string().contains("secret"));
    }
}

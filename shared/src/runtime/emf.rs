//! The one line that each invocation leaves in the log, which also carries its CloudWatch metrics.
//!
//! The line is a JSON object in CloudWatch's embedded metric format (CloudWatch User Guide, "Specification: Embedded
//! metric format"). It has fields to read, and `_aws` says which of them are metrics: by `function`, and by `function`
//! and `namespace`. The line never holds a query, a response, an embedding, metadata or a secret.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use mneme_api::event::Caller;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::capacity::Usage;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::Level;

use super::metrics::{Failure, InvocationRecord, Metric};

/// The metrics' namespace in CloudWatch.
const CLOUDWATCH_NAMESPACE: &str = "mneme";
/// The dimension's value for namespaces without metrics of their own.
const OTHER: &str = "(other)";
/// CloudWatch's limit for a dimension's value (API reference, `Dimension`).
const MAX_DIMENSION_CHARS: usize = 1024;

/// How many namespaces one line names. A namespace has up to 2 KB, and an event of CloudWatch Logs up to 256 KB
/// (CloudWatch Logs User Guide, "CloudWatch Logs quotas").
const MAX_NAMES: usize = 20;

/// How an invocation ended.
#[derive(Debug)]
pub(super) struct InvocationOutcome<'a> {
    pub(super) request_id: &'a str,
    pub(super) caller: Caller,
    /// The status that an HTTP caller gets, or would get.
    pub(super) status: u16,
    pub(super) error: Option<&'a Error>,
    pub(super) latency: Duration,
    pub(super) usage: Usage,
}

impl InvocationOutcome<'_> {
    /// The level of the line and its message.
    fn level(&self, record: &InvocationRecord) -> (Level, &'static str) {
        match self.error {
            Some(error) if error.kind.is_ours() => (Level::ERROR, "failed"),
            Some(_) => (Level::INFO, "refused"),
            None if record.failure_count > 0 => (Level::WARN, "answered, with a failure"),
            None => (Level::INFO, "answered"),
        }
    }
}

/// Writes the lines of one instance.
#[derive(Debug)]
pub(super) struct EmfWriter {
    /// The function's name on Lambda, or else the operation's name.
    function: String,
    /// How many namespaces have metrics of their own at most.
    max_namespaces: usize,
    /// The namespaces that have metrics of their own: the first ones in which this instance met an entry.
    own_metrics: Mutex<BTreeSet<Namespace>>,
}

impl EmfWriter {
    pub(super) fn new(operation: &str, max_namespaces: usize) -> Self {
        let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| operation.to_owned());
        Self { function, max_namespaces, own_metrics: Mutex::default() }
    }

    /// Prints the invocation's line, unless `AWS_LAMBDA_LOG_LEVEL` is above its level.
    pub(super) fn write(&self, outcome: &InvocationOutcome<'_>, record: &InvocationRecord) {
        let is_enabled = match outcome.level(record).0 {
            Level::ERROR => tracing::enabled!(Level::ERROR),
            Level::WARN => tracing::enabled!(Level::WARN),
            _ => tracing::enabled!(Level::INFO),
        };
        if is_enabled {
            println!("{}", self.line(outcome, record, SystemTime::now()));
        }
    }

    fn line(&self, outcome: &InvocationOutcome<'_>, record: &InvocationRecord, now: SystemTime) -> Value {
        let now = OffsetDateTime::from(now);
        let (level, message) = outcome.level(record);
        let mut line = Map::new();
        let mut set = |name: &str, value: Value| {
            line.insert(name.to_owned(), value);
        };
        set("timestamp", json!(now.format(&Rfc3339).unwrap_or_default()));
        set("level", json!(level.as_str()));
        set("message", json!(message));
        set("requestId", json!(outcome.request_id));
        set("function", json!(self.function));
        set("caller", json!(outcome.caller));
        set("status", json!(outcome.status));
        let request_failure = outcome.error.map(|error| Failure::new("the request", error));
        let failures: Vec<&Failure> = request_failure.iter().chain(&record.failures).collect();
        if !failures.is_empty() {
            set("failures", json!(failures));
        }
        if !record.results.is_empty() {
            set("results", json!(record.results));
        }
        if record.result_count > record.results.len() {
            set("resultsOmitted", json!(record.result_count - record.results.len()));
        }

        let mut metrics = vec![json!({"Name": "Latency", "Unit": "Milliseconds"})];
        set("Latency", json!((outcome.latency.as_secs_f64() * 1e6).round() / 1e3));
        let mut set_metric = |name: &str, unit: &str, value: f64| {
            metrics.push(json!({"Name": name, "Unit": unit}));
            set(name, json!(value));
        };
        let request_errors = |ours: bool| u32::from(outcome.error.is_some_and(|error| error.kind.is_ours() == ours));
        let failure_count = request_errors(true) + record.failure_count;
        for (name, count) in [("Refusals", request_errors(false)), ("Failures", failure_count)] {
            if count > 0 {
                set_metric(name, "Count", count.into());
            }
        }
        for (metric, value) in &record.metrics {
            set_metric(metric.name(), metric.unit(), *value);
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
                set_metric(name, "Count", value);
            }
        }

        let mut dimensions = vec![vec!["function"]];
        if let Some(namespace) = self.dimension(record) {
            dimensions.push(vec!["function", "namespace"]);
            set("namespace", json!(namespace));
        }
        if !record.namespaces.is_empty() {
            set("namespaces", record.namespaces.iter().take(MAX_NAMES).map(Namespace::as_str).collect());
        }
        if record.namespaces.len() > MAX_NAMES {
            set("namespacesOmitted", json!(record.namespaces.len() - MAX_NAMES));
        }
        set(
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

    /// The value of the dimension `namespace`, if the invocation used exactly one namespace.
    ///
    /// A namespace gets metrics of its own by a hit or a stored entry. Names under which nobody stored an entry get
    /// none.
    fn dimension(&self, record: &InvocationRecord) -> Option<String> {
        let mut namespaces = record.namespaces.iter();
        let (Some(namespace), None) = (namespaces.next(), namespaces.next()) else { return None };
        let name = namespace.as_str();
        let fits = name.is_ascii() && name.len() <= MAX_DIMENSION_CHARS && !name.trim().is_empty();
        let entry_metrics = [Metric::HitsExact, Metric::HitsSemantic, Metric::EntriesStored];
        let has_entry = entry_metrics.iter().any(|metric| record.metrics.contains_key(metric));
        let mut own_metrics = self.own_metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if fits && has_entry && own_metrics.len() < self.max_namespaces {
            own_metrics.insert(namespace.clone());
        }
        Some(if own_metrics.contains(namespace) { name } else { OTHER }.to_owned())
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

    fn line(writer: &EmfWriter, record: &InvocationRecord, error: Option<&Error>) -> Value {
        writer.line(&outcome(error), record, SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_348_800_123))
    }

    #[test]
    fn line_with_metrics_is_embedded_metric_format() {
        let writer = EmfWriter { function: "f".to_owned(), max_namespaces: 1, own_metrics: Mutex::default() };
        let line = line(&writer, &record(&["a"], &[(Metric::HitsExact, 1.0), (Metric::Similarity, 0.5)]), None);
        assert_eq!(line["timestamp"], "2026-11-22T12:00:00.123Z");
        assert_eq!((&line["level"], &line["message"]), (&json!("INFO"), &json!("answered")));
        assert_eq!(line["_aws"]["Timestamp"], 1_795_348_800_123_u64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "mneme");
        assert_eq!(directive["Dimensions"], json!([["function"], ["function", "namespace"]]));
        let metrics = directive["Metrics"].as_array().unwrap();
        // Each metric is a field of the line.
        for metric in metrics {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        assert_eq!((&line["function"], &line["namespace"]), (&json!("f"), &json!("a")));
        assert_eq!((&line["Latency"], &line["ReadUnits"]), (&json!(1.234), &json!(1.5)));
        assert_eq!(metrics.len(), 4, "a metric without a value is left out: {metrics:?}");
    }

    #[test]
    fn namespaces_beyond_the_limit_share_one_dimension_value() {
        let writer = EmfWriter { function: "f".to_owned(), max_namespaces: 2, own_metrics: Mutex::default() };
        let hit = [(Metric::HitsExact, 1.0)];
        let name = |record: &InvocationRecord| line(&writer, record, None)["namespace"].clone();
        assert_eq!(name(&record(&["never stored"], &[(Metric::Misses, 1.0)])), OTHER);
        assert_eq!(name(&record(&["é"], &hit)), OTHER, "CloudWatch accepts only ASCII");
        assert_eq!(name(&record(&["a"], &hit)), "a");
        assert_eq!(name(&record(&["b"], &[(Metric::EntriesStored, 1.0)])), "b");
        assert_eq!(name(&record(&["c"], &hit)), OTHER);
        assert_eq!(name(&record(&["a"], &[(Metric::Misses, 1.0)])), "a");
        let several = line(&writer, &record(&["a", "b"], &hit), None);
        assert_eq!(several["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["function"]]));
        assert_eq!(several["namespaces"], json!(["a", "b"]));
    }

    #[test]
    fn line_with_many_namespaces_fits_a_log_event() {
        let writer = EmfWriter { function: "f".to_owned(), max_namespaces: 2, own_metrics: Mutex::default() };
        let names: Vec<String> = (0..100).map(|n| format!("{n:02000}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let line = line(&writer, &record(&names, &[(Metric::EntriesStored, 100.0)]), None);
        assert_eq!(line["namespacesOmitted"], 80);
        assert!(line.to_string().len() < 100_000);
    }

    #[test]
    fn failure_is_logged_with_causes_and_refusal_only_with_its_name() {
        let writer = EmfWriter { function: "f".to_owned(), max_namespaces: 2, own_metrics: Mutex::default() };
        let error = Error::backend("no answer", "try again").caused_by("why");
        let failed = line(&writer, &record(&[], &[]), Some(&error));
        assert_eq!((&failed["level"], &failed["Failures"]), (&json!("ERROR"), &json!(1.0)));
        let failure = json!({
            "what": "the request", "error": "StoreBackendError", "detail": "no answer", "causes": "why",
        });
        assert_eq!(failed["failures"], json!([failure]));
        let refused = line(&writer, &record(&[], &[]), Some(&Error::invalid("query: \"secret\"", "mend it")));
        assert_eq!((&refused["level"], &refused["Refusals"]), (&json!("INFO"), &json!(1.0)));
        assert_eq!(refused["failures"], json!([{"what": "the request", "error": "InvalidRequest"}]));
        assert!(!refused.to_string().contains("secret"));
    }
}

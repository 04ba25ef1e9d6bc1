//! Log output of an invocation: one line with its metrics, and no query or response.

use mneme_tests::Fault;
use mneme_tests::stack::{Stack, vector};
use serde_json::{Value, json};

const QUESTION: &str = "What is the password of the vault?";
const ANSWER: &str = "Swordfish, as ever.";

/// The JSON object in a log line of an instance.
fn parsed(line: &str) -> Value {
    let (_, json) = line.split_once("] ").expect("an instance's name");
    serde_json::from_str(json).unwrap_or_else(|_| panic!("not JSON: {line}"))
}

/// The metrics line of the next invocation, and the lines before it.
async fn next_report(stack: &Stack) -> (Value, Vec<Value>) {
    let lines = stack.log_until(|line| line.contains("\"_aws\"")).await;
    let mut lines: Vec<Value> = lines.iter().map(|line| parsed(line)).collect();
    (lines.pop().expect("a report"), lines)
}

fn metric_names(report: &Value) -> Vec<&str> {
    let metrics = report["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("metrics");
    metrics.iter().map(|metric| metric["Name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn invocation_writes_one_log_line_with_metrics() {
    let stack = Stack::start().await;
    let entry = json!({
        "query": QUESTION, "response": ANSWER, "namespace": "vault", "embedding": vector(8, 0.0),
        "metadata": {"note": "Swordfish"},
    });
    stack.put(entry).await;
    let (put, before) = next_report(&stack).await;
    assert_eq!(before, Vec::<Value>::new());
    assert_eq!((&put["function"], &put["caller"], &put["level"]), (&json!("put"), &json!("direct"), &json!("INFO")));
    assert_eq!((&put["namespace"], &put["EntriesStored"]), (&json!("vault"), &json!(1.0)));
    assert!(put["WriteUnits"].as_f64().unwrap() > 0.0 && put["Latency"].as_f64().unwrap() > 0.0);
    assert!(put["requestId"].is_string());

    let reworded = "What is the password for the vault, please?";
    let ask = |embedding: Value| json!({"query": reworded, "namespace": "vault", "embedding": embedding});
    stack.lookup(json!({"query": QUESTION, "namespace": "vault"})).await;
    let (exact, _) = next_report(&stack).await;
    assert_eq!((&exact["HitsExact"], &exact["namespace"]), (&json!(1.0), &json!("vault")));
    assert!(exact["ReadUnits"].as_f64().unwrap() > 0.0);
    assert_eq!(exact.get("Similarity"), None);
    assert_eq!(exact["results"], json!([{"layer": "exact", "entry": 1, "similarity": 1.0, "confidence": 1.0}]));

    stack.post("/v1/lookup", ask(json!(vector(8, 0.1)))).await;
    let (semantic, _) = next_report(&stack).await;
    assert_eq!((&semantic["HitsSemantic"], &semantic["caller"]), (&json!(1.0), &json!("http_api")));
    assert!((semantic["Similarity"].as_f64().unwrap() - 0.1_f64.cos()).abs() < 1e-6);
    assert_eq!((&semantic["results"][0]["layer"], &semantic["results"][0]["entry"]), (&json!("semantic"), &json!(1)));

    stack.lookup(ask(json!(vector(8, 1.5)))).await;
    let (miss, _) = next_report(&stack).await;
    for name in ["Misses", "MissesBelowThreshold", "Similarity", "Latency"] {
        assert!(metric_names(&miss).contains(&name), "{name}: {miss}");
    }
    assert_eq!((&miss["results"][0]["reason"], &miss["results"][0]["nearest"]), (&json!("below_threshold"), &json!(1)));
    for report in [put, exact, semantic, miss] {
        for name in metric_names(&report) {
            assert!(report[name].is_number(), "{name}: {report}");
        }
        let dimensions = &report["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*dimensions, json!([["function"], ["function", "namespace"]]));
        let text = report.to_string();
        for secret in ["password", "Swordfish", "please"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn failure_is_logged_once_with_causes_and_without_the_query() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    next_report(&stack).await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ValidationException"));
    stack.invoke("put", json!({"query": QUESTION, "response": ANSWER})).await.unwrap_err();
    let (report, before) = next_report(&stack).await;
    assert_eq!(before, Vec::<Value>::new());
    assert_eq!((&report["level"], &report["Failures"]), (&json!("ERROR"), &json!(1.0)));
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["failures"][0]["error"], "Internal");
    let causes = report["failures"][0]["causes"].as_str().unwrap();
    assert!(causes.starts_with("TransactWriteItems: ValidationException: injected by the test"), "{causes}");
    let text = report.to_string();
    assert!(!text.contains("password") && !text.contains("Swordfish"), "{text}");
}

#[tokio::test]
async fn refused_request_is_logged_by_error_name_without_the_request() {
    let stack = Stack::start().await;
    stack.invoke("lookup", json!({"query": QUESTION, "bypass": QUESTION})).await.unwrap_err();
    let (report, before) = next_report(&stack).await;
    assert_eq!(before, Vec::<Value>::new());
    assert_eq!((&report["level"], &report["Refusals"]), (&json!("INFO"), &json!(1.0)));
    assert_eq!(report["failures"], json!([{"what": "the request", "error": "InvalidRequest"}]));
}

#[tokio::test]
async fn failed_access_write_is_logged_and_does_not_fail_the_hit() {
    let stack = Stack::builder().variables(&[("MNEME_ACCESS_RESOLUTION_SECS", "0")]).start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("AccessDeniedException"));
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "hit");
    let lines = stack.log_until(|line| line.contains("an access could not be written")).await;
    assert!(lines.last().is_some_and(|line| line.contains("WARN") && line.contains("TransactWriteItems")), "{lines:?}");
}

#[tokio::test]
async fn batch_with_many_invalid_entries_logs_the_backend_failure() {
    let stack = Stack::builder().variables(&[("AWS_LAMBDA_LOG_LEVEL", "WARN")]).start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("AccessDeniedException"));
    let mut entries = vec![json!({"query": "no response"}); 20];
    entries.push(json!({"query": "good", "response": "r"}));
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    let (report, before) = next_report(&stack).await;
    assert_eq!((&report["level"], before), (&json!("WARN"), Vec::new()));
    assert_eq!((&report["EntriesFailed"], &report["Failures"]), (&json!(21.0), &json!(1.0)));
    let failures = report["failures"].as_array().unwrap();
    assert_eq!((failures.len(), &failures[0]["error"]), (1, &json!("StoreBackendError")));
}

#[tokio::test]
async fn retries_and_conflicts_are_logged_as_metrics() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    next_report(&stack).await;
    stack.proxy.inject_fault("GetItem", Fault::NotExecuted);
    let actions = vec![None, Some("TransactionConflict"), None, None];
    stack.proxy.inject_fault("TransactWriteItems", Fault::Cancelled(actions));
    stack.put(json!({"query": "other", "response": "r"})).await;
    let (report, _) = next_report(&stack).await;
    assert_eq!(stack.proxy.pending_faults(), 0);
    assert_eq!((&report["Retries"], &report["Conflicts"]), (&json!(1.0), &json!(1.0)), "{report}");
}

#[tokio::test]
async fn log_level_error_logs_only_failures() {
    let stack = Stack::builder().variables(&[("AWS_LAMBDA_LOG_LEVEL", "ERROR")]).start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ValidationException"));
    stack.invoke("put", json!({"query": "w", "response": "r"})).await.unwrap_err();
    let (report, before) = next_report(&stack).await;
    assert_eq!((&report["level"], before), (&json!("ERROR"), Vec::new()));
}

//! Invalid requests and invalid tables: each returns a named error with a remedy, and the instance continues.

use std::collections::BTreeMap;

use mneme_model::embedding::encode_base64;
use mneme_tests::stack::Item;
use mneme_tests::{Fault, Stack};
use serde_json::{Value, json};

/// Sends `request` over HTTP and directly. Checks the error's name, its status, and that its text contains `says`.
pub(crate) async fn refuses(
    stack: &Stack,
    function: &str,
    path: &str,
    request: Value,
    name: &str,
    status: u16,
    says: &str,
) {
    let shown: String = request.to_string().chars().take(200).collect();
    let (got, problem) = stack.post(path, request.clone()).await;
    assert_eq!(got, status, "{shown}: {problem}");
    assert_eq!(problem["type"], format!("urn:mneme:error:{name}"), "{shown}");
    assert_eq!(problem["status"], status);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(says), "{shown}: {detail}");
    assert!(problem["remediation"].as_str().is_some_and(|remedy| !remedy.is_empty()));
    let error = stack.invoke(function, request).await.unwrap_err();
    assert_eq!(error.name, name, "{shown}");
    assert!(error.message.contains(says) && error.message.contains("Remediation: "), "{}", error.message);
}

#[tokio::test]
async fn invalid_puts_are_refused_and_store_nothing() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "good", "response": "A", "embedding": [1, 0, 0]})).await;
    let before = stack.rows().await;
    let base64 = |floats: &[f32]| encode_base64(&floats.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let with = |field: &str, value: Value| {
        let mut entry = json!({"query": "q", "response": "r"});
        entry[field] = value;
        entry
    };
    let long = "x".repeat(40_000);
    for (request, name, status, says) in [
        (json!({"response": "r"}), "InvalidRequest", 400, "missing field `query`"),
        (json!({"query": "q"}), "InvalidRequest", 400, "missing field `response`"),
        (with("query", json!(7)), "InvalidRequest", 400, "query: a text is expected"),
        (with("query", Value::Null), "InvalidRequest", 400, "missing field `query`"),
        (with("response", json!(["r"])), "InvalidRequest", 400, "response: a text is expected"),
        (with("metadata", json!("m")), "InvalidRequest", 400, "metadata: an object is expected"),
        (with("querry", json!("q")), "InvalidRequest", 400, "unknown field `querry`"),
        (with("confidence_score", json!(1.5)), "InvalidRequest", 400, "confidence_score"),
        (with("idempotency_key", json!("k".repeat(129))), "InvalidRequest", 400, "idempotency_key"),
        (with("namespace", json!("a\u{7}b")), "InvalidRequest", 400, "U+0007"),
        (with("namespace", json!("")), "InvalidRequest", 400, "empty"),
        (with("namespace", json!("n".repeat(2049))), "InvalidRequest", 400, "2049 bytes"),
        (with("embedding", json!([0, 0, 0])), "InvalidRequest", 400, "zero vector"),
        (with("embedding", json!([])), "InvalidRequest", 400, "at least one"),
        (with("embedding", json!([1, null, 0])), "InvalidRequest", 400, "embedding[1]"),
        (with("embedding", json!([1, 1e300, 0])), "InvalidRequest", 400, "number 1 of the embedding is inf"),
        (with("embedding", json!(base64(&[f32::NAN, 0.0, 1.0]))), "InvalidRequest", 400, "is NaN"),
        // Four bytes are one float, here 0.
        (with("embedding", json!("AAAAAA==")), "InvalidRequest", 400, "zero vector"),
        (with("embedding", json!("AAAAAAA=")), "InvalidRequest", 400, "holds 5 bytes"),
        (with("embedding", json!("not base64!")), "InvalidRequest", 400, "not base64"),
        (with("embedding", json!({"values": []})), "InvalidRequest", 400, "embedding"),
        (with("embedding", json!([1, 0])), "EmbedderDimensionError", 422, "has 2 numbers, and the cache's have 3"),
        (with("embedding", json!(base64(&[1.0; 4]))), "EmbedderDimensionError", 422, "has 4 numbers"),
        (with("query", json!(long)), "EntryTooLarge", 413, "40000 bytes"),
        (with("response", json!("x".repeat(2_200_000))), "EntryTooLarge", 413, "2097152 are allowed"),
        (with("metadata", json!({"m": "x".repeat(70_000)})), "EntryTooLarge", 413, "metadata"),
        (json!({"entries": [], "query": "q"}), "InvalidRequest", 400, "`query` cannot be shared"),
        (json!({"entries": {}}), "InvalidRequest", 400, "entries"),
        (json!({"entries": [], "ttl_seconds": "long"}), "InvalidRequest", 400, "ttl_seconds"),
        (json!([1]), "InvalidRequest", 400, "an array"),
    ] {
        refuses(&stack, "put", "/v1/entries", request, name, status, says).await;
    }
    assert_eq!(stack.rows().await, before);
    assert_eq!(stack.put(json!({"query": "next", "response": "A", "embedding": [0, 1, 0]})).await, 2);
    assert_eq!(stack.server.instances("put"), 1, "one instance served all requests");
}

#[tokio::test]
async fn invalid_lookups_are_refused_and_the_instance_continues() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "good", "response": "A", "embedding": [1, 0, 0]})).await;
    for (request, name, status, says) in [
        (json!({}), "InvalidRequest", 400, "missing field `query`"),
        (json!({"query": 1}), "InvalidRequest", 400, "query: a text is expected"),
        (json!({"query": "q", "treshold": 0.9}), "InvalidRequest", 400, "unknown field `treshold`"),
        (json!({"query": "q", "bypass": "yes"}), "InvalidRequest", 400, "bypass"),
        (json!({"queries": [], "bypass": ["yes"]}), "InvalidRequest", 400, "bypass"),
        (json!({"query": "q", "threshold": 2}), "InvalidRequest", 400, "threshold"),
        (json!({"query": "q", "threshold": 1.000_000_01}), "InvalidRequest", 400, "threshold"),
        (json!({"query": "q", "embedding": [0, 0, 0]}), "InvalidRequest", 400, "zero vector"),
        (json!({"query": "q", "embedding": [1, 0]}), "EmbedderDimensionError", 422, "has 2 numbers"),
        (json!({"query": "q", "namespace": "\n"}), "InvalidRequest", 400, "U+000A"),
        (json!({"query": "x".repeat(32_769)}), "EntryTooLarge", 413, "32769 bytes"),
    ] {
        refuses(&stack, "lookup", "/v1/lookup", request, name, status, says).await;
    }
    assert_eq!(stack.lookup(json!({"query": "good"})).await["outcome"], "hit");
    assert_eq!(stack.server.instances("lookup"), 1);
}

#[tokio::test]
async fn body_that_is_not_json_returns_invalid_request() {
    let stack = Stack::start().await;
    for body in ["", "{", "{\"query\": }", "nonsense", "\"text\"", "null", "{\"query\": \"\\ud800\"}"] {
        let (status, content_type, problem) = stack.http_raw("/v1/lookup", body).await;
        assert_eq!((status, content_type.as_str()), (400, "application/problem+json"), "{body}: {problem}");
        assert_eq!(problem["type"], "urn:mneme:error:InvalidRequest");
    }
    let (status, _, problem) = stack.http_raw("/v1/lookup", vec![0xff, 0xfe, b'{']).await;
    assert_eq!((status, &problem["type"]), (400, &json!("urn:mneme:error:InvalidRequest")), "{problem}");
    for payload in ["[]", "7", "null", "\"text\""] {
        assert_eq!(stack.invoke_raw("lookup", payload.to_owned()).await.unwrap_err().name, "InvalidRequest");
    }
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "miss");
}

#[tokio::test]
async fn missing_table_returns_remediation_until_the_table_exists() {
    let stack = Stack::builder().variables(&[("MNEME_CREATE_TABLE", "false")]).start().await;
    let requests = [
        ("lookup", json!({"query": "q"})),
        ("lookup", json!({"query": "q", "embedding": [1, 0]})),
        ("put", json!({"query": "q", "response": "r"})),
        ("get", json!({"id": 1})),
        ("find", json!({"query_hash": "0".repeat(64)})),
        ("list", json!({})),
        ("touch", json!({"id": 1})),
        ("feedback", json!({"query": "q", "id": 1, "right": true})),
        ("delete", json!({"id": 1})),
        ("namespaces", json!({})),
        ("clear", json!({"namespace": "a"})),
        ("quota", json!({"action": "set", "namespace": "a", "max_entries": 1})),
        ("meta", json!({"action": "get", "key": "k"})),
        ("stats", json!({})),
        ("vacuum", json!({})),
        ("reembed", json!({"action": "status"})),
    ];
    for (function, request) in &requests {
        let error = stack.invoke(function, request.clone()).await.unwrap_err();
        assert_eq!(error.name, "StoreBackendError", "{function}");
        assert!(error.message.contains("create_table"), "{function}: {}", error.message);
    }
    let (status, problem) = stack.post("/v1/entries", json!({"query": "q", "response": "r"})).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:mneme:error:StoreBackendError")));
    let maker = Stack::builder().over_table_of(&stack).start().await;
    maker.put(json!({"query": "q", "response": "r"})).await;
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "hit");
    assert_eq!(stack.put(json!({"query": "s", "response": "r"})).await, 2);
}

/// Stores an entry as id 1 in an empty table, and returns the table's rows.
async fn restored(stack: &Stack) -> BTreeMap<i128, Item> {
    let keys: Vec<i128> = stack.rows().await.into_keys().collect();
    stack.delete_items(keys).await;
    stack.put(json!({"query": "q", "response": "r", "embedding": [1, 0]})).await;
    stack.rows().await
}

#[tokio::test]
async fn other_embedder_is_refused_by_operations_that_use_vectors_and_by_no_other() {
    let stack = Stack::builder()
        .variables(&[("MNEME_EMBEDDER_FINGERPRINT", "mine"), ("MNEME_EMBEDDER_DIM", "2")])
        .start()
        .await;
    stack.invoke("provision", json!({})).await.unwrap();
    let mut before = restored(&stack).await;
    for variables in [[("MNEME_EMBEDDER_FINGERPRINT", "other")], [("MNEME_EMBEDDER_DIM", "3")]] {
        let other = Stack::builder().over_table_of(&stack).variables(&variables).start().await;
        for (function, request) in [
            ("lookup", json!({"query": "q"})),
            ("put", json!({"query": "s", "response": "r", "embedding": [1, 0]})),
            ("provision", json!({})),
            ("provision", json!({"restamp": true})),
        ] {
            let error = other.invoke(function, request).await.unwrap_err();
            assert_eq!(error.name, "EmbedderMismatchError", "{function}");
        }
        assert_eq!(other.post("/v1/lookup", json!({"query": "q"})).await.0, 409);
        // The mismatch is a failure of the deployment: it raises the alarm and rolls the deployment back.
        let lines = other.log_until(|line| line.contains("\"caller\":\"http_api\"")).await;
        let reports: Vec<&String> = lines.iter().filter(|line| line.contains("\"_aws\"")).collect();
        assert!(reports.iter().all(|line| line.contains("\"Failures\":1.0")), "{reports:#?}");
        assert_eq!(stack.rows().await, before);
        let hash = mneme_model::normalize::QueryHash::of("q", true).to_string();
        for (function, request) in [
            ("get", json!({"id": 1})),
            ("find", json!({"query_hash": hash})),
            ("list", json!({})),
            ("namespaces", json!({})),
            ("stats", json!({})),
            ("quota", json!({"action": "set", "namespace": "a", "max_entries": 1})),
            ("quota", json!({"action": "get", "namespace": "a"})),
            ("meta", json!({"action": "set", "key": "guard:a", "value": "on"})),
            ("meta", json!({"action": "get", "key": "guard:a"})),
            ("settings", json!({"action": "get", "namespace": "a"})),
            ("settings", json!({"action": "list"})),
            ("touch", json!({"id": 1})),
            ("feedback", json!({"query": "t", "id": 1, "right": true})),
            ("update", json!({"id": 1, "response": "changed"})),
            ("vacuum", json!({})),
        ] {
            other.invoke(function, request).await.unwrap_or_else(|error| panic!("{function}: {error:?}"));
        }
        other.invoke("delete", json!({"id": 1})).await.unwrap();
        assert_eq!(other.invoke("clear", json!({"confirm": "all"})).await.unwrap(), json!({"deleted": 0}));
        before = restored(&stack).await;
    }
}

#[tokio::test]
async fn missing_permission_names_the_action() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    stack.proxy.inject_fault("GetItem", Fault::Refused("AccessDeniedException"));
    let error = stack.invoke("get", json!({"id": 1})).await.unwrap_err();
    assert_eq!(error.name, "StoreBackendError");
    assert!(error.message.contains("allow dynamodb:GetItem"), "{}", error.message);
    assert!(!error.message.contains("injected"), "the service's own text stays in the log: {}", error.message);
    assert_eq!(stack.invoke("get", json!({"id": 1})).await.unwrap()["id"], 1);
}

#[tokio::test]
async fn throttled_call_is_retried_then_reported() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    stack.invoke("get", json!({"id": 1})).await.unwrap();
    stack.proxy.inject_fault("GetItem", Fault::Refused("ThrottlingException"));
    assert_eq!(stack.invoke("get", json!({"id": 1})).await.unwrap()["id"], 1);
    for _ in 0..3 {
        stack.proxy.inject_fault("GetItem", Fault::Refused("ProvisionedThroughputExceededException"));
    }
    let (status, problem) = stack.get("/v1/entries/1").await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().contains("throttled"), "{problem}");
    assert_eq!(stack.proxy.pending_faults(), 0);
}

#[tokio::test]
async fn unreachable_endpoint_returns_store_backend_error() {
    let stack = Stack::start().await;
    let deaf = mneme_tests::Proxy::start().await;
    let url = deaf.url().to_owned();
    drop(deaf);
    let lost = Stack::builder().over_table_of(&stack).variables(&[("AWS_ENDPOINT_URL_DYNAMODB", &url)]).start().await;
    let error = lost.invoke("get", json!({"id": 1})).await.unwrap_err();
    assert_eq!(error.name, "StoreBackendError");
    assert!(error.message.contains("did not answer"), "{}", error.message);
}

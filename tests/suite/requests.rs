//! Requests as users send them: what is accepted in several spellings, and what is refused by name.

use mneme_tests::Stack;
use reqwest::{Client, Method};
use serde_json::{Value, json};

#[tokio::test]
async fn blank_questions_are_refused_by_every_operation_that_takes_one() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    for blank in ["", "  ", "\n\t", "\u{0}", "\u{a0}\u{200b}\u{feff}"] {
        for question in [json!({"query": blank}), json!({"messages": [{"role": "user", "content": blank}]})] {
            let mut entry = question.clone();
            entry["response"] = "r".into();
            for (function, request) in [
                ("lookup", question.clone()),
                ("put", entry),
                ("delete", question.clone()),
                ("calibrate", json!({"pairs": [{"a": question, "b": "b", "same": true, "similarity": 0.9}]})),
            ] {
                let error = stack.invoke(function, request).await.unwrap_err();
                assert_eq!(error.name, "InvalidRequest", "{function} {blank:?}");
                assert!(error.message.contains("empty"), "{function} {blank:?}: {}", error.message);
            }
        }
    }
    assert_eq!(stack.entry_ids().await, [1]);
}

#[tokio::test]
async fn put_with_a_whole_float_and_with_nulls_stores_the_entry() {
    let stack = Stack::start().await;
    let entry = json!({
        "query": "q", "response": "r", "namespace": null, "messages": null, "context": null, "embedding": null,
        "metadata": null, "ttl_seconds": 60.0, "confidence_score": null, "idempotency_key": null,
    });
    let id = stack.put(entry).await;
    let entry = stack.invoke("get", json!({"id": id as f64})).await.unwrap();
    assert_eq!(entry["expires_at"].as_i64().unwrap() - entry["created_at"].as_i64().unwrap(), 60);
    assert_eq!((&entry["namespace"], &entry["confidence_score"]), (&json!("default"), &json!(1.0)));
    let question = json!({"query": "q", "namespace": null, "bypass": null, "threshold": null, "guard": null});
    assert_eq!(stack.lookup(question).await["id"], id);
    let page = stack.invoke("list", json!({"namespace": null, "limit": 10.0, "order": null})).await.unwrap();
    assert_eq!(page["entries"][0]["id"], id);
}

#[tokio::test]
async fn metadata_comes_back_equal_or_is_refused() {
    let stack = Stack::start().await;
    let put = async |metadata: &str| {
        stack.invoke_raw("put", format!(r#"{{"query": "q", "response": "r", "metadata": {metadata}}}"#)).await
    };
    let kept = r#"{"big":18446744073709551615,"float":0.1,"small":-9223372036854775808,"text":"1e400"}"#;
    let id = put(kept).await.unwrap()["id"].clone();
    let entry = stack.invoke("get", json!({"id": id})).await.unwrap();
    assert_eq!(entry["metadata"].to_string(), kept);
    for number in ["123456789012345678901234567890", "18446744073709551617", "0.12345678901234567890"] {
        let error = put(&format!(r#"{{"a": [{number}]}}"#)).await.unwrap_err();
        let says = format!("metadata: the number {number} cannot be kept exactly");
        assert!(error.name == "InvalidRequest" && error.message.starts_with(&says), "{}", error.message);
    }
    assert_eq!(stack.entry_ids().await, [1]);
}

#[tokio::test]
async fn bodies_that_are_not_plain_json_are_named_for_what_they_are() {
    let stack = Stack::start().await;
    let (status, _, reply) = stack.http_raw("/v1/lookup", "\u{feff}{\"query\": \"q\"}").await;
    assert_eq!((status, &reply["outcome"]), (200, &json!("miss")), "{reply}");

    let deep = format!("{{\"query\": \"q\", \"context\": {{\"a\": {}{}}}}}", "[".repeat(200), "]".repeat(200));
    let utf16: Vec<u8> = "{\"query\": \"q\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, says) in [
        (br#"{"query": "q", "query": "r"}"#.to_vec(), "`query` is given twice in one object"),
        (deep.into_bytes(), "nested more than 100 levels deep"),
        (utf16, "UTF-16"),
        (b"\x1f\x8b\x08\x00".to_vec(), "gzip"),
    ] {
        let (status, _, problem) = stack.http_raw("/v1/lookup", body).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }

    let url = format!("{}/v1/lookup", stack.server.api_url());
    let request = Client::new().post(url).header("content-encoding", "gzip").body(b"\x1f\x8b\x08\x00".to_vec());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 415);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "urn:mneme:error:UnsupportedContentEncoding");
}

#[tokio::test]
async fn batches_with_shared_fields_apply_them_to_each_item_without_its_own() {
    let stack = Stack::start().await;
    let batch = json!({
        "namespace": "a", "ttl_seconds": 60, "metadata": {"by": "batch"},
        "entries": [
            {"query": "q1", "response": "r1"},
            {"query": "q2", "response": "r2", "namespace": "b", "metadata": {}},
            {"query": "q3", "response": "r3", "ttl_seconds": 0},
        ],
    });
    let results = stack.invoke("put", batch).await.unwrap()["results"].clone();
    assert_eq!((&results[0]["created"], &results[1]["created"]), (&json!(true), &json!(true)), "{results}");
    assert!(results[2]["error"]["detail"].as_str().unwrap().starts_with("ttl_seconds: 0"), "{results}");

    let batch =
        json!({"namespace": "a", "queries": [{"query": "q1"}, {"query": "q2"}, {"query": "q2", "namespace": "b"}]});
    let (status, reply) = stack.post("/v1/lookup", batch).await;
    let results = &reply["results"];
    assert_eq!(status, 200);
    assert_eq!((&results[0]["response"], &results[0]["metadata"]), (&json!("r1"), &json!({"by": "batch"})));
    assert_eq!(results[1]["outcome"], "miss");
    assert_eq!((&results[2]["response"], &results[2]["metadata"]), (&json!("r2"), &json!({})));
}

#[tokio::test]
async fn lookup_with_a_query_over_its_limit_names_the_query() {
    let stack = Stack::start().await;
    let (status, problem) = stack.post("/v1/lookup", json!({"query": "x".repeat(40_000)})).await;
    assert_eq!((status, &problem["type"]), (413, &json!("urn:mneme:error:EntryTooLarge")));
    assert_eq!(problem["detail"], "the query has 40000 bytes, and 32768 are allowed");
    assert!(!problem["title"].as_str().unwrap().contains("entry"), "{problem}");
}

#[tokio::test]
async fn paths_have_one_spelling() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    assert_eq!(stack.get("/v1/entries/1").await.0, 200);
    for id in ["+1", "01", "1.0", "%201"] {
        let (status, problem) = stack.get(&format!("/v1/entries/{id}")).await;
        assert_eq!(status, 400, "{id}: {problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with("id: a whole number from 1 is expected"), "{problem}");
    }
    let (status, problem) = stack.http(Method::DELETE, "/v1/namespaces/%FF", None).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("not UTF-8"), "{problem}");
}

#[tokio::test]
async fn a_namespace_without_entries_is_an_empty_one() {
    let stack = Stack::start().await;
    let (status, stats) = stack.get("/v1/stats?namespace=nope").await;
    assert_eq!((status, &stats["entries"]), (200, &json!(0)));
    assert_eq!(stack.http(Method::DELETE, "/v1/namespaces/nope", None).await, (200, json!({"deleted": 0})));
}

#[tokio::test]
async fn list_with_a_cursor_of_another_namespace_is_refused() {
    let stack = Stack::start().await;
    for namespace in ["a", "b"] {
        for query in ["1", "2", "3"] {
            stack.put(json!({"query": query, "response": "r", "namespace": namespace})).await;
        }
    }
    let (_, page) = stack.get("/v1/entries?namespace=a&order=lru&limit=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    assert_eq!(stack.get(&format!("/v1/entries?namespace=a&order=lru&cursor={cursor}")).await.0, 200);
    for other in ["namespace=b&order=lru", "order=lru", "namespace=a"] {
        let (status, problem) = stack.get(&format!("/v1/entries?{other}&cursor={cursor}")).await;
        assert_eq!(status, 400, "{other}: {problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with("cursor: "), "{problem}");
    }
}

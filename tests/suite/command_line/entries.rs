//! Commands on single entries: `ask`, `put`, `entries`, `delete`, and what they print.

use mneme_tests::Stack;
use serde_json::{Value, json};

use super::mneme;

#[tokio::test]
async fn command_put_then_ask_prints_the_answer() {
    let stack = Stack::start().await;
    let put = mneme(&stack, &["put", "How do I pay?", "--answer", "By card.", "-n", "shop", "--ttl", "600"]).await;
    assert_eq!(put.succeeded(), "stored    entry 1\n");
    let asked = mneme(&stack, &["ask", "how do I  PAY?", "--namespace", "shop"]).await.succeeded();
    assert!(
        asked.starts_with("hit   exact, entry 1, similarity 1.0000, ") && asked.ends_with("\n\nBy card.\n"),
        "{asked}"
    );
    let replaced = mneme(&stack, &["put", "How do I pay?", "-a", "By invoice.", "-n", "shop"]).await.succeeded();
    assert_eq!(replaced, "replaced  entry 1\n");
    let kept = mneme(&stack, &["put", "How do I pay?", "-a", "No.", "-n", "shop", "--if-absent"]).await.succeeded();
    assert_eq!(kept, "kept      entry 1\n");
    let json = mneme(&stack, &["ask", "How do I pay?", "-n", "shop", "--json"]).await.json();
    assert_eq!((&json["outcome"], &json["response"]), (&json!("hit"), &json!("By invoice.")));
}

#[tokio::test]
async fn command_ask_without_an_answer_prints_the_reason_and_exits_with_3() {
    let stack = Stack::start().await;
    let miss = mneme(&stack, &["ask", "How do I pay?"]).await;
    assert_eq!((miss.code, miss.stdout.as_str()), (Some(3), "miss  no_embedding\n"));
}

#[tokio::test]
async fn command_explain_shows_what_decided() {
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER_DIM", "2")]).start().await;
    stack.put(json!({"query": "How do I pay?", "response": "By card.", "context": {"model": "small"}})).await;
    let other = mneme(&stack, &["explain", "How do I pay?", "--context", r#"{"model":"large"}"#]).await;
    assert_eq!(other.code, Some(3), "{other:?}");
    for part in
        ["miss  ", "compared   how do i pay?", "context    ", "rules      threshold 0.8500, cutoff 0.7, guard on"]
    {
        assert!(other.stdout.contains(part), "{part}\n{}", other.stdout);
    }
    stack.put(json!({"query": "How do I pay?", "response": "By card."})).await;
    let hit = mneme(&stack, &["explain", "how do I PAY?"]).await.succeeded();
    for part in
        ["hit   exact, entry 2", "to    How do I pay?", "By card.", "│ 2     ┆ How do I pay?   ┆ exact ┆ 1.0000"]
    {
        assert!(hit.contains(part), "{part}\n{hit}");
    }
    let json = mneme(&stack, &["explain", "how do I PAY?", "--json"]).await.json();
    assert_eq!(json["explanation"]["candidates"][0]["served"], true);
}

#[tokio::test]
async fn command_with_messages_and_context_asks_as_a_caller_does() {
    let (stack, folder) = (Stack::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("messages.json");
    std::fs::write(
        &file,
        json!([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}]).to_string(),
    )
    .unwrap();
    let question = ["--messages", file.to_str().unwrap(), "--context", r#"{"model":"small"}"#];
    mneme(&stack, &[&["put", "--answer", "So."][..], &question].concat()).await.succeeded();
    assert!(mneme(&stack, &[&["ask"][..], &question].concat()).await.succeeded().ends_with("So.\n"));
    assert_eq!(mneme(&stack, &["ask", "Why?"]).await.code, Some(3));
    mneme(&stack, &["ask", "Why?", "--context", "small"]).await.failed(2, &["give a JSON object"]);
    std::fs::write(&file, "{}").unwrap();
    mneme(&stack, &[&["ask"][..], &question].concat()).await.failed(2, &["a JSON list"]);
}

#[tokio::test]
async fn command_entries_lists_pages_and_shows_one_entry() {
    let stack = Stack::start().await;
    let entries: Vec<Value> =
        (1..=1005).map(|n| json!({"query": format!("Question {n}"), "response": "A", "namespace": "n"})).collect();
    for chunk in entries.chunks(1000) {
        stack.invoke("put", json!({"entries": chunk})).await.unwrap();
    }
    stack.put(json!({"query": "Other", "response": "B", "metadata": {"source": "manual"}, "embedding": [1, 0]})).await;
    let lines = mneme(&stack, &["entries", "--namespace", "n", "--limit", "5000", "--json"]).await.succeeded();
    assert_eq!(lines.lines().count(), 1005);
    assert!(!lines.contains("embedding"));
    let table = mneme(&stack, &["entries", "--after", "1000", "-l", "3"]).await.succeeded();
    assert!(table.contains("Question 1001") && table.contains("Question 1003"), "{table}");
    assert!(!table.contains("Question 1000") && !table.contains("Question 1004"), "{table}");
    let one = mneme(&stack, &["entries", "1006"]).await.succeeded();
    for part in ["1006 in default", "question    Other", r#"{"source":"manual"}"#, "kept without an end", "\n\nB\n"] {
        assert!(one.contains(part), "{part}\n{one}");
    }
    let with_vector = mneme(&stack, &["entries", "1006", "--vectors", "--json"]).await.json();
    assert!(with_vector["embedding"].is_string(), "{with_vector}");
    assert!(mneme(&stack, &["entries", "--lru", "-l", "1"]).await.succeeded().contains("Question 1"));
}

#[tokio::test]
async fn command_that_finds_no_entry_exits_with_3() {
    let stack = Stack::start().await;
    mneme(&stack, &["entries", "7"]).await.failed(3, &["NotFound: there is no such entry"]);
    mneme(&stack, &["delete", "--id", "7"]).await.failed(3, &["NotFound"]);
    let json = mneme(&stack, &["delete", "Nothing", "--json"]).await;
    assert_eq!(json.code, Some(3));
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(error["error"], "NotFound");
    assert!(error["remediation"].is_string());
}

#[tokio::test]
async fn command_delete_takes_ids_or_a_question() {
    let stack = Stack::start().await;
    for query in ["a", "b", "c"] {
        stack.put(json!({"query": query, "response": "A"})).await;
    }
    let deleted = mneme(&stack, &["delete", "--id", "1", "3"]).await.succeeded();
    assert_eq!(deleted, "deleted   entry 1\ndeleted   entry 3\n");
    assert_eq!(mneme(&stack, &["delete", "B"]).await.succeeded(), "deleted   entry 2\n");
    mneme(&stack, &["delete"]).await.failed(2, &["QUESTION"]);
    mneme(&stack, &["delete", "b", "--id", "1"]).await.failed(2, &["cannot be used with"]);
}

#[tokio::test]
async fn command_output_of_hostile_texts_has_no_control_characters() {
    let stack = Stack::start().await;
    let hostile = "\u{1b}[2J\u{202e}<script>alert(1)</script>\u{7}";
    // A namespace has no control characters.
    let namespace = "\u{202e}<b>acme</b>";
    stack.put(json!({"query": hostile, "response": hostile, "namespace": namespace})).await;
    let is_hostile = |text: &str| text.contains(['\u{1b}', '\u{202e}', '\u{7}']);
    for arguments in [&["entries"][..], &["entries", "1"], &["namespaces"], &["ask", hostile, "-n", namespace]] {
        let run = mneme(&stack, arguments).await;
        assert!(!is_hostile(&run.stdout) && run.stdout.contains("u{202e}"), "{arguments:?} {run:?}");
    }
}

#[tokio::test]
async fn command_patch_changes_what_is_given_and_no_more() {
    let stack = Stack::start().await;
    let put = ["put", "How do I pay?", "-a", "By card.", "--tag", "v1", "--tag", "faq", "--ttl", "600"];
    mneme(&stack, &put).await.succeeded();
    let shown = mneme(&stack, &["patch", "1", "-a", "By invoice.", "--confidence", "0.5"]).await.succeeded();
    for part in ["tags        faq, v1", "confidence  0.5", "\n\nBy invoice.\n"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let patched =
        mneme(&stack, &["patch", "1", "--tag", "v2", "--metadata", r#"{"a":1}"#, "--forever", "--json"]).await;
    let patched = patched.json();
    assert_eq!((&patched["tags"], &patched["metadata"]), (&json!(["v2"]), &json!({"a": 1})));
    assert_eq!((&patched["expires_at"], &patched["response"]), (&Value::Null, &json!("By invoice.")));
    assert_eq!(mneme(&stack, &["patch", "1", "--no-tags", "--json"]).await.json()["tags"], json!([]));
    mneme(&stack, &["patch", "1"]).await.failed(2, &["required arguments"]);
    mneme(&stack, &["patch", "1", "--ttl", "5", "--forever"]).await.failed(2, &["cannot be used with"]);
    mneme(&stack, &["patch", "7", "--ttl", "5"]).await.failed(3, &["NotFound"]);
}

#[tokio::test]
async fn command_with_tags_finds_and_deletes_by_them() {
    let stack = Stack::start().await;
    for (query, tag) in [("a", "v1"), ("b", "v2"), ("c", "v1")] {
        mneme(&stack, &["put", query, "-a", "A", "-n", "shop", "--tag", tag]).await.succeeded();
    }
    assert_eq!(mneme(&stack, &["ask", "a", "-n", "shop", "--tag", "v2"]).await.code, Some(3));
    assert!(mneme(&stack, &["ask", "a", "-n", "shop", "--tag", "v1"]).await.succeeded().starts_with("hit "));
    let ids = async |arguments: &[&str]| {
        let lines = mneme(&stack, &[&["entries", "--json"], arguments].concat()).await.succeeded();
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["-n", "shop", "--tag", "v1"]).await, [1, 3]);
    assert_eq!(ids(&["--tag", "v2"]).await, [2]);
    assert_eq!(ids(&["--text", "C"]).await, [3]);
    mneme(&stack, &["delete", "--tag", "v1"]).await.failed(2, &["--namespace"]);
    assert_eq!(mneme(&stack, &["delete", "--tag", "v1", "-n", "shop"]).await.succeeded(), "deleted   2 entries\n");
    let none = mneme(&stack, &["delete", "--tag", "v1", "-n", "shop", "--json"]).await.json();
    assert_eq!(none, json!({"deleted_entries": 0}));
    assert_eq!(stack.entry_ids().await, [2]);
}

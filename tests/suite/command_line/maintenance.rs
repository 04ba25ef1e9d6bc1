//! Commands on the whole cache: `purge`, `namespaces`, `stats`, `vacuum`, `completions`.

use mneme_tests::Stack;
use serde_json::json;

use super::{command, mneme, run};

#[tokio::test]
async fn command_purge_deletes_a_namespace_with_its_settings_or_all_entries() {
    let stack = Stack::start().await;
    for (namespace, query) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")] {
        stack.put(json!({"query": query, "response": "A", "namespace": namespace})).await;
    }
    stack.invoke("settings", json!({"action": "set", "namespace": "a", "cutoff": 0.9})).await.unwrap();
    let table = mneme(&stack, &["namespaces"]).await.succeeded();
    assert!(table.contains("│ a         ┆ 2       │"), "{table}");
    mneme(&stack, &["purge", "a"]).await.failed(1, &["give --yes"]);
    mneme(&stack, &["purge"]).await.failed(2, &["NAMESPACE"]);
    let purged = mneme(&stack, &["purge", "a", "--yes"]).await.succeeded();
    assert!(purged.starts_with("deleted   2 entries\npurged    "), "{purged}");
    let settings = stack.invoke("settings", json!({"action": "list"})).await.unwrap();
    assert_eq!(settings, json!({"namespaces": [], "cursor": null}));
    assert_eq!(mneme(&stack, &["purge", "--all", "--yes", "--json"]).await.json(), json!({"deleted": 2}));
    assert!(stack.entry_ids().await.is_empty());
}

#[tokio::test]
async fn command_stats_counts_once_or_watches() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "x", "response": "A"})).await;
    let once = mneme(&stack, &["stats"]).await.succeeded();
    for part in ["entries   1 in 1 namespaces", "hits      0 (0 exact, 0 semantic)", "hit rate  -"] {
        assert!(once.contains(part), "{part}\n{once}");
    }
    let watched = mneme(&stack, &["stats", "--watch", "1", "--lines", "2"]).await.succeeded();
    assert_eq!(watched.lines().filter(|line| line.contains("  entries 1  hits +0 (0 exact)")).count(), 2, "{watched}");
    assert_eq!(mneme(&stack, &["stats", "--json", "-n", "none"]).await.json()["entries"], 0);
}

#[tokio::test]
async fn command_stats_of_a_range_shows_periods_and_what_hits_saved() {
    let stack = Stack::start().await;
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 200, "latency_ms": 1500});
    stack.put(json!({"query": "x", "response": "A", "namespace": "a", "usage": usage})).await;
    for query in ["x", "x", "y"] {
        stack.lookup(json!({"query": query, "namespace": "a"})).await;
    }
    stack.server.recycle("lookup").await;
    let table = mneme(&stack, &["stats", "-n", "a", "--from", "7d", "--by", "day"]).await.succeeded();
    for part in ["hit rate", "66.7 %", "2400", "3.0", "│ all"] {
        assert!(table.contains(part), "{part}\n{table}");
    }
    let json = mneme(&stack, &["stats", "--from", "2h", "--to", "1h", "--json"]).await.json();
    assert_eq!((&json["by"], &json["total"]["misses"]), (&json!("hour"), &json!(0)));
    mneme(&stack, &["stats", "--by", "week"]).await.failed(2, &["give hour or day"]);
    mneme(&stack, &["stats", "--from", "soon"]).await.failed(2, &["give epoch seconds"]);
    mneme(&stack, &["stats", "--from", "7d", "--watch"]).await.failed(2, &["cannot be used with"]);
}

#[tokio::test]
async fn command_vacuum_goes_on_to_the_end_and_adds_up() {
    let stack = Stack::start().await;
    for number in 0..30 {
        stack.put(json!({"query": number.to_string(), "response": "A", "ttl_seconds": 60})).await;
    }
    stack.backdate(1..=10, 120).await;
    let done = mneme(&stack, &["vacuum", "--json"]).await.json();
    assert_eq!((&done["expired"], &done["basis_learned"]), (&json!(10), &json!(false)));
    assert!(mneme(&stack, &["vacuum"]).await.succeeded().contains("expired            0\n"));
}

#[tokio::test]
async fn command_completions_are_a_script_of_the_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(command(&["completions", shell])).await.succeeded();
        assert!(script.contains("mneme") && script.contains("calibrate"), "{shell}");
    }
}

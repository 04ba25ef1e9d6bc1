//! Commands on the whole cache: `purge`, `namespaces`, `stats`, `vacuum`, `completions`.

use mneme_tests::Stack;
use serde_json::json;

use super::{command, mneme, run};

#[tokio::test]
async fn command_purge_deletes_a_namespace_or_all() {
    let stack = Stack::start().await;
    for (namespace, query) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")] {
        stack.put(json!({"query": query, "response": "A", "namespace": namespace})).await;
    }
    let table = mneme(&stack, &["namespaces"]).await.succeeded();
    assert!(table.contains("│ a         ┆ 2       │"), "{table}");
    mneme(&stack, &["purge", "a"]).await.failed(1, &["give --yes"]);
    mneme(&stack, &["purge"]).await.failed(2, &["NAMESPACE"]);
    assert_eq!(mneme(&stack, &["purge", "a", "--yes"]).await.succeeded(), "deleted   2 entries\n");
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

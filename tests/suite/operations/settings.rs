//! `settings`: reading, setting, removing and listing, and their effect on puts and lookups.

use insta::assert_compact_json_snapshot;
use mneme_tests::stack::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED, order, order_reworded, variant};

async fn set(stack: &Stack, namespace: &str, settings: Value) {
    let (status, reply) =
        stack.http(Method::PUT, &format!("/v1/namespaces/{namespace}/settings"), Some(settings)).await;
    assert_eq!(status, 200, "{reply}");
}

async fn put(stack: &Stack, namespace: &str, query: &str, angle: f64) -> u64 {
    stack.put(json!({"query": query, "response": "A", "namespace": namespace, "embedding": vector(8, angle)})).await
}

async fn ask(stack: &Stack, namespace: &str, query: &str, angle: f64) -> Value {
    stack.lookup(json!({"query": query, "namespace": namespace, "embedding": vector(8, angle)})).await
}

#[tokio::test]
async fn settings_can_be_set_read_and_deleted() {
    let stack = Stack::start().await;
    let path = "/v1/namespaces/a%20b/settings";
    let (status, none) = stack.get(path).await;
    assert_eq!((status, &none["settings"]), (200, &json!({})));
    let configured = json!({
        "threshold": 0.85, "cutoff": 0.7, "guard": "on", "layers": "all", "default_ttl_seconds": null,
        "max_entries": null, "cross_language": false, "max_answer_age": null,
    });
    assert_eq!(none["effective"], configured);
    let own = json!({
        "threshold": 0.5, "cutoff": 0.25, "guard": "off", "layers": "exact", "default_ttl_seconds": 60, "max_entries": 7,
        "cross_language": true, "max_answer_age": 3600,
    });
    let (status, all) = stack.http(Method::PUT, path, Some(own.clone())).await;
    assert_eq!((status, &all["settings"], &all["effective"]), (200, &own, &own));
    assert_eq!(stack.get(path).await, (200, all));
    assert_eq!(stack.get("/v1/namespaces/a%20b/quota").await.1["max_entries"], 7);

    // A set replaces everything, and null counts as absent.
    let (_, fewer) = stack.http(Method::PUT, path, Some(json!({"guard": "off", "threshold": null}))).await;
    assert_eq!(fewer["settings"], json!({"guard": "off"}));
    assert_eq!(stack.get("/v1/namespaces/a%20b/quota").await.0, 404);

    let (status, gone) = stack.http(Method::DELETE, path, None).await;
    assert_eq!((status, &gone["settings"], &gone["effective"]), (200, &json!({}), &none["effective"]));
    assert_eq!(stack.http(Method::DELETE, path, None).await.0, 404);
    assert!(stack.rows().await.keys().all(|id| *id == 0 || stack_directory(*id)), "no item is left but the directory");
    assert_eq!(stack.counter().await, (1, 3));
}

/// Whether `id` is the key of an item of the directory of settings.
fn stack_directory(id: i128) -> bool {
    -id >> 120 == 22
}

#[tokio::test]
async fn invalid_settings_are_refused_by_the_name_of_the_field() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for (bad, field) in [
        (json!({"threshold": 1.5}), "threshold"),
        (json!({"threshold": "high"}), "threshold"),
        (json!({"cutoff": -0.1}), "cutoff"),
        (json!({"guard": "maybe"}), "guard"),
        (json!({"layers": "semantic"}), "layers"),
        (json!({"default_ttl_seconds": 0}), "default_ttl_seconds"),
        (json!({"max_entries": 0}), "max_entries"),
        (json!({"max_answer_age": 0}), "max_answer_age"),
        (json!({"max_answers": 1}), "max_answers"),
        (json!({"limit": 3}), "cursor, limit"),
    ] {
        let (status, problem) = stack.http(Method::PUT, "/v1/namespaces/a/settings", Some(bad.clone())).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:mneme:error:InvalidRequest")), "{bad}");
        assert!(problem["detail"].as_str().unwrap().starts_with(field), "{bad}: {problem}");
    }
    for bad in [
        json!({"action": "get", "namespace": "a", "threshold": 0.5}),
        json!({"action": "get"}),
        json!({"action": "list", "namespace": "a"}),
        json!({"action": "list", "limit": 0}),
        json!({"namespace": "a"}),
    ] {
        assert_eq!(stack.invoke("settings", bad.clone()).await.unwrap_err().name, "InvalidRequest", "{bad}");
    }
    assert_eq!(stack.counter().await, (1, 0));
}

#[tokio::test]
async fn settings_are_listed_in_pages_in_the_order_of_names() {
    let stack = Stack::start().await;
    for name in ["c", "a", "d", "b"] {
        set(&stack, name, json!({"cutoff": 0.5})).await;
    }
    stack.invoke("quota", json!({"action": "set", "namespace": "e", "max_entries": 5})).await.unwrap();
    stack.invoke("settings", json!({"action": "delete", "namespace": "d"})).await.unwrap();
    let (mut names, mut path) = (Vec::new(), "/v1/settings?limit=2".to_owned());
    loop {
        let (status, page) = stack.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let namespaces = page["namespaces"].as_array().unwrap();
        names.extend(namespaces.iter().map(|one| one["namespace"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/v1/settings?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["a", "b", "c", "e"]);
    // `vacuum` makes the directory again.
    let lost: Vec<i128> = stack.rows().await.into_keys().filter(|id| stack_directory(*id)).collect();
    stack.delete_items(lost).await;
    assert_eq!(stack.get("/v1/settings").await.1["namespaces"], json!([]));
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(stack.get("/v1/settings").await.1["namespaces"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn threshold_of_a_namespace_applies_from_the_next_lookup_on_and_nowhere_else() {
    let stack = Stack::builder().variables(&[("MNEME_CONFIDENCE_CUTOFF", "0")]).start().await;
    for namespace in ["a", "b"] {
        put(&stack, namespace, QUESTION, 0.0).await;
    }
    let outcome = async |namespace: &str, angle: f64| ask(&stack, namespace, REWORDED, angle).await["outcome"].clone();
    // cos(0.7) = 0.765, cos(0.3) = 0.955.
    assert_eq!([outcome("a", 0.7).await, outcome("b", 0.3).await], ["miss", "hit"]);
    set(&stack, "a", json!({"threshold": 0.7})).await;
    set(&stack, "b", json!({"threshold": 0.99})).await;
    assert_eq!([outcome("a", 0.7).await, outcome("b", 0.3).await], ["hit", "miss"]);
    // A request can only raise it.
    let question = json!({"query": REWORDED, "namespace": "a", "embedding": vector(8, 0.7), "threshold": 0.8});
    assert_eq!(stack.lookup(question).await["reason"], "below_threshold");
    stack.invoke("settings", json!({"action": "delete", "namespace": "a"})).await.unwrap();
    assert_eq!(outcome("a", 0.7).await, "miss");
}

#[tokio::test]
async fn cutoff_and_age_of_a_namespace_hold_in_both_layers() {
    let stack = Stack::start().await;
    let old = put(&stack, "a", QUESTION, 0.0).await;
    stack.backdate([old], 1000).await;
    set(&stack, "a", json!({"max_answer_age": 900})).await;
    let exact = json!({"query": QUESTION, "namespace": "a"});
    assert_eq!(stack.lookup(exact.clone()).await["reason"], "too_old");
    assert_eq!(ask(&stack, "a", REWORDED, 0.1).await["reason"], "too_old");
    // A younger entry that is less similar is served.
    put(&stack, "a", &variant(1), 0.2).await;
    assert_eq!(ask(&stack, "a", REWORDED, 0.0).await["query"], variant(1));
    set(&stack, "a", json!({"cutoff": 1.0, "max_answer_age": 2000})).await;
    assert_eq!(stack.lookup(exact.clone()).await["outcome"], "hit", "the confidence of an equal question is 1");
    assert_eq!(ask(&stack, "a", REWORDED, 0.0).await["reason"], "low_confidence");
}

#[tokio::test]
async fn exact_layer_alone_answers_where_the_settings_say_so() {
    let stack = Stack::start().await;
    put(&stack, "a", QUESTION, 0.0).await;
    set(&stack, "a", json!({"layers": "exact"})).await;
    assert_eq!(ask(&stack, "a", QUESTION, 0.0).await["layer"], "exact");
    assert_compact_json_snapshot!(
        ask(&stack, "a", REWORDED, 0.0).await,
        @r#"{"best_similarity": null, "outcome": "miss", "reason": "exact_only"}"#
    );
    set(&stack, "a", json!({"layers": "all"})).await;
    assert_eq!(ask(&stack, "a", REWORDED, 0.0).await["layer"], "semantic");
}

#[tokio::test]
async fn guard_of_a_namespace_is_switched_by_its_settings_and_by_its_older_key() {
    let stack = Stack::start().await;
    put(&stack, "a", &order(48_213), 0.0).await;
    let outcome = async || ask(&stack, "a", &order_reworded(48_231), 0.0).await["outcome"].clone();
    assert_eq!(outcome().await, "miss");
    set(&stack, "a", json!({"guard": "off"})).await;
    assert_eq!(outcome().await, "hit");
    stack.http(Method::PUT, "/v1/meta/guard:a", Some(json!({"value": "on"}))).await;
    assert_eq!(stack.get("/v1/namespaces/a/settings").await.1["settings"], json!({"guard": "on"}));
    assert_eq!(outcome().await, "miss");
}

#[tokio::test]
async fn language_of_a_namespace_may_differ_where_the_settings_say_so() {
    let stack = Stack::builder().variables(&[("MNEME_CONFIDENCE_CUTOFF", "0")]).start().await;
    put(&stack, "a", "How do I reset my password?", 0.0).await;
    let german = "Wie setze ich mein Passwort zurück?";
    assert_eq!(ask(&stack, "a", german, 0.0).await["veto"], "language");
    set(&stack, "a", json!({"cross_language": true})).await;
    assert_ne!(ask(&stack, "a", german, 0.0).await["veto"], "language");
}

#[tokio::test]
async fn default_time_to_live_of_a_namespace_applies_to_puts_that_name_none() {
    let stack = Stack::builder().variables(&[("MNEME_DEFAULT_TTL_SECS", "1000")]).start().await;
    set(&stack, "a", json!({"default_ttl_seconds": 60})).await;
    let ttl = async |entry: Value| {
        let id = stack.put(entry).await;
        let entry = stack.get(&format!("/v1/entries/{id}")).await.1;
        entry["expires_at"].as_i64().unwrap() - entry["created_at"].as_i64().unwrap()
    };
    assert_eq!(ttl(json!({"query": "1", "response": "A", "namespace": "a"})).await, 60);
    assert_eq!(ttl(json!({"query": "2", "response": "A", "namespace": "a", "ttl_seconds": 7})).await, 7);
    assert_eq!(ttl(json!({"query": "3", "response": "A", "namespace": "b"})).await, 1000);
    let today = json!({"query": "What is the weather today?", "response": "A", "namespace": "a"});
    assert_eq!(ttl(today).await, 60, "an answer that depends on the time lives no longer");
}

#[tokio::test]
async fn settings_of_a_namespace_cost_a_warm_lookup_nothing() {
    let stack = Stack::start().await;
    for namespace in ["a", "b"] {
        put(&stack, namespace, QUESTION, 0.0).await;
        set(&stack, namespace, json!({"cutoff": 0.5})).await;
    }
    let units = async |namespace: &str| {
        stack.proxy.take_calls();
        assert_eq!(ask(&stack, namespace, REWORDED, 0.1).await["outcome"], "hit");
        let calls = stack.proxy.take_calls();
        // An instance may write counts of lookups meanwhile.
        let reads: Vec<_> = calls.into_iter().filter(|call| call.operation == "BatchGetItem").collect();
        let keys =
            reads.iter().map(|call| call.request["RequestItems"]["mneme"]["Keys"].as_array().map_or(0, Vec::len));
        (reads.len(), keys.sum::<usize>())
    };
    units("a").await;
    let warm = units("a").await;
    assert_eq!(warm, (1, 3), "one call reads the counter, the pointer and the candidate");
    // A change anywhere makes each instance read the settings of a namespace once more, with the next lookup's calls.
    set(&stack, "b", json!({"cutoff": 0.6})).await;
    let (calls, keys) = units("a").await;
    assert!(calls <= 2 && keys == 4, "{calls} calls, {keys} keys");
    assert_eq!(units("a").await, warm);
}

#[tokio::test]
async fn settings_of_a_table_shared_with_the_python_library_leave_its_quotas_in_item_0() {
    let stack = Stack::builder().variables(&[("MNEME_GSI_PROJECTION", "ALL")]).start().await;
    set(&stack, "a", json!({"max_entries": 7, "guard": "off"})).await;
    let rows = stack.rows().await;
    assert_eq!(rows[&0]["quotas"].as_m().unwrap()["a"].as_n().unwrap(), "7");
    assert_eq!(stack.get("/v1/namespaces/a/settings").await.1["settings"], json!({"max_entries": 7, "guard": "off"}));
    stack.invoke("settings", json!({"action": "delete", "namespace": "a"})).await.unwrap();
    assert!(stack.rows().await[&0]["quotas"].as_m().unwrap().is_empty());
}

#[tokio::test]
async fn concurrent_changes_of_one_namespace_are_all_kept() {
    let stack = Stack::builder().max_instances(4).start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    let quota = stack.invoke("quota", json!({"action": "set", "namespace": "a", "max_entries": 9}));
    let guard = stack.invoke("meta", json!({"action": "set", "key": "guard:a", "value": "off"}));
    let other = stack.invoke("settings", json!({"action": "set", "namespace": "b", "cutoff": 0.1}));
    let (quota, guard, other) = tokio::join!(quota, guard, other);
    for result in [quota, guard, other] {
        result.unwrap();
    }
    assert_eq!(stack.get("/v1/namespaces/a/settings").await.1["settings"], json!({"max_entries": 9, "guard": "off"}));
    assert_eq!(stack.counter().await, (1, 3));
}

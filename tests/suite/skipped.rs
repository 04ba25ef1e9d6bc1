//! Puts that store nothing because of what the response or the question says.

use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

fn entry(query: &str, response: &str) -> Value {
    json!({"query": query, "response": response, "embedding": vector(8, 0.0)})
}

#[tokio::test]
async fn put_of_what_is_no_answer_is_skipped_by_name() {
    let stack = Stack::builder().variables(&[("MNEME_REFUSE_RESPONSES", "(?i)internal use only\n^TODO")]).start().await;
    for (response, finish_reason, reason) in [
        ("The mill was", Some("length"), "truncated"),
        ("Let me look.", Some("tool_use"), "truncated"),
        ("A.", Some("content_filter"), "refusal"),
        (" \n", None, "empty"),
        (r#"{"error": {"message": "overloaded"}}"#, None, "error"),
        (" [ERROR] upstream", None, "error"),
        ("I'm sorry, but I can't assist with that request.", Some("stop"), "refusal"),
        ("Es ist ein Fehler aufgetreten.", None, "error"),
        ("For Internal Use Only: the code is 7.", None, "pattern"),
    ] {
        let mut put = entry("Who built the mill?", response);
        put["finish_reason"] = json!(finish_reason);
        let (status, reply) = stack.post("/v1/entries", put).await;
        assert_eq!((status, &reply), (200, &json!({"created": false, "skipped": reason})), "{response}");
    }
    assert_eq!(stack.lookup(json!({"query": "Who built the mill?"})).await["outcome"], "miss");
    for response in ["Sorry to hear that! Restart it.", "HTTP 503 means that the service is unavailable.", "TODAY"] {
        stack.put(entry(response, response)).await;
    }
    let mut unknown = entry("q", "A");
    unknown["finish_reason"] = json!("because");
    let error = stack.invoke("put", unknown).await.unwrap_err();
    assert!(error.name == "InvalidRequest" && error.message.contains("finish_reason: there is no reason"), "{error:?}");
}

#[tokio::test]
async fn batch_with_skipped_entries_stores_the_others() {
    let stack = Stack::start().await;
    let entries = [entry("a", "A"), entry("b", "I don't know."), entry("c", "C")];
    let reply = stack.invoke("put", json!({ "entries": entries })).await.unwrap();
    let skipped = json!({"created": false, "skipped": "refusal"});
    let stored = |id| json!({"id": id, "created": true});
    assert_eq!(reply["results"], json!([stored(1), skipped, stored(2)]));
    assert_eq!(stack.counter().await, (3, 2));
}

#[tokio::test]
async fn skipped_put_with_an_idempotency_key_answers_the_same_again() {
    let stack = Stack::start().await;
    let mut put = entry("a", "I don't know.");
    put["idempotency_key"] = json!("k");
    for _ in 0..2 {
        let reply = stack.invoke("put", put.clone()).await.unwrap();
        assert_eq!(reply, json!({"created": false, "skipped": "refusal"}));
    }
    // Nothing was stored under the key, so it is still free.
    put["response"] = json!("A");
    for _ in 0..2 {
        assert_eq!(stack.invoke("put", put.clone()).await.unwrap(), json!({"id": 1, "created": true}));
    }
    assert_eq!(stack.counter().await, (2, 1));
}

#[tokio::test]
async fn personal_questions_are_refused_by_the_setting_alone() {
    let (question, general) = ("Where is my parcel?", "How do I change my password?");
    let stack = Stack::builder().variables(&[("MNEME_PERSONAL", "refuse")]).start().await;
    let reply = stack.invoke("put", entry(question, "In Vienna.")).await.unwrap();
    assert_eq!(reply, json!({"created": false, "skipped": "personal"}));
    let miss = stack.lookup(json!({ "query": question })).await;
    assert_eq!(miss, json!({"outcome": "miss", "reason": "personal", "best_similarity": null}));
    stack.put(entry(general, "In the settings.")).await;
    assert_eq!(stack.lookup(json!({ "query": general })).await["outcome"], "hit");
    let other = Stack::start().await;
    other.put(entry(question, "In Vienna.")).await;
    assert_eq!(other.lookup(json!({ "query": question })).await["outcome"], "hit", "the default stores it");
}

#[tokio::test]
async fn answer_that_depends_on_the_time_is_short_lived_and_says_so() {
    let stack = Stack::builder().variables(&[("MNEME_VOLATILE_TTL_SECS", "600")]).start().await;
    let lifetime = async |id: u64| {
        let (_, read) = stack.get(&format!("/v1/entries/{id}")).await;
        read["expires_at"].as_i64().map(|at| at - read["created_at"].as_i64().unwrap())
    };
    let today = "What is on the menu today?";
    let id = stack.put(entry(today, "Soup.")).await;
    assert_eq!(lifetime(id).await, Some(600));
    assert_eq!(stack.lookup(json!({ "query": today })).await["volatile"], true);
    let mut named = entry("What is on the menu this week?", "Soup.");
    named["ttl_seconds"] = json!(7200);
    let id = stack.put(named).await;
    assert_eq!(lifetime(id).await, Some(7200), "the put names a lifetime");
    let id = stack.put(entry("What is soup?", "A dish.")).await;
    assert_eq!(lifetime(id).await, None);
    assert_eq!(stack.lookup(json!({"query": "What is soup?"})).await.get("volatile"), None);
    // With a zone the answer does not outlive the day.
    let zoned = [("MNEME_VOLATILE_TTL_SECS", "1000000"), ("MNEME_TIME_ZONE", "Europe/Vienna")];
    let stack = Stack::builder().variables(&zoned).start().await;
    let id = stack.put(entry(today, "Soup.")).await;
    let (_, read) = stack.get(&format!("/v1/entries/{id}")).await;
    let lifetime = read["expires_at"].as_i64().unwrap() - read["created_at"].as_i64().unwrap();
    assert!((1..=25 * 3600).contains(&lifetime), "{lifetime}");
}

#[tokio::test]
async fn put_with_bad_rules_does_not_start() {
    let rules = [("MNEME_REFUSE_RESPONSES", "("), ("MNEME_TIME_ZONE", "Europe/Nowhere")];
    let stack = Stack::builder().variables(&rules).start().await;
    assert_eq!(stack.invoke("put", entry("a", "A")).await.unwrap_err().name, "Runtime.ExitError");
    let lines = stack.log_until(|line| line.contains("configuration is not usable")).await;
    let last = lines.last().unwrap();
    assert!(last.contains("MNEME_REFUSE_RESPONSES") && last.contains("MNEME_TIME_ZONE"), "{last}");
}

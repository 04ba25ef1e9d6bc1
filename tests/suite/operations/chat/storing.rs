//! What of the upstream's replies is stored.

use std::time::Duration;

use mneme_tests::upstream::{Behavior, Canned, completion, events, usage};
use serde_json::{Value, json};

use super::{World, ask, stream};

/// A reply whose message has a member of its own.
fn with_member(name: &str, value: Value) -> Value {
    let mut reply = completion("Hello.", "stop");
    reply["choices"][0]["message"][name] = value;
    reply
}

#[tokio::test]
async fn answer_that_did_not_end_by_itself_is_handed_on_and_not_stored() {
    let world = World::start().await;
    let mut two = completion("Hello.", "stop");
    let choice = two["choices"][0].clone();
    two["choices"].as_array_mut().unwrap().push(choice);
    for (reply, detail) in [
        (completion("Hel", "length"), "unfinished"),
        (completion("Hel", "content_filter"), "unfinished"),
        (completion(" \n", "stop"), "empty"),
        (with_member("refusal", json!("No.")), "refusal"),
        (with_member("audio", json!({"id": "a"})), "audio"),
        (completion("I'm sorry, but I can't help with that.", "stop"), "refusal"),
        (two, "choices"),
        (json!({"error": {"message": "oops"}}), "error"),
        (json!({"object": "list"}), "unreadable"),
    ] {
        world.upstream.set(Behavior::Reply(Canned::json(200, &reply)));
        let answer = world.chat(&ask("Why is the sky blue?")).await;
        assert_eq!(answer.json(), reply);
        assert_eq!(answer.header("cache-status"), format!("mneme; fwd=miss; detail={detail}"), "{reply}");
    }
    assert_eq!(world.entries().await, 0);
}

#[tokio::test]
async fn stream_that_did_not_end_by_itself_is_handed_on_and_not_stored() {
    let world = World::start().await;
    let refused = events("", "stop").replace(r#""delta":{}"#, r#""delta":{"refusal":"No."}"#);
    let failed = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_owned();
    let without_done = events("Hello.", "stop").replace("data: [DONE]\n\n", "");
    for text in [events("Hel", "length"), events("", "stop"), refused, failed, without_done] {
        world.upstream.set(Behavior::Reply(Canned::stream(&text)));
        assert_eq!(world.chat(&stream("Why is the sky blue?")).await.body, text);
    }
    assert_eq!(world.entries().await, 0);
}

#[tokio::test]
async fn stream_with_crlf_comments_and_cut_characters_is_stored_as_it_reads() {
    let world = World::start().await;
    let text = format!(": keep-alive\n\n{}", events("Grüße aus 東京 👋", "stop")).replace('\n', "\r\n");
    let parts = text.as_bytes().chunks(7).map(axum_bytes).collect();
    world.upstream.set(Behavior::Reply(Canned { parts, ..Canned::stream("") }));
    assert_eq!(world.chat(&stream("Wie?")).await.body, text);
    let hit = world.chat(&stream("Wie?")).await;
    assert_eq!((hit.header("cache-status"), hit.text().as_str()), ("mneme; hit", "Grüße aus 東京 👋"));
}

fn axum_bytes(bytes: &[u8]) -> axum::body::Bytes {
    axum::body::Bytes::copy_from_slice(bytes)
}

#[tokio::test]
async fn long_answer_is_stored_in_an_item_of_its_own_and_replayed_whole() {
    let world = World::start().await;
    let text = format!("Once upon a time.{:>20000}", "The end.");
    world.upstream.set(Behavior::Say(text.clone()));
    world.chat(&ask("Tell me a story.")).await;
    assert!(!world.stack.rows().await[&1].contains_key("response"));
    for request in [ask("Tell me a story."), stream("Tell me a story.")] {
        let hit = world.chat(&request).await;
        assert_eq!(hit.header("cache-status"), "mneme; hit");
        assert!(hit.text() == text);
    }
}

#[tokio::test]
async fn error_of_the_upstream_is_handed_on_and_not_stored() {
    let world = World::start().await;
    for status in [400, 401, 429, 500, 503] {
        let error = json!({"error": {"message": "no", "type": "t", "param": null, "code": "c"}});
        world.upstream.set(Behavior::Reply(Canned::json(status, &error)));
        for request in [ask("Why?"), stream("Why?")] {
            let reply = world.chat(&request).await;
            assert_eq!((reply.status, reply.json()), (status, error.clone()));
        }
        // Even an answer with such a status is not stored.
        world.upstream.set(Behavior::Reply(Canned::json(status, &completion("Hello.", "stop"))));
        assert_eq!(world.chat(&ask("Why?")).await.status, status);
    }
    assert_eq!(world.entries().await, 0);
}

#[tokio::test]
async fn request_that_no_stored_answer_serves_passes_by() {
    let world = World::start().await;
    let with = |field: &str, value: Value| {
        let mut request = ask("Why is the sky blue?");
        request[field] = value;
        request
    };
    for (request, detail) in [
        (with("n", json!(2)), "several-choices"),
        (with("logprobs", json!(true)), "logprobs"),
        (with("modalities", json!(["text", "audio"])), "audio"),
        (with("messages", json!("hi")), "unreadable"),
        (with("messages", json!([{"role": "assistant", "content": "Hi"}])), "not-comparable"),
    ] {
        let reply = world.chat(&request).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "Hello."));
        assert_eq!(reply.header("cache-status"), format!("mneme; fwd=bypass; detail={detail}"));
    }
    assert_eq!(world.calls(), 5);
    // The first request that is compared makes the table.
    world.chat(&ask("Why is the sky blue?")).await;
    assert_eq!(world.entries().await, 1);
}

/// An answer that calls a tool.
fn call() -> Value {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut reply = completion("", "tool_calls");
    reply["choices"][0]["message"] =
        json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]});
    reply
}

#[tokio::test]
async fn tool_calls_are_stored_only_if_the_configuration_says_so() {
    let world = World::start().await;
    world.upstream.set(Behavior::Reply(Canned::json(200, &call())));
    let reply = world.chat(&ask("Weather in Paris?")).await;
    assert_eq!(reply.header("cache-status"), "mneme; fwd=miss; detail=tool-calls");
    assert_eq!(world.entries().await, 0);
}

#[tokio::test]
async fn stored_tool_calls_serve_the_exact_layer_alone() {
    let service = mneme_tests::embedder::EmbeddingService::start().await;
    let embedder = service.embedder();
    let variables = [("MNEME_CHAT_TOOL_CALLS", "exact"), ("MNEME_EMBEDDER", embedder.as_str()), ("MNEME_GUARD", "off")];
    let world = World::with(&variables).await;
    world.upstream.set(Behavior::Reply(Canned::json(200, &call())));
    world.chat(&ask("Weather in Paris.")).await;
    let hit = world.chat(&ask("Weather in Paris.")).await;
    assert_eq!(hit.header("cache-status"), "mneme; hit");
    assert_eq!(hit.json()["choices"][0]["message"]["tool_calls"], call()["choices"][0]["message"]["tool_calls"]);
    assert_eq!(hit.json()["choices"][0]["finish_reason"], "tool_calls");
    // The fake embedder's vectors of both questions are similar.
    let other = world.chat(&ask("Weather in Paris..")).await;
    assert!(other.header("cache-status").starts_with("mneme; fwd=miss"), "{other:?}");
}

#[tokio::test]
async fn hits_count_the_tokens_and_the_time_of_the_call_that_gave_the_answer() {
    let world = World::with(&[("MNEME_PRICES", "model-2026=1000/10000")]).await;
    let slow = Canned { pause: Duration::from_millis(30), ..Canned::stream("") };
    let parts = events("Hello.", "stop").split_inclusive("\n\n").map(|part| axum_bytes(part.as_bytes())).collect();
    world.upstream.set(Behavior::Reply(Canned { parts, ..slow }));
    world.chat(&stream("Streamed?")).await;
    world.upstream.set(Behavior::Say("Hello.".to_owned()));
    world.chat(&ask("Whole?")).await;
    let without = events("Hello.", "stop").replace(&usage().to_string(), "null");
    world.upstream.set(Behavior::Reply(Canned::stream(&without)));
    world.chat(&stream("Without tokens?")).await;
    let usage_of = async |id: u64| world.stack.invoke("get", json!({"id": id})).await.unwrap()["usage"].clone();
    let streamed = usage_of(1).await;
    assert_eq!((&streamed["prompt_tokens"], &streamed["completion_tokens"]), (&json!(9), &json!(3)));
    assert_eq!(streamed["model"], "model-2026");
    assert!(streamed["latency_ms"].as_u64().unwrap() >= 30, "{streamed}");
    assert_eq!(usage_of(2).await["completion_tokens"], 3);
    let unknown = usage_of(3).await;
    assert_eq!((&unknown["prompt_tokens"], &unknown["model"]), (&json!(0), &Value::Null));
    for question in ["Streamed?", "Whole?", "Without tokens?"] {
        assert_eq!(world.chat(&ask(question)).await.header("cache-status"), "mneme; hit");
    }
    world.stack.lookup(json!({"messages": ask("Whole?")["messages"], "context": {"model": "model"}})).await;
    let saved = async || world.stack.get("/v1/stats?by=day").await.1["total"]["saved"].clone();
    // Instances write their counts late.
    while saved().await["hits_with_usage"].as_u64() < Some(4) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let saved = saved().await;
    assert_eq!((&saved["hits_with_usage"], &saved["hits_with_cost"]), (&json!(4), &json!(3)), "{saved}");
    assert_eq!((&saved["prompt_tokens"], &saved["cost"]), (&json!(27), &json!(0.117)), "{saved}");
}

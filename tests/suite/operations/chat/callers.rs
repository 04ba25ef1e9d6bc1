//! What a caller may say, and what it learns.

use serde_json::json;

use mneme_tests::http_event;

use super::{World, ask, stream};

const QUESTION: &str = "Why is the sky blue?";

#[tokio::test]
async fn no_cache_calls_the_upstream_and_replaces_the_answer() {
    let world = World::start().await;
    world.chat(&ask(QUESTION)).await;
    world.upstream.set(mneme_tests::upstream::Behavior::Say("Newer.".to_owned()));
    let fresh = world.chat_with(&[("cache-control", "no-cache")], &ask(QUESTION)).await;
    assert_eq!((fresh.header("cache-status"), fresh.text().as_str()), ("mneme; fwd=request; stored", "Newer."));
    assert_eq!(world.chat(&ask(QUESTION)).await.text(), "Newer.");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn no_store_leaves_no_entry_and_may_be_served() {
    let world = World::start().await;
    let no_store = [("cache-control", "no-store")];
    let miss = world.chat_with(&no_store, &ask(QUESTION)).await;
    assert_eq!((miss.header("cache-status"), world.entries().await), ("mneme; fwd=miss; detail=no_embedding", 0));
    world.chat(&ask(QUESTION)).await;
    assert_eq!(world.chat_with(&no_store, &ask(QUESTION)).await.header("cache-status"), "mneme; hit");
}

#[tokio::test]
async fn max_age_refuses_an_older_answer() {
    let world = World::start().await;
    world.chat(&ask(QUESTION)).await;
    world.stack.backdate([1], 100).await;
    let within = world.chat_with(&[("cache-control", "max-age=1000")], &ask(QUESTION)).await;
    assert_eq!(within.header("cache-status"), "mneme; hit");
    assert!(within.header("age").parse::<u64>().unwrap() >= 100);
    let stale = world.chat_with(&[("cache-control", "max-age=50")], &ask(QUESTION)).await;
    assert_eq!(stale.header("cache-status"), "mneme; fwd=stale; stored");
}

#[tokio::test]
async fn only_if_cached_never_calls_the_upstream() {
    let world = World::start().await;
    let only = [("cache-control", "only-if-cached")];
    let mut several = ask(QUESTION);
    several["n"] = json!(2);
    for request in [ask(QUESTION), stream(QUESTION), several] {
        let reply = world.chat_with(&only, &request).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (504, &json!("NotCached")));
    }
    assert_eq!(world.calls(), 0);
    world.chat(&ask(QUESTION)).await;
    assert_eq!(world.chat_with(&only, &ask(QUESTION)).await.header("cache-status"), "mneme; hit");
}

#[tokio::test]
async fn headers_choose_namespace_and_time_to_live() {
    let world = World::start().await;
    let headers = [("x-mneme-namespace", "team a"), ("x-mneme-ttl", "600")];
    world.chat_with(&headers, &ask(QUESTION)).await;
    let hit = world.chat_with(&headers, &ask(QUESTION)).await;
    let ttl: i64 = hit.header("cache-status").strip_prefix("mneme; hit; ttl=").unwrap().parse().unwrap();
    assert!((500..=600).contains(&ttl), "{ttl}");
    let elsewhere = world.chat(&ask(QUESTION)).await;
    assert!(elsewhere.header("cache-status").starts_with("mneme; fwd=miss"));
    let bad = world.chat_with(&[("x-mneme-ttl", "soon")], &ask(QUESTION)).await;
    assert_eq!((bad.status, &bad.json()["error"]["code"]), (400, &json!("InvalidRequest")));
}

#[tokio::test]
async fn direct_invocation_gets_the_answer_itself() {
    let world = World::start().await;
    let miss = world.stack.invoke("chat", ask(QUESTION)).await.unwrap();
    assert_eq!(miss["choices"][0]["message"]["content"], "Hello.");
    world.stack.invoke("chat", ask(QUESTION)).await.unwrap();
    assert_eq!(world.calls(), 1);
    let refused = mneme_tests::upstream::Canned::json(429, &json!({"error": {"message": "slow down"}}));
    world.upstream.set(mneme_tests::upstream::Behavior::Reply(refused));
    let error = world.stack.invoke("chat", ask("Another question?")).await.unwrap_err();
    assert!(error.name == "UpstreamError" && error.message.contains("429"), "{error:?}");
}

#[tokio::test]
async fn http_api_gets_a_stream_as_one_body() {
    let world = World::start().await;
    let body = stream(QUESTION).to_string();
    let route = "/v1/chat/completions";
    let reply = world.stack.invoke("chat", http_event("POST", route, route, Some(&body))).await.unwrap();
    assert_eq!((&reply["statusCode"], &reply["headers"]["content-type"]), (&json!(200), &json!("text/event-stream")));
    assert!(reply["body"].as_str().unwrap().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn token_without_the_scope_or_the_namespace_is_refused() {
    let world = World::with(&[("MNEME_NAMESPACE_CLAIM", "ns"), ("MNEME_SCOPE_CLAIM", "scope")]).await;
    let route = "/v1/chat/completions";
    let call = async |claims: serde_json::Value, namespace: &str| {
        let mut event = http_event("POST", route, route, Some(&ask(QUESTION).to_string()));
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims, "scopes": null}});
        event["headers"]["x-mneme-namespace"] = json!(namespace);
        let reply = world.stack.invoke("chat", event).await.unwrap();
        let body: serde_json::Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
        (reply["statusCode"].as_u64().unwrap(), body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let claims = |scope: &str| json!({"ns": "a", "scope": scope});
    assert_eq!(call(claims("mneme:write"), "a").await, (200, String::new()));
    assert_eq!(call(claims("mneme:read"), "a").await, (403, "InsufficientScope".to_owned()));
    assert_eq!(call(claims("mneme:write"), "b").await, (403, "NamespaceForbidden".to_owned()));
}

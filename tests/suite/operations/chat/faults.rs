//! Where something fails, the caller gets what the upstream gave, and nothing half is stored.

use std::time::Duration;

use mneme_tests::embedder::{self, EmbeddingService};
use mneme_tests::fault::Fault;
use mneme_tests::upstream::{Behavior, Canned, events};
use serde_json::json;

use super::{World, ask, stream};

#[tokio::test]
async fn stream_that_breaks_off_anywhere_is_handed_on_and_never_stored() {
    let world = World::start().await;
    let finished = r#"{"choices":[{"index":0,"delta":{"content":"Grüße 👋"},"finish_reason":"stop"}]}"#;
    let whole = format!("data: {finished}\n\ndata: [DONE]\n\n");
    for at in 0..=whole.len() {
        let parts = vec![axum::body::Bytes::copy_from_slice(&whole.as_bytes()[..at])];
        world.upstream.set(Behavior::Reply(Canned { parts, is_cut: true, ..Canned::stream("") }));
        let reply = world.client.post(format!("{}/v1/chat/completions", world.stack.server.api_url()));
        let reply = reply.json(&stream("Why?")).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let body = reply.bytes().await.unwrap();
        assert!(body.starts_with(&whole.as_bytes()[..at]), "{at}");
        let text = String::from_utf8_lossy(&body);
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.contains("\"code\":\"UpstreamError\""), "{at}: {last}");
    }
    assert_eq!(world.entries().await, 0);
}

#[tokio::test]
async fn reply_that_breaks_off_is_a_named_error() {
    let world = World::start().await;
    let mut canned = Canned::json(200, &json!({"choices": []}));
    canned.is_cut = true;
    world.upstream.set(Behavior::Reply(canned));
    let reply = world.chat(&ask("Why?")).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("UpstreamError")));
}

#[tokio::test]
async fn upstream_that_cannot_be_reached_or_hangs_is_a_named_error() {
    let world = World::with(&[("MNEME_UPSTREAM_TIMEOUT_MS", "200")]).await;
    world.upstream.set(Behavior::Hang);
    let hanging = world.chat(&ask("Why?")).await;
    assert!(hanging.status == 502 && hanging.body.contains("did not begin its reply in time"), "{hanging:?}");
    let nobody = EmbeddingService::unreachable().await;
    let world = World::with(&[("MNEME_UPSTREAM", nobody.url.as_str())]).await;
    let unreachable = world.chat(&stream("Why?")).await;
    assert!(unreachable.status == 502 && unreachable.body.contains("could not be reached"), "{unreachable:?}");
}

#[tokio::test]
async fn table_that_fails_leaves_the_call_to_the_upstream() {
    let world = World::start().await;
    world.chat(&ask("Why?")).await;
    for _ in 0..200 {
        world.stack.proxy.inject_fault("BatchGetItem", Fault::Refused("AccessDeniedException"));
        world.stack.proxy.inject_fault("GetItem", Fault::Refused("AccessDeniedException"));
    }
    for request in [ask("Who?"), stream("Who?")] {
        let reply = world.chat(&request).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "Hello."));
        assert!(reply.header("cache-status").starts_with("mneme; fwd="), "{reply:?}");
    }
    world.stack.proxy.clear_faults();
    assert_eq!(world.chat(&ask("Why?")).await.header("cache-status"), "mneme; hit");
}

#[tokio::test]
async fn cache_that_takes_too_long_leaves_the_call_to_the_upstream() {
    let world = World::with(&[("MNEME_CHAT_BUDGET_MS", "50")]).await;
    world.stack.proxy.slow_down(Duration::from_secs(60));
    let reply = world.chat_with(&[("cache-control", "no-store")], &ask("Why?")).await;
    assert!(reply.header("cache-status").starts_with("mneme; fwd="), "{reply:?}");
    assert_eq!(reply.text(), "Hello.");
}

#[tokio::test]
async fn embedder_that_hangs_leaves_the_call_to_the_upstream() {
    let service = EmbeddingService::start().await;
    service.set(embedder::Behavior::Hang);
    let embedder = service.embedder();
    let world = World::with(&[("MNEME_EMBEDDER", embedder.as_str()), ("MNEME_CHAT_BUDGET_MS", "500")]).await;
    let reply = world.chat_with(&[("cache-control", "no-store")], &ask("Why?")).await;
    assert_eq!(reply.text(), "Hello.");
    assert!(reply.header("cache-status").starts_with("mneme; fwd="), "{reply:?}");
}

#[tokio::test]
async fn stream_is_handed_on_while_the_upstream_is_still_talking() {
    let world = World::start().await;
    let text = events("one two", "stop");
    let (first, rest) = text.split_at(text.find("\n\n").unwrap() + 2);
    let parts = [first, rest].map(|part| axum::body::Bytes::copy_from_slice(part.as_bytes())).to_vec();
    // The second part never comes, so a reply that was collected first would never begin.
    world.upstream.set(Behavior::Reply(Canned { parts, pause: Duration::from_secs(600), ..Canned::stream("") }));
    let request = world.client.post(format!("{}/v1/chat/completions", world.stack.server.api_url()));
    let mut reply = request.json(&stream("Why?")).send().await.unwrap();
    let mut read = Vec::new();
    while read.len() < first.len() {
        read.extend_from_slice(&reply.chunk().await.unwrap().unwrap());
    }
    assert_eq!(read, first.as_bytes());
}

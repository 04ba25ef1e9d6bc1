//! The keys of callers at the function's own URL, and the key for the upstream.

use mneme_api::keys::KeyRing;
use serde_json::json;

use super::{World, ask};

#[tokio::test]
async fn key_lets_its_holder_into_its_namespaces_alone() {
    let mut records = Vec::new();
    let namespaces = Some([String::from("a").try_into().unwrap()].into());
    let key = KeyRing::make(&mut records, "web", namespaces, [1; 32]).unwrap();
    let list = serde_json::to_string(&records).unwrap();
    let world = World::with(&[("MNEME_CHAT_KEYS", list.as_str()), ("MNEME_UPSTREAM_API_KEY", "sk-upstream")]).await;
    let bearer = format!("Bearer {key}");
    let wrong = format!("Bearer {key}x");
    for headers in [vec![], vec![("authorization", wrong.as_str())], vec![("authorization", "Bearer sk-upstream")]] {
        let refused = world.chat_with(&headers, &ask("Why?")).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!("invalid_api_key")));
        assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    }
    let elsewhere = world.chat_with(&[("authorization", &bearer), ("x-mneme-namespace", "b")], &ask("Why?")).await;
    assert_eq!((elsewhere.status, &elsewhere.json()["error"]["code"]), (403, &json!("NamespaceForbidden")));
    assert_eq!(world.calls(), 0);

    let answer = world.chat_with(&[("authorization", &bearer)], &ask("Why?")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "Hello."));
    let received = world.upstream.take_received().pop().unwrap();
    assert_eq!(received.headers["authorization"], "Bearer sk-upstream");
    let entry = world.stack.invoke("get", json!({"id": 1})).await.unwrap();
    assert_eq!((&entry["namespace"], &entry["stored_by"]), (&json!("a"), &json!("web")));
}

#[tokio::test]
async fn caller_without_a_configured_upstream_key_passes_its_own() {
    let mut records = Vec::new();
    let key = KeyRing::make(&mut records, "web", None, [1; 32]).unwrap();
    let list = serde_json::to_string(&records).unwrap();
    let world = World::with(&[("MNEME_CHAT_KEYS", list.as_str())]).await;
    let bearer = format!("Bearer {key}");
    world.chat_with(&[("authorization", &bearer)], &ask("Why?")).await;
    let own = [("authorization", bearer.as_str()), ("x-mneme-upstream-authorization", "Bearer sk-own")];
    world.chat_with(&own, &ask("Who?")).await;
    let received = world.upstream.take_received();
    assert!(!received[0].headers.contains_key("authorization"));
    assert_eq!(received[1].headers["authorization"], "Bearer sk-own");
    assert!(!received[1].headers.contains_key("x-mneme-upstream-authorization"));
}

#[tokio::test]
async fn nobody_gets_in_without_configured_keys() {
    // A list without a key is what the template sets; `mneme-local` alone sets `any`.
    let world = World::with(&[("MNEME_CHAT_KEYS", "[]")]).await;
    for headers in [vec![], vec![("authorization", "Bearer any")]] {
        assert_eq!(world.chat_with(&headers, &ask("Why?")).await.status, 401);
    }
    assert_eq!(world.calls(), 0);
}

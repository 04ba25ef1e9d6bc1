//! HTTP callers whose token lists the namespaces that they may use.

use insta::assert_compact_json_snapshot;
use mneme_tests::stack::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

const CLAIM: &[(&str, &str)] = &[("MNEME_NAMESPACE_CLAIM", "spaces"), ("MNEME_NAMESPACE_CLAIM_FORM", "list")];

/// A stack with entry 1 in the namespace `ours` and entry 2 in `theirs`.
async fn stack() -> Stack {
    let stack = Stack::builder().variables(CLAIM).start().await;
    for namespace in ["ours", "theirs"] {
        let entry = json!({"query": "q", "response": namespace, "namespace": namespace, "embedding": vector(4, 0.0)});
        stack.put(entry).await;
    }
    stack
}

async fn ask(stack: &Stack, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    stack.http_as(&json!({"sub": "me", "spaces": ["ours", "mine"]}), method, path, body).await
}

#[tokio::test]
async fn every_operation_refuses_a_namespace_outside_the_claim() {
    let stack = stack().await;
    let hash = mneme_model::normalize::QueryHash::of("q", true);
    let find = format!("/v1/namespaces/theirs/entries/{hash}");
    let theirs = json!({"query": "q", "namespace": "theirs"});
    let entry = json!({"query": "q", "response": "r", "namespace": "theirs"});
    let verdict = json!({"query": "s", "id": 2, "right": true, "namespace": "theirs"});
    let quota = json!({"max_entries": 1});
    let meta = json!({"value": "v"});
    for (method, path, body) in [
        (Method::POST, "/v1/lookup", Some(theirs.clone())),
        (Method::POST, "/v1/lookup", Some(json!({"query": "q", "namespace": "theirs", "bypass": true}))),
        (Method::POST, "/v1/lookup", Some(json!({"query": "q"}))),
        (Method::POST, "/v1/entries", Some(entry)),
        (Method::GET, "/v1/entries/2", None),
        (Method::GET, find.as_str(), None),
        (Method::GET, "/v1/entries?namespace=theirs", None),
        (Method::GET, "/v1/entries?namespace=theirs&order=lru", None),
        (Method::POST, "/v1/feedback", Some(verdict)),
        (Method::POST, "/v1/entries/2/touch", None),
        (Method::DELETE, "/v1/entries/2", None),
        (Method::POST, "/v1/entries/delete", Some(theirs)),
        (Method::DELETE, "/v1/namespaces/theirs", None),
        (Method::DELETE, "/v1/namespaces?confirm=all", None),
        (Method::GET, "/v1/namespaces/theirs/quota", None),
        (Method::PUT, "/v1/namespaces/theirs/quota", Some(quota)),
        (Method::DELETE, "/v1/namespaces/theirs/quota", None),
        (Method::GET, "/v1/namespaces/theirs/settings", None),
        (Method::PUT, "/v1/namespaces/theirs/settings", Some(json!({"cutoff": 0.5}))),
        (Method::DELETE, "/v1/namespaces/theirs/settings", None),
        (Method::PUT, "/v1/namespaces/ours/settings", Some(json!({"cutoff": 0.5}))),
        (Method::DELETE, "/v1/namespaces/ours/settings", None),
        (Method::PATCH, "/v1/entries/2", Some(json!({"response": "changed"}))),
        (Method::GET, "/v1/stats?namespace=theirs", None),
        (Method::GET, "/v1/meta/k", None),
        (Method::PUT, "/v1/meta/k", Some(meta)),
        (Method::POST, "/v1/vacuum", Some(json!({"namespace": "theirs"}))),
        (Method::POST, "/v1/vacuum", Some(json!({"namespace": "ours"}))),
        (Method::POST, "/v1/vacuum", None),
        (Method::POST, "/v1/reembed", Some(json!({"action": "status"}))),
        (Method::PUT, "/v1/namespaces/ours/quota", Some(json!({"max_entries": 1_000_000}))),
        (Method::DELETE, "/v1/namespaces/ours/quota", None),
    ] {
        let (status, problem) = ask(&stack, method.clone(), path, body).await;
        assert_eq!((status, &problem["type"]), (403, &json!("urn:mneme:error:NamespaceForbidden")), "{method} {path}");
        assert!(!problem.to_string().contains("theirs"), "{method} {path}: {problem}");
    }
    assert_eq!(stack.entry_ids().await, [1, 2]);
    assert_eq!(stack.counter().await, (3, 2), "nothing was written");
}

#[tokio::test]
async fn request_without_namespace_returns_only_claimed_namespaces() {
    let stack = stack().await;
    for path in ["/v1/entries", "/v1/entries?order=lru"] {
        let (status, page) = ask(&stack, Method::GET, path, None).await;
        assert_eq!((status, page["entries"].as_array().map(Vec::len)), (200, Some(1)), "{path}");
        assert_eq!(page["entries"][0]["namespace"], "ours");
    }
    let (_, named) = ask(&stack, Method::GET, "/v1/namespaces", None).await;
    assert_compact_json_snapshot!(named, @r#"{"namespaces": [{"entries": 1, "namespace": "ours"}]}"#);
    let (_, stats) = ask(&stack, Method::GET, "/v1/stats", None).await;
    assert_eq!((&stats["entries"], &stats["namespaces"]), (&json!(1), &json!(1)));
    let (status, health) = ask(&stack, Method::GET, "/v1/health", None).await;
    assert_eq!((status, &health["healthy"]), (200, &json!(true)));
}

#[tokio::test]
async fn claimed_namespace_is_allowed_for_every_operation() {
    let stack = stack().await;
    let ours = json!({"query": "q", "namespace": "ours", "embedding": vector(4, 0.1)});
    assert_eq!(ask(&stack, Method::POST, "/v1/lookup", Some(ours.clone())).await.1["response"], "ours");
    let entries = json!({"entries": [
        {"query": "a", "response": "r", "namespace": "mine"},
        {"query": "b", "response": "r", "namespace": "theirs"},
    ]});
    let (status, reply) = ask(&stack, Method::POST, "/v1/entries", Some(entries)).await;
    assert_eq!((status, &reply["results"][0]), (200, &json!({"id": 3, "created": true})));
    assert_eq!(reply["results"][1]["error"]["status"], 403);
    assert_eq!(ask(&stack, Method::GET, "/v1/entries/1", None).await.1["response"], "ours");
    assert_eq!(ask(&stack, Method::POST, "/v1/entries/1/touch", None).await.0, 200);
    stack.invoke("quota", json!({"action": "set", "namespace": "ours", "max_entries": 7})).await.unwrap();
    assert_eq!(ask(&stack, Method::GET, "/v1/namespaces/ours/quota", None).await.1["max_entries"], 7);
    assert_eq!(ask(&stack, Method::DELETE, "/v1/entries/1", None).await.0, 200);
    assert_eq!(ask(&stack, Method::DELETE, "/v1/namespaces/mine", None).await.1, json!({"deleted": 1}));
}

#[tokio::test]
async fn http_caller_without_claim_has_no_namespace_and_direct_caller_has_all() {
    let stack = stack().await;
    assert_eq!(stack.get("/v1/entries/1").await.0, 403);
    for claims in [json!({"sub": "me"}), json!({"spaces": []}), json!({"spaces": "%6furs"})] {
        for (method, path, body) in [
            (Method::GET, "/v1/entries", None),
            (Method::GET, "/v1/namespaces", None),
            (Method::GET, "/v1/stats", None),
            (Method::GET, "/v1/health", None),
            (Method::POST, "/v1/calibrate", Some(json!({"pairs": []}))),
            (Method::POST, "/v1/snapshot", None),
            (Method::POST, "/v1/entries", Some(json!({"entries": []}))),
        ] {
            let (status, problem) = stack.http_as(&claims, method, path, body).await;
            assert_eq!(
                (status, &problem["type"]),
                (403, &json!("urn:mneme:error:NamespaceForbidden")),
                "{path} {claims}"
            );
        }
    }
    assert_eq!(stack.http_as(&json!({"sub": "me"}), Method::GET, "/v1/entries/1", None).await.0, 403);
    assert_eq!(stack.invoke("get", json!({"id": 2})).await.unwrap()["response"], "theirs");

    let open = Stack::builder().over_table_of(&stack).start().await;
    assert_eq!(open.get("/v1/entries/2").await.0, 200, "no claim is configured");
}

#[tokio::test]
async fn claim_of_one_name_is_taken_exactly() {
    let stack = Stack::builder().variables(&[("MNEME_NAMESPACE_CLAIM", "username")]).start().await;
    stack.put(json!({"query": "q", "response": "bob's", "namespace": "bob"})).await;
    let ask = async |username: Value| {
        let question = json!({"query": "q", "namespace": "bob"});
        stack.http_as(&json!({"username": username}), Method::POST, "/v1/lookup", Some(question)).await
    };
    assert_eq!(ask(json!("bob")).await.1["response"], "bob's");
    for other in ["mallory,bob", "mallory bob", "%62ob", "b%6Fb", "[bob]", "[mallory bob", r#"["bob"]"#, " bob", "bob "]
    {
        assert_eq!(ask(json!(other)).await.0, 403, "{other}");
    }
    assert_eq!(ask(json!(["bob"])).await.0, 403, "a list is not one name");
    // A name with separators is a namespace like any other.
    let entry = json!({"query": "q", "response": "r", "namespace": "mallory,bob"});
    assert_eq!(
        stack.http_as(&json!({"username": "mallory,bob"}), Method::POST, "/v1/entries", Some(entry)).await.0,
        201
    );
}

#[tokio::test]
async fn token_may_do_what_its_scopes_allow() {
    let stack = Stack::builder().variables(&[("MNEME_SCOPE_CLAIM", "scope")]).start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    let entry = json!({"query": "s", "response": "r"});
    let hash = mneme_model::normalize::QueryHash::of("q", true);
    let find = format!("/v1/namespaces/default/entries/{hash}");
    let requests = [
        ("read", Method::POST, "/v1/lookup", Some(json!({"query": "q"}))),
        ("read", Method::GET, "/v1/entries/1", None),
        ("read", Method::GET, find.as_str(), None),
        ("read", Method::GET, "/v1/entries", None),
        ("read", Method::GET, "/v1/namespaces", None),
        ("read", Method::GET, "/v1/stats", None),
        ("read", Method::GET, "/v1/health", None),
        ("read", Method::GET, "/v1/namespaces/default/quota", None),
        ("write", Method::POST, "/v1/entries", Some(entry)),
        ("write", Method::POST, "/v1/entries/1/touch", None),
        ("write", Method::POST, "/v1/feedback", Some(json!({"query": "q", "id": 1, "right": true}))),
        ("write", Method::POST, "/v1/entries/delete", Some(json!({"query": "s"}))),
        ("admin", Method::PUT, "/v1/namespaces/default/quota", Some(json!({"max_entries": 9}))),
        ("admin", Method::DELETE, "/v1/namespaces/default/quota", None),
        ("admin", Method::PUT, "/v1/meta/owner", Some(json!({"value": "v"}))),
        ("admin", Method::GET, "/v1/meta/owner", None),
        ("admin", Method::POST, "/v1/vacuum", None),
        ("admin", Method::POST, "/v1/calibrate", Some(json!({"pairs": []}))),
        ("admin", Method::POST, "/v1/reembed", Some(json!({"action": "status"}))),
        ("admin", Method::POST, "/v1/snapshot", None),
        ("admin", Method::DELETE, "/v1/namespaces/other", None),
    ];
    let levels = ["none", "read", "write", "admin"];
    for (level, granted) in levels.iter().enumerate() {
        let claims = json!({"scope": format!("openid mneme:{granted}")});
        for (needed, method, path, body) in &requests {
            let allowed = levels.iter().position(|name| name == needed).is_some_and(|needed| needed <= level);
            let (status, problem) = stack.http_as(&claims, method.clone(), path, body.clone()).await;
            let refused = (status, &problem["type"]) == (403, &json!("urn:mneme:error:InsufficientScope"));
            assert_eq!(refused, !allowed, "{granted}: {method} {path}: {problem}");
        }
    }
    assert_eq!(stack.get("/v1/entries/1").await.0, 403, "no token");
    assert_eq!(stack.invoke("get", json!({"id": 1})).await.unwrap()["response"], "r");
}

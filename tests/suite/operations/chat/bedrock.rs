//! Amazon Bedrock as the upstream.

use mneme_tests::Stack;
use mneme_tests::signature;
use mneme_tests::upstream::{Received, Upstream};
use reqwest::Method;
use serde_json::json;

use super::{World, ask, stream};

/// A world whose upstream stands where the SDK's settings say that Amazon Bedrock is.
async fn world(variables: &[(&str, &str)]) -> World {
    let upstream = Upstream::start().await;
    let own = [
        ("MNEME_UPSTREAM", "bedrock"),
        ("MNEME_CHAT_BUDGET_MS", "300000"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", upstream.url.as_str()),
        ("AWS_REGION", "eu-west-1"),
    ];
    let stack = Stack::builder().variables(&own).variables(variables).start().await;
    World { stack, upstream, client: reqwest::Client::new() }
}

fn assert_signed(request: &Received) {
    let found = request.headers["authorization"].to_str().unwrap();
    assert!(found.contains("/eu-west-1/bedrock/aws4_request"), "{found}");
    for name in ["host", "x-amz-date", "content-type", "openai-project"] {
        assert!(!request.headers.contains_key(name) || found.contains(name), "{name} is not signed: {found}");
    }
    assert_eq!(found, signature::authorization(request, "local"));
}

#[tokio::test]
async fn chat_over_bedrock_signs_what_it_hands_on_with_the_role() {
    let world = world(&[("AWS_SESSION_TOKEN", "token-of-the-role")]).await;
    let headers = [
        ("authorization", "Bearer of-the-caller"),
        ("x-mneme-upstream-authorization", "Bearer of-the-caller"),
        ("openai-project", "p q"),
    ];
    let miss = world.chat_with(&headers, &ask("Why is the sky blue?")).await;
    assert_eq!((miss.status, miss.text().as_str()), (200, "Hello."), "{miss:?}");
    let streamed = world.chat_with(&headers, &stream("Wie geht es?")).await;
    assert_eq!(streamed.text(), "Hello.", "{streamed:?}");
    let models = world.send(Method::GET, "/v1/models", &headers, None).await;
    assert_eq!(models.status, 200, "{models:?}");
    let received = world.upstream.take_received();
    let routes: Vec<&str> = received.iter().map(|request| request.route.as_str()).collect();
    let completions = "POST /openai/v1/chat/completions";
    assert_eq!(routes, [completions, completions, "GET /openai/v1/models"]);
    for request in &received {
        assert_signed(request);
        assert_eq!(request.headers["x-amz-security-token"], "token-of-the-role");
    }
    assert_eq!(received[0].body, ask("Why is the sky blue?").to_string());
    assert_eq!(world.chat(&ask("Why is the sky blue?")).await.header("cache-status"), "mneme; hit");
}

#[tokio::test]
async fn signature_over_another_body_is_another() {
    let world = world(&[]).await;
    world.chat(&ask("Why?")).await;
    let mut request = world.upstream.take_received().pop().unwrap();
    assert_signed(&request);
    request.body = json!({"messages": []}).to_string().into();
    assert_ne!(request.headers["authorization"], signature::authorization(&request, "local"));
}

#[tokio::test]
async fn chat_over_bedrock_without_credentials_says_so_and_calls_nobody() {
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let world = world(&none).await;
    let reply = world.chat(&ask("Why?")).await;
    assert_eq!(
        (reply.status, reply.json()["type"].as_str()),
        (502, Some("urn:mneme:error:UpstreamError")),
        "{reply:?}"
    );
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("could not be signed"), "{reply:?}");
    assert_eq!(world.calls(), 0);
}

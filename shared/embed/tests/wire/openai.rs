//! `openai:<model>[:<dimension>]@<base URL>`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{Answer, Recorded, Server};
use crate::{embedder, far_deadline, values};

fn over(server: &Server, model: &str) -> Embedder<Backend> {
    embedder(&format!("openai:{model}@{}/v1", server.url), "", server)
}

fn base64_of(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// Answers with vectors whose first number is the length of the text. They are in reverse order, and every other one
/// is in base64.
fn lengths(request: &Recorded) -> Answer {
    let texts = request.body["input"].as_array().cloned().unwrap_or_default();
    let dim = request.body["dimensions"].as_u64().unwrap_or(2) as usize;
    let mut data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let mut vector = vec![0.5; dim];
            vector[0] = text.as_str().unwrap_or_default().len() as f32;
            let embedding = if index % 2 == 0 { json!(vector) } else { json!(base64_of(&vector)) };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    data.reverse();
    Answer::json(
        &json!({ "object": "list", "data": data, "model": "m", "usage": { "prompt_tokens": 1, "total_tokens": 1 } }),
    )
}

/// The answer to a request with one text.
fn one(embedding: &Value) -> Answer {
    Answer::json(&json!({ "data": [{ "index": 0, "embedding": embedding }] }))
}

async fn error_of(server: &Server, model: &str) -> EmbedError {
    over(server, model).embed(&["a question"], far_deadline()).await.expect_err("no vectors")
}

#[tokio::test]
async fn vectors_in_either_form_are_returned_in_the_order_of_the_texts() {
    let server = Server::start(|_, request| lengths(request)).await;
    let vectors = over(&server, "m:10").embed(&["a", "bbb", "cc"], far_deadline()).await.unwrap();
    let of = |length: f32| [vec![length], vec![0.5; 9]].concat();
    assert_eq!(values(vectors), [of(1.0), of(3.0), of(2.0)]);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/v1/embeddings");
    assert_eq!(requests[0].header("content-type"), "application/json");
    assert_eq!(requests[0].header("authorization"), "");
    let body = json!({ "model": "m", "input": ["a", "bbb", "cc"], "encoding_format": "base64", "dimensions": 10 });
    assert_eq!(requests[0].body, body);
}

#[tokio::test]
async fn embed_with_70_texts_sends_32_per_call() {
    let server = Server::start(|_, request| lengths(request)).await;
    let texts: Vec<String> = (1..=70).map(|length| "x".repeat(length)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = over(&server, "m").embed(&texts, far_deadline()).await.unwrap();
    assert_eq!(values(vectors), (1..=70u8).map(|length| vec![f32::from(length), 0.5]).collect::<Vec<_>>());
    let mut sizes: Vec<usize> =
        server.requests().iter().map(|request| request.body["input"].as_array().map_or(0, Vec::len)).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [6, 32, 32]);
    assert!(server.requests().iter().all(|request| request.body.get("dimensions").is_none()));
}

#[tokio::test]
async fn transient_status_is_retried() {
    for status in [429, 500, 502, 503, 408] {
        let server = Server::start(move |nth, request| match nth {
            1 => Answer::status(status, &json!({})).with("retry-after", "0"),
            _ => lengths(request),
        })
        .await;
        let vectors = over(&server, "m").embed(&["abc"], far_deadline()).await.unwrap();
        assert_eq!((values(vectors), server.requests().len()), (vec![vec![3.0, 0.5]], 2), "{status}");
    }
}

#[tokio::test]
async fn transient_status_after_three_attempts_has_its_kind() {
    for (status, kind, says) in [
        (429, EmbedErrorKind::Throttled, "throttled the request (3 attempts in "),
        (503, EmbedErrorKind::Unavailable, "failed with HTTP status 503 (3 attempts in "),
    ] {
        let server = Server::always(Answer::status(status, &json!({}))).await;
        let error = error_of(&server, "m").await;
        assert_eq!((error.kind, server.requests().len()), (kind, 3));
        assert!(error.detail.contains(says), "{error}");
        assert!(error.causes().contains(&format!("HTTP status {status}")), "{}", error.causes());
    }
}

#[tokio::test]
async fn pause_beyond_the_deadline_is_returned_to_the_caller() {
    let server = Server::always(Answer::status(429, &json!({})).with("retry-after", "3600")).await;
    let error = error_of(&server, "m").await;
    assert_eq!((error.kind, error.retry_after), (EmbedErrorKind::Throttled, Some(Duration::from_secs(3600))));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn permanent_status_is_not_retried() {
    let quota = json!({ "error": { "type": "insufficient_quota", "code": "insufficient_quota", "message": "pay" } });
    for (status, body, kind) in [
        (429, quota, EmbedErrorKind::Refused),
        (401, json!({}), EmbedErrorKind::Refused),
        (403, json!({}), EmbedErrorKind::Refused),
        (404, json!({}), EmbedErrorKind::UnknownModel),
        (400, json!({}), EmbedErrorKind::BadRequest),
        (413, json!({}), EmbedErrorKind::BadRequest),
        (422, json!({}), EmbedErrorKind::BadRequest),
        (302, json!({}), EmbedErrorKind::Malformed),
    ] {
        let server = Server::always(Answer::status(status, &body).with("location", "/elsewhere")).await;
        let error = error_of(&server, "m").await;
        assert_eq!((error.kind, server.requests().len()), (kind, 1), "{status}: {error}");
        assert!(!error.remediation.is_empty());
        assert_eq!(error.text, (kind == EmbedErrorKind::BadRequest).then_some(0), "{status}");
    }
}

#[tokio::test]
async fn error_of_service_that_repeats_text_and_key_has_neither() {
    for status in [400, 401, 429, 500] {
        let server = Server::start(move |_, request| {
            let said = format!("{} {}", request.body, request.header("authorization"));
            Answer::status(status, &json!({ "error": { "message": said, "type": said, "code": said } }))
        })
        .await;
        let spec = format!("openai:m@{}/v1", server.url);
        let error =
            embedder(&spec, "sk-hidden", &server).embed(&["a private matter"], far_deadline()).await.unwrap_err();
        let told = format!("{error} {error:?} {}", error.causes());
        assert!(!told.contains("private") && !told.contains("hidden"), "{told}");
        assert!(told.contains("type none, code none"), "{told}");
    }
}

#[tokio::test]
async fn malformed_reply_has_its_kind_and_is_not_repeated() {
    let vector = |index: u8| json!({ "index": index, "embedding": [1.0] });
    for (answer, says) in [
        (Answer::text("<html>hello</html>"), "not of the form"),
        (Answer::text(""), "not of the form"),
        (Answer::text(r#"{"data":[{"index":0,"embedding":[NaN]}]}"#), "not of the form"),
        (Answer::json(&json!({ "vectors": [] })), "not of the form"),
        (one(&json!("%%%")), "not of the form"),
        (one(&json!("AAAA")), "not of the form"),
        (one(&json!(["a private matter"])), "not of the form"),
        (one(&json!(base64_of(&[1.0, f32::NAN]))), "number 1 of a vector of the embedder is not finite"),
        (one(&json!([1.0, 2.0, 1e39])), "not of the form"),
        (one(&json!([0.0, 0.0])), "empty or zero"),
        (one(&json!([])), "empty or zero"),
        (Answer::json(&json!({ "data": [] })), "answered 1 texts with 0 vectors"),
        (Answer::json(&json!({ "data": [vector(0), vector(1)] })), "answered 1 texts with 2 vectors"),
        (Answer::json(&json!({ "data": [vector(1)] })), "the index 1 twice or too high"),
        (Answer::json(&json!({ "data": [vector(0), vector(0)] })), "the index 0 twice or too high"),
    ] {
        let server = Server::always(answer.clone()).await;
        let error = error_of(&server, "m").await;
        assert_eq!((error.kind, server.requests().len()), (EmbedErrorKind::Malformed, 1), "{answer:?}: {error}");
        assert!(error.detail.contains(says), "{answer:?}: {error}");
        assert!(!error.causes().contains("private"), "{}", error.causes());
    }
}

#[tokio::test]
async fn vector_of_another_dimension_is_refused_if_one_is_configured() {
    let server = Server::always(one(&json!([1.0, 2.0]))).await;
    let error = error_of(&server, "m:768").await;
    assert_eq!(error.kind, EmbedErrorKind::WrongDimension);
    assert!(error.detail.contains("a vector of 2 dimensions, not of 768"), "{error}");

    let server = Server::start(|nth, _| one(&json!(vec![1.0; nth]))).await;
    let embedder = over(&server, "m");
    assert_eq!((embedder.dim(), embedder.fingerprint()), (None, "openai:m/1"));
    // If no dimension is configured, the caller checks it.
    assert_eq!(embedder.embed(&["one"], far_deadline()).await.unwrap()[0].values.len(), 1);
    assert_eq!(embedder.embed(&["two"], far_deadline()).await.unwrap()[0].values.len(), 2);
    let two = json!({ "data": [{ "index": 0, "embedding": [1.0] }, { "index": 1, "embedding": [1.0, 2.0] }] });
    let server = Server::always(Answer::json(&two)).await;
    let error = over(&server, "m").embed(&["one", "two"], far_deadline()).await.unwrap_err();
    assert_eq!((error.kind, error.detail.contains("several lengths")), (EmbedErrorKind::Malformed, true));
}

#[tokio::test]
async fn service_without_reply_times_out_at_the_deadline() {
    let server = Server::always(Answer::Never).await;
    let deadline = Instant::now() + Duration::from_millis(100);
    let error = over(&server, "m").embed(&["a question"], deadline).await.unwrap_err();
    assert_eq!(error.kind, EmbedErrorKind::TimedOut);
    assert!(server.requests().len() <= 2);
}

#[tokio::test]
async fn service_without_connection_is_unreachable_after_three_attempts() {
    for server in [Server::refusing().await, Server::hanging_up().await] {
        let error = error_of(&server, "m").await;
        assert_eq!(error.kind, EmbedErrorKind::Unreachable);
        assert!(error.detail.contains("could not be reached (3 attempts in "), "{error}");
        assert!(!error.causes().is_empty());
    }
}

#[tokio::test]
async fn https_url_of_http_server_is_unreachable() {
    let server = Server::always(one(&json!([1.0]))).await;
    let spec = format!("openai:m@{}/v1", server.url.replace("http://", "https://"));
    let error = embedder(&spec, "", &server).embed(&["a question"], far_deadline()).await.unwrap_err();
    assert_eq!((error.kind, server.requests().len()), (EmbedErrorKind::Unreachable, 0));
}

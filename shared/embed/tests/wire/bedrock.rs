//! `bedrock:<model id>[:<dimension>][@<ARN>]`.

use std::time::Duration;

use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use mneme_embed::key::KeySource;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{Answer, Recorded, Server};
use crate::{embedder, far_deadline};

const TITAN: &str = "bedrock:amazon.titan-embed-text-v2:0:256";
const V3: &str = "bedrock:cohere.embed-multilingual-v3";
const V4: &str = "bedrock:cohere.embed-v4:0:256";

/// A vector of `dim` numbers whose first number is the length of the text.
fn vector(text: &Value, dim: usize) -> Vec<f32> {
    let mut vector = vec![0.25; dim];
    vector[0] = text.as_str().map_or(0, str::len) as f32;
    vector
}

fn titan(request: &Recorded) -> Answer {
    let embedding = vector(&request.body["inputText"], request.body["dimensions"].as_u64().unwrap_or(1024) as usize);
    Answer::json(&json!({
        "embedding": embedding, "inputTextTokenCount": 3, "embeddingsByType": { "float": embedding }
    }))
}

/// Answers with vectors by type, or with a plain list, as v3 does if no type is requested.
fn cohere(request: &Recorded, by_type: bool) -> Answer {
    let dim = request.body["output_dimension"].as_u64().unwrap_or(1024) as usize;
    let texts = request.body["texts"].as_array().cloned().unwrap_or_default();
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dim)).collect();
    let (kind, embeddings) = match by_type {
        true => ("embeddings_by_type", json!({ "int8": [[1]], "float": vectors })),
        false => ("embeddings_floats", json!(vectors)),
    };
    Answer::json(&json!({ "id": "i", "response_type": kind, "embeddings": embeddings, "texts": texts }))
}

async fn first_of(embedder: &Embedder<Backend>, texts: &[&str]) -> Vec<f32> {
    embedder.embed(texts, far_deadline()).await.expect("vectors").iter().map(|vector| vector.values[0]).collect()
}

async fn error_of(server: &Server, spec: &str) -> EmbedError {
    embedder(spec, "", server).embed(&["a private matter"], far_deadline()).await.expect_err("no vectors")
}

#[tokio::test]
async fn titan_with_three_texts_sends_three_calls() {
    let server = Server::start(|_, request| titan(request)).await;
    let embedder = embedder(TITAN, "", &server);
    assert_eq!((embedder.dim(), embedder.fingerprint()), (Some(256), "bedrock:amazon.titan-embed-text-v2:0:256/1"));
    assert_eq!(first_of(&embedder, &["a", "bbb", "cc"]).await, [1.0, 3.0, 2.0]);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.path, "/model/amazon.titan-embed-text-v2%3A0/invoke");
        assert!(request.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"));
        assert!(request.header("authorization").contains("/eu-west-1/bedrock/"));
        let text = request.body["inputText"].clone();
        assert_eq!(request.body, json!({ "inputText": text, "dimensions": 256, "normalize": true }));
    }
}

#[tokio::test]
async fn cohere_with_100_texts_sends_96_per_call_as_search_queries() {
    for (spec, by_type) in [(V3, false), (V3, true), (V4, false), (V4, true)] {
        let server = Server::start(move |_, request| cohere(request, by_type)).await;
        let texts: Vec<String> = (1..=100).map(|length| "x".repeat(length)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let firsts = first_of(&embedder(spec, "", &server), &texts).await;
        assert_eq!(firsts, (1..=100u8).map(f32::from).collect::<Vec<_>>(), "{spec}");
        let mut requests = server.requests();
        requests.sort_by_key(|request| request.body["texts"].as_array().map(Vec::len));
        let mut body = json!({
            "texts": texts[96..], "input_type": "search_query", "truncate": "NONE", "embedding_types": ["float"]
        });
        if spec == V4 {
            body["output_dimension"] = json!(256);
        }
        assert_eq!((requests.len(), &requests[0].body), (2, &body));
    }
}

#[tokio::test]
async fn profile_with_arn_is_called_by_it_in_its_region() {
    let server = Server::start(|_, request| cohere(request, true)).await;
    let spec = "bedrock:cohere.embed-v4:0:256@arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    first_of(&embedder(spec, "", &server), &["a"]).await;
    let request = &server.requests()[0];
    let path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/invoke";
    assert_eq!(request.path, path);
    assert!(request.header("authorization").contains("/us-east-1/bedrock/"));
}

#[tokio::test]
async fn transient_error_is_retried() {
    for (status, code) in [
        (429, "ThrottlingException"),
        (429, "ModelNotReadyException"),
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
        (502, "SomethingNew"),
    ] {
        let server = Server::start(move |nth, request| match nth {
            1 => Answer::aws_error(status, code, "later"),
            _ => titan(request),
        })
        .await;
        assert_eq!(first_of(&embedder(TITAN, "", &server), &["abc"]).await, [3.0], "{code}");
        assert_eq!(server.requests().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn error_after_one_or_three_attempts_has_its_kind() {
    for (status, code, kind, attempts) in [
        (429, "ThrottlingException", EmbedErrorKind::Throttled, 3),
        (503, "ServiceUnavailableException", EmbedErrorKind::Unavailable, 3),
        (403, "AccessDeniedException", EmbedErrorKind::Refused, 1),
        (403, "UnrecognizedClientException", EmbedErrorKind::Refused, 1),
        (400, "ExpiredTokenException", EmbedErrorKind::Refused, 1),
        (400, "ServiceQuotaExceededException", EmbedErrorKind::Refused, 1),
        (404, "ResourceNotFoundException", EmbedErrorKind::UnknownModel, 1),
        (400, "ValidationException", EmbedErrorKind::BadRequest, 1),
    ] {
        let server = Server::always(Answer::aws_error(status, code, "said of a private matter")).await;
        let error = error_of(&server, TITAN).await;
        assert_eq!((error.kind, server.requests().len()), (kind, attempts), "{code}: {error}");
        assert!(error.causes().contains(code), "{}", error.causes());
        // The log has the service's message only if it is about permissions.
        let is_permission = status == 403 || code.starts_with("Expired");
        assert_eq!(error.causes().contains("private"), is_permission, "{}", error.causes());
        assert!(!error.to_string().contains("private") && !error.remediation.is_empty());
        assert_eq!(error.text, (kind == EmbedErrorKind::BadRequest).then_some(0));
    }
}

#[tokio::test]
async fn pause_beyond_the_deadline_is_returned_to_the_caller() {
    let throttled = Answer::aws_error(429, "ThrottlingException", "later").with("x-amz-retry-after", "3600000");
    let server = Server::always(throttled).await;
    let error = error_of(&server, TITAN).await;
    assert_eq!((error.retry_after, server.requests().len()), (Some(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn malformed_reply_has_its_kind() {
    let mut too_large = vec![json!(0.5); 256];
    too_large[7] = json!(1e39);
    for (spec, body, kind, says) in [
        (TITAN, json!({ "embeddings": [[1.0]] }), EmbedErrorKind::Malformed, "not of the form"),
        (TITAN, json!({ "embedding": ["a private matter"] }), EmbedErrorKind::Malformed, "not of the form"),
        (TITAN, json!({ "embedding": too_large }), EmbedErrorKind::Malformed, "not of the form"),
        (TITAN, json!({ "embedding": vec![0; 256] }), EmbedErrorKind::Malformed, "empty or zero"),
        (TITAN, json!({ "embedding": [1.0, 2.0] }), EmbedErrorKind::WrongDimension, "2 dimensions, not of 256"),
        (V4, json!({ "embeddings": "none" }), EmbedErrorKind::Malformed, "not of the form"),
        (V4, json!({ "embeddings": { "int8": [[1]] } }), EmbedErrorKind::Malformed, "1 texts with 0 vectors"),
        (V4, json!({ "embeddings": [[1.0], [2.0]] }), EmbedErrorKind::Malformed, "1 texts with 2 vectors"),
        (V3, json!({ "embeddings": [[1.0, 2.0]] }), EmbedErrorKind::WrongDimension, "2 dimensions, not of 1024"),
    ] {
        let server = Server::always(Answer::json(&body)).await;
        let error = error_of(&server, spec).await;
        assert_eq!((error.kind, server.requests().len()), (kind, 1), "{error}");
        assert!(error.detail.contains(says), "{error}");
        assert!(!error.causes().contains("private"), "{}", error.causes());
    }
    let server = Server::always(Answer::text("<html>")).await;
    assert_eq!(error_of(&server, TITAN).await.kind, EmbedErrorKind::Malformed);
}

#[tokio::test]
async fn service_without_reply_times_out_at_the_deadline() {
    let server = Server::always(Answer::Never).await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let error = embedder(TITAN, "", &server).embed(&["a"], deadline).await.unwrap_err();
    assert_eq!(error.kind, EmbedErrorKind::TimedOut);
    assert!(server.requests().len() <= 2);
}

#[tokio::test]
async fn service_without_connection_is_unreachable_after_three_attempts() {
    for server in [Server::refusing().await, Server::hanging_up().await] {
        let error = error_of(&server, TITAN).await;
        assert_eq!(error.kind, EmbedErrorKind::Unreachable, "{error} {}", error.causes());
        assert!(error.detail.contains("could not be reached (3 attempts in "), "{error}");
    }
}

#[tokio::test]
async fn call_without_credentials_sends_nothing() {
    let server = Server::start(|_, request| titan(request)).await;
    let spec = TITAN.parse().unwrap();
    let backend = Backend::new(&spec, 8192, KeySource::None, &server.aws_with(None)).unwrap();
    let error = Embedder::new(backend).embed(&["a"], far_deadline()).await.unwrap_err();
    assert_eq!((error.kind, server.requests().len()), (EmbedErrorKind::Refused, 0), "{error} {}", error.causes());
    assert!(error.detail.contains("no AWS credentials"), "{error} {}", error.causes());
}

#[tokio::test]
async fn text_that_is_too_long_is_not_sent() {
    let server = Server::start(|_, request| titan(request)).await;
    for (spec, chars) in [(TITAN, 50_001), (V3, 2_049)] {
        // The limit counts characters, not bytes.
        let text = "é".repeat(chars);
        let error = embedder(spec, "", &server).embed(&["fine", &text], far_deadline()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, Some(1)));
        assert!(error.detail.contains(&format!("the text has {chars} characters")), "{error}");
    }
    assert_eq!(server.requests().len(), 0);
}

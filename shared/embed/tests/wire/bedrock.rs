//! `bedrock:<model id>[:<dimension>][@<ARN>]`.

use std::time::Duration;

use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use mneme_embed::key::KeySource;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{Answer, Asked, Server};
use crate::{ample, embedder};

const TITAN: &str = "bedrock:amazon.titan-embed-text-v2:0:256";
const V3: &str = "bedrock:cohere.embed-multilingual-v3";
const V4: &str = "bedrock:cohere.embed-v4:0:256";

/// A vector of the dimension that tells a text by its length.
fn vector(text: &Value, dim: usize) -> Vec<f32> {
    let mut vector = vec![0.25; dim];
    vector[0] = text.as_str().map_or(0, str::len) as f32;
    vector
}

fn titan(asked: &Asked) -> Answer {
    let embedding = vector(&asked.body["inputText"], asked.body["dimensions"].as_u64().unwrap_or(1024) as usize);
    Answer::json(&json!({
        "embedding": embedding, "inputTextTokenCount": 3, "embeddingsByType": { "float": embedding }
    }))
}

/// Vectors by type, or all of one type, as v3 answers where no type is asked for.
fn cohere(asked: &Asked, by_type: bool) -> Answer {
    let dim = asked.body["output_dimension"].as_u64().unwrap_or(1024) as usize;
    let texts = asked.body["texts"].as_array().cloned().unwrap_or_default();
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dim)).collect();
    let (kind, embeddings) = match by_type {
        true => ("embeddings_by_type", json!({ "int8": [[1]], "float": vectors })),
        false => ("embeddings_floats", json!(vectors)),
    };
    Answer::json(&json!({ "id": "i", "response_type": kind, "embeddings": embeddings, "texts": texts }))
}

async fn first_of(embedder: &Embedder<Backend>, texts: &[&str]) -> Vec<f32> {
    embedder.embed(texts, ample()).await.expect("vectors").iter().map(|vector| vector[0]).collect()
}

async fn error_of(server: &Server, spec: &str) -> EmbedError {
    embedder(spec, "", server).embed(&["a private matter"], ample()).await.expect_err("no vectors")
}

#[tokio::test]
async fn titan_takes_one_text_a_call() {
    let server = Server::start(|_, asked| titan(asked)).await;
    let embedder = embedder(TITAN, "", &server);
    assert_eq!((embedder.dim(), embedder.fingerprint()), (Some(256), "bedrock:amazon.titan-embed-text-v2:0:256/1"));
    assert_eq!(first_of(&embedder, &["a", "bbb", "cc"]).await, [1.0, 3.0, 2.0]);
    let asks = server.asks();
    assert_eq!(asks.len(), 3);
    for asked in asks {
        assert_eq!(asked.path, "/model/amazon.titan-embed-text-v2%3A0/invoke");
        assert!(asked.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"));
        assert!(asked.header("authorization").contains("/eu-west-1/bedrock/"));
        let text = asked.body["inputText"].clone();
        assert_eq!(asked.body, json!({ "inputText": text, "dimensions": 256, "normalize": true }));
    }
}

#[tokio::test]
async fn cohere_takes_96_and_compares_questions() {
    for (spec, by_type) in [(V3, false), (V3, true), (V4, false), (V4, true)] {
        let server = Server::start(move |_, asked| cohere(asked, by_type)).await;
        let texts: Vec<String> = (1..=100).map(|length| "x".repeat(length)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let firsts = first_of(&embedder(spec, "", &server), &texts).await;
        assert_eq!(firsts, (1..=100u8).map(f32::from).collect::<Vec<_>>(), "{spec}");
        let mut asks = server.asks();
        asks.sort_by_key(|asked| asked.body["texts"].as_array().map(Vec::len));
        let mut body = json!({
            "texts": texts[96..], "input_type": "search_query", "truncate": "NONE", "embedding_types": ["float"]
        });
        if spec == V4 {
            body["output_dimension"] = json!(256);
        }
        assert_eq!((asks.len(), &asks[0].body), (2, &body));
    }
}

#[tokio::test]
async fn a_profile_is_called_by_its_arn_in_its_region() {
    let server = Server::start(|_, asked| cohere(asked, true)).await;
    let spec = "bedrock:cohere.embed-v4:0:256@arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    first_of(&embedder(spec, "", &server), &["a"]).await;
    let asked = &server.asks()[0];
    let path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/invoke";
    assert_eq!(asked.path, path);
    assert!(asked.header("authorization").contains("/us-east-1/bedrock/"));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for (status, code) in [
        (429, "ThrottlingException"),
        (429, "ModelNotReadyException"),
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
        (502, "SomethingNew"),
    ] {
        let server = Server::start(move |nth, asked| match nth {
            1 => Answer::aws_error(status, code, "later"),
            _ => titan(asked),
        })
        .await;
        assert_eq!(first_of(&embedder(TITAN, "", &server), &["abc"]).await, [3.0], "{code}");
        assert_eq!(server.asks().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn errors_are_named_once_or_after_three_attempts() {
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
        assert_eq!((error.kind, server.asks().len()), (kind, attempts), "{code}: {error}");
        assert!(error.causes().contains(code), "{}", error.causes());
        // Of what a service says, the log has what concerns permissions.
        let is_permission = status == 403 || code.starts_with("Expired");
        assert_eq!(error.causes().contains("private"), is_permission, "{}", error.causes());
        assert!(!error.to_string().contains("private") && !error.remediation.is_empty());
        assert_eq!(error.text, (kind == EmbedErrorKind::BadRequest).then_some(0));
    }
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_the_callers() {
    let throttled = Answer::aws_error(429, "ThrottlingException", "later").with("x-amz-retry-after", "3600000");
    let server = Server::always(throttled).await;
    let error = error_of(&server, TITAN).await;
    assert_eq!((error.retry_after, server.asks().len()), (Some(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn a_malformed_reply_is_named() {
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
        assert_eq!((error.kind, server.asks().len()), (kind, 1), "{error}");
        assert!(error.detail.contains(says), "{error}");
        assert!(!error.causes().contains("private"), "{}", error.causes());
    }
    let server = Server::always(Answer::text("<html>")).await;
    assert_eq!(error_of(&server, TITAN).await.kind, EmbedErrorKind::Malformed);
}

#[tokio::test]
async fn a_slow_service_ends_with_the_deadline() {
    let server = Server::always(Answer::Never).await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let error = embedder(TITAN, "", &server).embed(&["a"], deadline).await.unwrap_err();
    assert_eq!(error.kind, EmbedErrorKind::TimedOut);
    assert!(server.asks().len() <= 1);
}

#[tokio::test]
async fn nobody_there_is_named_after_three_attempts() {
    for server in [Server::refusing().await, Server::hanging_up().await] {
        let error = error_of(&server, TITAN).await;
        assert_eq!(error.kind, EmbedErrorKind::Unreachable, "{error} {}", error.causes());
        assert!(error.detail.contains("could not be reached (3 attempts in "), "{error}");
    }
}

#[tokio::test]
async fn no_credentials_are_named_without_a_request() {
    let server = Server::start(|_, asked| titan(asked)).await;
    let spec = TITAN.parse().unwrap();
    let backend = Backend::new(&spec, KeySource::None, &server.aws_with(None)).unwrap();
    let error = Embedder::new(backend).embed(&["a"], ample()).await.unwrap_err();
    assert_eq!((error.kind, server.asks().len()), (EmbedErrorKind::Refused, 0), "{error} {}", error.causes());
    assert!(error.detail.contains("no AWS credentials"), "{error} {}", error.causes());
}

#[tokio::test]
async fn texts_that_are_too_long_are_not_sent() {
    let server = Server::start(|_, asked| titan(asked)).await;
    for (spec, chars) in [(TITAN, 50_001), (V3, 2_049)] {
        // Characters, not bytes.
        let text = "é".repeat(chars);
        let error = embedder(spec, "", &server).embed(&["fine", &text], ample()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, Some(1)));
        assert!(error.detail.contains(&format!("the text has {chars} characters")), "{error}");
    }
    assert_eq!(server.asks().len(), 0);
}

//! `MNEME_EMBEDDER_API_KEY`: given, or kept in Secrets Manager or Parameter Store.

use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::EmbedErrorKind;
use serde_json::{Value, json};

use crate::server::{Answer, Asked, Server};
use crate::{ample, embedder};

const SECRET: &str = "arn:aws:secretsmanager:us-west-2:123456789012:secret:prod/key-AbCdEf";
const PARAMETER: &str = "arn:aws:ssm:us-west-2:123456789012:parameter/prod/key";

fn over(server: &Server, key: &str) -> Embedder<Backend> {
    embedder(&format!("openai:m@{}/v1", server.url), key, server)
}

/// The operation that an AWS client asks for; none for an embedder's request.
fn operation(asked: &Asked) -> &str {
    asked.header("x-amz-target").rsplit('.').next().unwrap_or_default()
}

/// What Secrets Manager or Parameter Store answers.
fn stored(asked: &Asked, key: &str) -> Option<Answer> {
    match operation(asked) {
        "GetSecretValue" => Some(Answer::json(&json!({ "ARN": SECRET, "Name": "prod/key", "SecretString": key }))),
        "GetParameter" => {
            Some(Answer::json(&json!({ "Parameter": { "ARN": PARAMETER, "Type": "SecureString", "Value": key } })))
        }
        _ => None,
    }
}

/// What an embedder answers that takes one key.
fn takes(asked: &Asked, key: &str) -> Answer {
    match asked.header("authorization") == format!("Bearer {key}") {
        true => Answer::json(&json!({ "data": [{ "index": 0, "embedding": [1.0] }] })),
        false => Answer::status(401, &json!({ "error": { "code": "invalid_api_key" } })),
    }
}

/// How often each was asked: the keeper of the key, the embedder.
fn counts(server: &Server) -> (usize, usize) {
    let asks = server.asks();
    let kept = asks.iter().filter(|asked| !operation(asked).is_empty()).count();
    (kept, asks.len() - kept)
}

#[tokio::test]
async fn a_given_key_is_sent_and_refused_once() {
    let server = Server::start(|_, asked| takes(asked, "sk-right")).await;
    assert!(over(&server, "sk-right").embed(&["a"], ample()).await.is_ok());
    let error = over(&server, "sk-wrong").embed(&["a"], ample()).await.unwrap_err();
    assert_eq!((error.kind, counts(&server)), (EmbedErrorKind::Refused, (0, 2)));
    assert!(error.detail.contains("refused the API key with HTTP status 401"), "{error}");
    assert!(error.causes().contains("code invalid_api_key"), "{}", error.causes());
}

#[tokio::test]
async fn a_kept_key_is_fetched_once() {
    for (arn, request) in
        [(SECRET, json!({ "SecretId": SECRET })), (PARAMETER, json!({ "Name": PARAMETER, "WithDecryption": true }))]
    {
        for kept in ["sk-right", r#"{"api_key":"sk-right"}"#] {
            let server =
                Server::start(move |_, asked| stored(asked, kept).unwrap_or_else(|| takes(asked, "sk-right"))).await;
            let embedder = over(&server, arn);
            assert_eq!(counts(&server), (0, 0));
            embedder.embed(&["a"], ample()).await.unwrap();
            embedder.embed(&["b"], ample()).await.unwrap();
            assert_eq!(counts(&server), (1, 2));
            let first = &server.asks()[0];
            assert_eq!(first.body, request);
            assert!(first.header("authorization").contains("/us-west-2/"), "the region of the ARN");
        }
    }
}

#[tokio::test]
async fn calls_at_once_fetch_the_key_once() {
    let server = Server::start(|_, asked| {
        stored(asked, "sk-right").unwrap_or_else(|| {
            let texts = asked.body["input"].as_array().map_or(0, Vec::len);
            let data: Vec<Value> = (0..texts).map(|index| json!({ "index": index, "embedding": [1.0] })).collect();
            Answer::json(&json!({ "data": data }))
        })
    })
    .await;
    let texts: Vec<String> = (0..100).map(|text| text.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    over(&server, SECRET).embed(&texts, ample()).await.unwrap();
    assert_eq!(counts(&server), (1, 4));
}

#[tokio::test]
async fn a_refused_key_is_fetched_again() {
    for arn in [SECRET, PARAMETER] {
        // The key changes after the first request to the embedder.
        let server = Server::start(|nth, asked| {
            let right = if nth <= 2 { "sk-old" } else { "sk-new" };
            stored(asked, right).unwrap_or_else(|| takes(asked, right))
        })
        .await;
        let embedder = over(&server, arn);
        embedder.embed(&["a"], ample()).await.unwrap();
        embedder.embed(&["b"], ample()).await.unwrap();
        embedder.embed(&["c"], ample()).await.unwrap();
        // The key; a; b, which is refused; the key; b again; c.
        assert_eq!(counts(&server), (2, 4));
    }
}

#[tokio::test]
async fn a_kept_key_that_is_wrong_does_not_cost_a_fetch_each_time() {
    let server = Server::start(|_, asked| stored(asked, "sk-wrong").unwrap_or_else(|| takes(asked, "sk-right"))).await;
    let embedder = over(&server, SECRET);
    for text in ["a", "b", "c"] {
        let error = embedder.embed(&[text], ample()).await.unwrap_err();
        assert_eq!(error.kind, EmbedErrorKind::Refused);
        assert!(!format!("{error:?} {}", error.causes()).contains("sk-wrong"));
    }
    assert_eq!(counts(&server), (2, 3));
}

#[tokio::test]
async fn a_key_that_cannot_be_fetched_is_named_with_the_action() {
    for (arn, action) in [(SECRET, "secretsmanager:GetSecretValue"), (PARAMETER, "ssm:GetParameter")] {
        for (status, code) in
            [(400, "AccessDeniedException"), (400, "ResourceNotFoundException"), (400, "ParameterNotFound")]
        {
            let server = Server::always(Answer::aws_error(status, code, "no")).await;
            let error = over(&server, arn).embed(&["a"], ample()).await.unwrap_err();
            assert_eq!((error.kind, counts(&server)), (EmbedErrorKind::Refused, (1, 0)), "{code}");
            assert!(error.detail.contains(action) && error.remediation.contains(&format!("allow {action}")), "{error}");
            assert!(error.causes().contains(code), "{}", error.causes());
        }
    }
}

#[tokio::test]
async fn fetching_a_key_is_tried_again_when_it_may_pass() {
    let server = Server::start(|nth, asked| match nth {
        1 => Answer::aws_error(400, "ThrottlingException", "later"),
        2 => Answer::aws_error(500, "InternalServiceError", "later"),
        _ => stored(asked, "sk-right").unwrap_or_else(|| takes(asked, "sk-right")),
    })
    .await;
    over(&server, SECRET).embed(&["a"], ample()).await.unwrap();
    assert_eq!(counts(&server), (3, 1));
}

#[tokio::test]
async fn what_is_kept_and_is_no_key_is_named_and_not_shown() {
    for kept in ["", "sk hidden", r#"{"user":"u","password":"hidden"}"#, "hidd\u{e9}n"] {
        let server = Server::start(move |_, asked| stored(asked, kept).unwrap_or(Answer::Never)).await;
        let error = over(&server, PARAMETER).embed(&["a"], ample()).await.unwrap_err();
        assert_eq!((error.kind, counts(&server)), (EmbedErrorKind::Refused, (1, 0)));
        assert!(error.detail.contains("what ssm:GetParameter returned is no API key"), "{error}");
        assert!(!format!("{error:?}").contains("hidden"));
    }
}

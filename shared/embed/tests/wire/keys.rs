//! `MNEME_EMBEDDER_API_KEY`: a key, or the ARN of one in Secrets Manager or Parameter Store.

use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::EmbedErrorKind;
use serde_json::{Value, json};

use crate::server::{Answer, Recorded, Server};
use crate::{embedder, far_deadline};

const SECRET: &str = "arn:aws:secretsmanager:us-west-2:123456789012:secret:prod/key-AbCdEf";
const PARAMETER: &str = "arn:aws:ssm:us-west-2:123456789012:parameter/prod/key";

fn over(server: &Server, key: &str) -> Embedder<Backend> {
    embedder(&format!("openai:m@{}/v1", server.url), key, server)
}

/// The operation of an AWS client's request; empty for a request to the embedder.
fn operation(request: &Recorded) -> &str {
    request.header("x-amz-target").rsplit('.').next().unwrap_or_default()
}

/// The answer of Secrets Manager or Parameter Store, which store `key`; `None` for a request to the embedder.
fn stored(request: &Recorded, key: &str) -> Option<Answer> {
    match operation(request) {
        "GetSecretValue" => Some(Answer::json(&json!({ "ARN": SECRET, "Name": "prod/key", "SecretString": key }))),
        "GetParameter" => {
            Some(Answer::json(&json!({ "Parameter": { "ARN": PARAMETER, "Type": "SecureString", "Value": key } })))
        }
        _ => None,
    }
}

/// The answer of an embedder that accepts only `key`.
fn accepting(request: &Recorded, key: &str) -> Answer {
    match request.header("authorization") == format!("Bearer {key}") {
        true => Answer::json(&json!({ "data": [{ "index": 0, "embedding": [1.0] }] })),
        false => Answer::status(401, &json!({ "error": { "code": "invalid_api_key" } })),
    }
}

/// The number of requests to the store of the key, and to the embedder.
fn counts(server: &Server) -> (usize, usize) {
    let requests = server.requests();
    let fetches = requests.iter().filter(|request| !operation(request).is_empty()).count();
    (fetches, requests.len() - fetches)
}

#[tokio::test]
async fn given_key_that_is_refused_is_not_retried() {
    let server = Server::start(|_, request| accepting(request, "sk-right")).await;
    assert!(over(&server, "sk-right").embed(&["a"], far_deadline()).await.is_ok());
    let error = over(&server, "sk-wrong").embed(&["a"], far_deadline()).await.unwrap_err();
    assert_eq!((error.kind, counts(&server)), (EmbedErrorKind::Refused, (0, 2)));
    assert!(error.detail.contains("refused the API key with HTTP status 401"), "{error}");
    assert!(error.causes().contains("code invalid_api_key"), "{}", error.causes());
}

#[tokio::test]
async fn stored_key_is_fetched_once() {
    for (arn, request) in
        [(SECRET, json!({ "SecretId": SECRET })), (PARAMETER, json!({ "Name": PARAMETER, "WithDecryption": true }))]
    {
        for stored_text in ["sk-right", r#"{"api_key":"sk-right"}"#] {
            let server = Server::start(move |_, request| {
                stored(request, stored_text).unwrap_or_else(|| accepting(request, "sk-right"))
            })
            .await;
            let embedder = over(&server, arn);
            assert_eq!(counts(&server), (0, 0));
            embedder.embed(&["a"], far_deadline()).await.unwrap();
            embedder.embed(&["b"], far_deadline()).await.unwrap();
            assert_eq!(counts(&server), (1, 2));
            let first = &server.requests()[0];
            assert_eq!(first.body, request);
            assert!(first.header("authorization").contains("/us-west-2/"), "the region of the ARN");
        }
    }
}

#[tokio::test]
async fn concurrent_calls_fetch_the_key_once() {
    let server = Server::start(|_, request| {
        stored(request, "sk-right").unwrap_or_else(|| {
            let texts = request.body["input"].as_array().map_or(0, Vec::len);
            let data: Vec<Value> = (0..texts).map(|index| json!({ "index": index, "embedding": [1.0] })).collect();
            Answer::json(&json!({ "data": data }))
        })
    })
    .await;
    let texts: Vec<String> = (0..100).map(|text| text.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    over(&server, SECRET).embed(&texts, far_deadline()).await.unwrap();
    assert_eq!(counts(&server), (1, 4));
}

#[tokio::test]
async fn refused_key_is_fetched_again() {
    for arn in [SECRET, PARAMETER] {
        // The key in the store changes after the first request to the embedder.
        let server = Server::start(|nth, request| {
            let right = if nth <= 2 { "sk-old" } else { "sk-new" };
            stored(request, right).unwrap_or_else(|| accepting(request, right))
        })
        .await;
        let embedder = over(&server, arn);
        embedder.embed(&["a"], far_deadline()).await.unwrap();
        embedder.embed(&["b"], far_deadline()).await.unwrap();
        embedder.embed(&["c"], far_deadline()).await.unwrap();
        // The requests are: fetch, a, b (refused), fetch, b, c.
        assert_eq!(counts(&server), (2, 4));
    }
}

#[tokio::test]
async fn stored_key_that_stays_refused_is_not_fetched_each_time() {
    let server =
        Server::start(|_, request| stored(request, "sk-wrong").unwrap_or_else(|| accepting(request, "sk-right"))).await;
    let embedder = over(&server, SECRET);
    for text in ["a", "b", "c"] {
        let error = embedder.embed(&[text], far_deadline()).await.unwrap_err();
        assert_eq!(error.kind, EmbedErrorKind::Refused);
        assert!(!format!("{error:?} {}", error.causes()).contains("sk-wrong"));
    }
    assert_eq!(counts(&server), (2, 3));
}

#[tokio::test]
async fn key_that_cannot_be_fetched_has_the_action_in_its_error() {
    for (arn, action) in [(SECRET, "secretsmanager:GetSecretValue"), (PARAMETER, "ssm:GetParameter")] {
        for (status, code) in
            [(400, "AccessDeniedException"), (400, "ResourceNotFoundException"), (400, "ParameterNotFound")]
        {
            let server = Server::always(Answer::aws_error(status, code, "no")).await;
            let error = over(&server, arn).embed(&["a"], far_deadline()).await.unwrap_err();
            assert_eq!((error.kind, counts(&server)), (EmbedErrorKind::Refused, (1, 0)), "{code}");
            assert!(error.detail.contains(action) && error.remediation.contains(&format!("allow {action}")), "{error}");
            assert!(error.causes().contains(code), "{}", error.causes());
        }
    }
}

#[tokio::test]
async fn transient_error_of_a_fetch_is_retried() {
    let server = Server::start(|nth, request| match nth {
        1 => Answer::aws_error(400, "ThrottlingException", "later"),
        2 => Answer::aws_error(500, "InternalServiceError", "later"),
        _ => stored(request, "sk-right").unwrap_or_else(|| accepting(request, "sk-right")),
    })
    .await;
    over(&server, SECRET).embed(&["a"], far_deadline()).await.unwrap();
    assert_eq!(counts(&server), (3, 1));
}

#[tokio::test]
async fn stored_text_that_is_not_a_key_is_refused_and_not_shown() {
    for stored_text in ["", "sk hidden", r#"{"user":"u","password":"hidden"}"#, "hidd\u{e9}n"] {
        let server = Server::start(move |_, request| stored(request, stored_text).unwrap_or(Answer::Never)).await;
        let error = over(&server, PARAMETER).embed(&["a"], far_deadline()).await.unwrap_err();
        assert_eq!((error.kind, counts(&server)), (EmbedErrorKind::Refused, (1, 0)));
        assert!(error.detail.contains("what ssm:GetParameter returned is no API key"), "{error}");
        assert!(!format!("{error:?}").contains("hidden"));
    }
}

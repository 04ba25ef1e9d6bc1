//! Tests of the HTTP API, as its clients see it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fake::Fakes;

/// A body that makes the fake function answer with the response object `with`.
fn order(with: Value) -> String {
    json!({ "do": "answer", "with": with }).to_string()
}

#[tokio::test]
async fn request_reaches_its_function_as_an_event_of_format_2() {
    let fakes = Fakes::start().await;
    let response = fakes.client.get(fakes.url("/v1/namespaces/a%20b/quota?x=1&x=2")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["env"]["AWS_LAMBDA_FUNCTION_NAME"], "quota");
    let event = &answer["event"];
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /v1/namespaces/{namespace}/quota");
    assert_eq!(event["pathParameters"], json!({ "namespace": "a b" }));
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(event["requestContext"]["http"]["method"], "GET");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert!(event["headers"]["host"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn response_object_becomes_the_http_response() {
    let fakes = Fakes::start().await;
    let answer = json!({
        "statusCode": 503,
        "headers": { "content-type": "application/problem+json", "retry-after": "1" },
        "cookies": ["a=1"],
        "body": "{\"status\":503}",
        "isBase64Encoded": false,
    });
    let response = fakes.post("/v1/lookup", order(answer)).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.headers()["set-cookie"], "a=1");
    assert_eq!(response.text().await.unwrap(), "{\"status\":503}");
}

#[tokio::test]
async fn failing_function_or_invalid_answer_gives_500() {
    let fakes = Fakes::start().await;
    for order in [
        json!({ "do": "error" }).to_string(),
        json!({ "do": "exit", "code": 1 }).to_string(),
        order(json!({ "statusCode": "often" })),
    ] {
        let response = fakes.post("/v1/lookup", order).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "message": "Internal Server Error" }));
    }
}

#[tokio::test]
async fn unknown_route_gives_404_and_unknown_method_405_with_allow() {
    let fakes = Fakes::start().await;
    for path in ["/", "/v1", "/v1/nonsense", "/v1/lookup/", "/2015-03-31/functions"] {
        let response = fakes.post(path, "{}").await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "message": "Not Found" }));
    }
    for (method, path, allow) in [
        (Method::GET, "/v1/lookup", "POST"),
        (Method::HEAD, "/v1/entries/7", "DELETE, GET, PATCH"),
        (Method::OPTIONS, "/v1/namespaces/a/quota", "DELETE, GET, PUT"),
    ] {
        let response = fakes.client.request(method.clone(), fakes.url(path)).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["allow"].to_str().unwrap()),
            (405, allow),
            "{method}"
        );
    }
    assert_eq!(fakes.server.instances("get"), 0);
}

#[tokio::test]
async fn request_of_a_foreign_page_is_refused() {
    let fakes = Fakes::start().await;
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let request = fakes.client.post(fakes.url("/v1/entries")).header(name, value).body("{}");
        assert_eq!(request.send().await.unwrap().status(), 403, "{name}");
    }
    assert_eq!(fakes.server.instances("put"), 0);
}

#[tokio::test]
async fn body_over_a_size_limit_gives_413_and_starts_no_instance() {
    let fakes = Fakes::start().await;
    // The first is over API Gateway's limit, the second over Lambda's.
    for bytes in [10 * 1024 * 1024 + 1, 6_291_456] {
        let response = fakes.post("/v1/entries", "x".repeat(bytes)).await;
        assert_eq!(response.status(), 413);
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "message": "Request Too Long" }));
    }
    assert_eq!(fakes.server.instances("put"), 0);
}

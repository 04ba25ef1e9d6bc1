//! A function's answer as an HTTP response, payload format 2.0.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream;
use serde_json::{Map, Value};

use crate::lambda::StreamedReply;

/// Headers that describe one connection. The server sets those of its own connection itself.
const CONNECTION_HEADERS: [HeaderName; 3] = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// The HTTP response of a function's answer: an object with `statusCode` describes it; any other JSON is the body of a
/// 200.
///
/// Errors: why the answer is not valid to API Gateway, in words for the log.
pub(super) fn from_payload(payload: Bytes) -> Result<Response<Body>, String> {
    let value: Value = serde_json::from_slice(&payload).map_err(|error| format!("the answer is not JSON: {error}"))?;
    match value {
        Value::Object(answer) if answer.contains_key("statusCode") => from_answer(normalized(answer)),
        _ => {
            let mut response = Response::new(Body::from(payload));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(response)
        }
    }
}

/// The HTTP response of a streamed answer, whose body goes on while it is sent. Errors: as [`from_payload`].
pub(super) fn from_stream(StreamedReply { prelude, body }: StreamedReply) -> Result<Response<Body>, String> {
    let mut response = from_payload(prelude)?;
    let parts = stream::unfold(body, async |mut body| Some((body.recv().await?, body)));
    *response.body_mut() = Body::from_stream(parts);
    Ok(response)
}

/// The answer in the form that the type reads: with `cookies`, and with header values as text. API Gateway also accepts
/// answers without cookies, and numbers and booleans in headers.
fn normalized(mut answer: Map<String, Value>) -> Value {
    let cookies = answer.entry("cookies").or_insert(Value::Null);
    if cookies.is_null() {
        *cookies = Value::Array(Vec::new());
    }
    for field in ["headers", "multiValueHeaders"] {
        let Some(Value::Object(headers)) = answer.get_mut(field) else { continue };
        for value in headers.values_mut() {
            match value {
                Value::Array(values) => values.iter_mut().for_each(scalar_to_text),
                value => scalar_to_text(value),
            }
        }
    }
    Value::Object(answer)
}

fn scalar_to_text(value: &mut Value) {
    if value.is_number() || value.is_boolean() {
        *value = Value::String(value.to_string());
    }
}

fn from_answer(answer: Value) -> Result<Response<Body>, String> {
    let answer: ApiGatewayV2httpResponse = serde_path_to_error::deserialize(answer)
        .map_err(|error| format!("{} of the answer is not valid: {}", error.path(), error.inner()))?;
    let status = u16::try_from(answer.status_code).ok().filter(|status| *status >= 200);
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| format!("statusCode {} is not an HTTP status", answer.status_code))?;

    let headers = headers(&answer)?;
    let text = answer.body.as_deref().unwrap_or_default();
    let body = match answer.is_base64_encoded {
        true => STANDARD.decode(text).map_err(|error| format!("the body is not base64: {error}"))?.into(),
        false => Bytes::copy_from_slice(text),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The response's headers: `headers`, replaced by `multiValueHeaders` where both have a name, and a `set-cookie` for
/// each cookie.
fn headers(answer: &ApiGatewayV2httpResponse) -> Result<HeaderMap, String> {
    let mut headers = answer.headers.clone();
    for name in answer.multi_value_headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &answer.multi_value_headers {
        headers.append(name, value.clone());
    }
    for cookie in &answer.cookies {
        let value =
            HeaderValue::from_str(cookie).map_err(|_| format!("the cookie {cookie:?} is not a header's value"))?;
        headers.append(header::SET_COOKIE, value);
    }
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn parts(answer: Value) -> (u16, HeaderMap, Vec<u8>) {
        let (parts, body) = from_payload(Bytes::from(answer.to_string())).unwrap().into_parts();
        let body = crate::body::read(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, body.to_vec())
    }

    #[tokio::test]
    async fn from_payload_with_a_response_object_gives_its_status_headers_cookies_and_body() {
        let (status, headers, body) = parts(json!({
            "statusCode": 201,
            "headers": { "Content-Type": "application/json", "X-Count": 3, "Content-Length": "999", "X-Many": "one" },
            "multiValueHeaders": { "x-many": ["two", "three"] },
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "{\"id\":7}",
        }))
        .await;
        assert_eq!((status, body), (201, b"{\"id\":7}".to_vec()));
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-count"], "3");
        assert!(!headers.contains_key("content-length"));
        assert_eq!(headers.get_all("x-many").iter().collect::<Vec<_>>(), ["two", "three"]);
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1; Path=/", "b=2"]);
    }

    #[tokio::test]
    async fn from_payload_with_nulls_treats_them_as_absent() {
        let answer = json!({
            "statusCode": 204, "headers": null, "multiValueHeaders": null, "cookies": null, "body": null,
            "isBase64Encoded": null,
        });
        let (status, headers, body) = parts(answer).await;
        assert_eq!((status, body), (204, Vec::new()));
        assert_eq!(headers["content-type"], "text/plain;charset=UTF-8");
    }

    #[tokio::test]
    async fn from_payload_with_a_base64_body_decodes_it() {
        let (_, _, body) = parts(json!({ "statusCode": 200, "body": "/wA=", "isBase64Encoded": true })).await;
        assert_eq!(body, [0xff, 0]);
    }

    #[tokio::test]
    async fn from_payload_without_a_status_gives_a_200_with_the_payload_as_body() {
        for answer in [json!({ "outcome": "miss" }), json!([1]), json!("text"), json!(null)] {
            let (status, headers, body) = parts(answer.clone()).await;
            assert_eq!(status, 200);
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(body, answer.to_string().into_bytes());
        }
    }

    #[test]
    fn from_payload_with_an_invalid_answer_names_what_is_invalid() {
        for (answer, names) in [
            ("nonsense", "not JSON"),
            (r#"{"statusCode":"ok"}"#, "statusCode of the answer is not valid"),
            (r#"{"statusCode":99}"#, "statusCode 99 is not an HTTP status"),
            (r#"{"statusCode":200,"body":{}}"#, "body of the answer is not valid"),
            (r#"{"statusCode":200,"headers":[]}"#, "headers of the answer is not valid"),
            (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "a b"),
            (r#"{"statusCode":200,"headers":{"a":"\n"}}"#, "headers"),
            (r#"{"statusCode":200,"cookies":["\n"]}"#, "is not a header's value"),
            (r#"{"statusCode":200,"body":"!","isBase64Encoded":true}"#, "not base64"),
        ] {
            let error = from_payload(Bytes::from(answer)).unwrap_err();
            assert!(error.contains(names), "{answer}: {error}");
        }
    }
}

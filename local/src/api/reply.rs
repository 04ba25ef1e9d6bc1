//! A function's answer as an HTTP response: payload format 2.0.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Headers that describe one connection; the server sets those of ours itself.
const OF_THE_CONNECTION: [HeaderName; 3] = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// The response a payload stands for. An object with `statusCode` is one; any other JSON is the body of a 200.
///
/// Errors: what API Gateway would call an invalid response, in words for the log.
pub(super) fn of_payload(payload: Bytes) -> Result<Response<Body>, String> {
    let value: Value = serde_json::from_slice(&payload).map_err(|error| format!("the answer is not JSON: {error}"))?;
    match value {
        Value::Object(answer) if answer.contains_key("statusCode") => of_answer(&answer),
        _ => {
            let mut response = Response::new(Body::from(payload));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(response)
        }
    }
}

fn of_answer(answer: &Map<String, Value>) -> Result<Response<Body>, String> {
    let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).filter(|status| status.as_u16() >= 200);
    let status = status.ok_or_else(|| format!("statusCode {} is none of HTTP", answer["statusCode"]))?;

    let body = match answer.get("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(body)) if answer.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            STANDARD.decode(body).map_err(|error| format!("the body is not base64: {error}"))?.into()
        }
        Some(Value::String(body)) => Bytes::from(body.clone()),
        Some(_) => return Err("the body is not a string".to_owned()),
    };
    let mut headers = headers(answer)?;
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));

    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// `headers`, `multiValueHeaders` where a name is in both, and a `set-cookie` for each of `cookies`.
fn headers(answer: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in object(answer, "headers")? {
        headers.insert(parse_name(name)?, parse_value(value)?);
    }
    for (name, values) in object(answer, "multiValueHeaders")? {
        let name = parse_name(name)?;
        headers.remove(&name);
        for value in array(values, "multiValueHeaders")? {
            headers.append(name.clone(), parse_value(value)?);
        }
    }
    if let Some(cookies) = answer.get("cookies").filter(|cookies| !cookies.is_null()) {
        for cookie in array(cookies, "cookies")? {
            headers.append(header::SET_COOKIE, parse_value(cookie)?);
        }
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    Ok(headers)
}

fn object<'a>(
    answer: &'a Map<String, Value>,
    field: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    match answer.get(field) {
        None | Some(Value::Null) => Ok(None.into_iter().flatten()),
        Some(Value::Object(object)) => Ok(Some(object).into_iter().flatten()),
        Some(_) => Err(format!("{field} is not an object")),
    }
}

fn array<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{field} does not hold an array"))
}

fn parse_name(name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| format!("`{name}` is not a header's name"))
}

fn parse_value(value: &Value) -> Result<HeaderValue, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(format!("`{value}` is not a header's value"));
        }
    };
    HeaderValue::from_str(&text).map_err(|_| format!("`{value}` is not a header's value"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn parts(answer: Value) -> (u16, HeaderMap, Vec<u8>) {
        let (parts, body) = of_payload(Bytes::from(answer.to_string())).unwrap().into_parts();
        let body = super::super::body::read(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, body.to_vec())
    }

    #[tokio::test]
    async fn an_answer_becomes_a_response() {
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
    async fn a_base64_body_is_decoded() {
        let (_, _, body) = parts(json!({ "statusCode": 200, "body": "/wA=", "isBase64Encoded": true })).await;
        assert_eq!(body, [0xff, 0]);
    }

    #[tokio::test]
    async fn json_without_a_status_is_the_body_of_a_200() {
        for answer in [json!({ "outcome": "miss" }), json!([1]), json!("text"), json!(null)] {
            let (status, headers, body) = parts(answer.clone()).await;
            assert_eq!(status, 200);
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(body, answer.to_string().into_bytes());
        }
    }

    #[test]
    fn an_invalid_answer_says_why() {
        for (answer, why) in [
            ("nonsense", "not JSON"),
            (r#"{"statusCode":"ok"}"#, "none of HTTP"),
            (r#"{"statusCode":99}"#, "none of HTTP"),
            (r#"{"statusCode":200,"body":{}}"#, "not a string"),
            (r#"{"statusCode":200,"headers":[]}"#, "not an object"),
            (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "header's name"),
            (r#"{"statusCode":200,"headers":{"a":"\n"}}"#, "header's value"),
            (r#"{"statusCode":200,"body":"!","isBase64Encoded":true}"#, "not base64"),
        ] {
            let error = of_payload(Bytes::from(answer)).unwrap_err();
            assert!(error.contains(why), "{answer}: {error}");
        }
    }
}

//! A request as an event: API Gateway's HTTP API, payload format 2.0.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Uri, header, request::Parts};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use uuid::Uuid;

use super::routing::Matched;

/// Common Log Format; always UTC here.
const CLF: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// The API listens on the loopback interface only.
const SOURCE_IP: &str = "127.0.0.1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'static str,
    api_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Value>,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: String,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: &'static str,
    user_agent: String,
}

/// The event of a request that matched a route, as JSON.
pub(super) fn of_request(parts: &Parts, matched: &Matched, body: &[u8]) -> Bytes {
    let route_key = format!("{} {}", matched.route.method, matched.route.path);
    let host = text(&parts.headers, header::HOST).unwrap_or_else(|| "localhost".to_owned());
    let domain_name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let now = OffsetDateTime::now_utc();
    let (body, is_base64_encoded) = encode(body);
    let event = Event {
        version: "2.0",
        route_key: &route_key,
        raw_path: parts.uri.path(),
        raw_query_string: parts.uri.query().unwrap_or_default(),
        cookies: cookies(&parts.headers),
        headers: headers(&parts.headers),
        query_string_parameters: query(&parts.uri),
        path_parameters: &matched.parameters,
        request_context: RequestContext {
            account_id: "123456789012",
            api_id: "local",
            authorizer: authorizer(&parts.headers),
            domain_name,
            domain_prefix: domain_name.split('.').next().unwrap_or_default(),
            http: Http {
                method: parts.method.as_str(),
                path: parts.uri.path(),
                protocol: format!("{:?}", parts.version),
                source_ip: SOURCE_IP,
                user_agent: text(&parts.headers, header::USER_AGENT).unwrap_or_default(),
            },
            request_id: Uuid::new_v4().to_string(),
            route_key: &route_key,
            stage: "$default",
            time: now.format(CLF).unwrap_or_default(),
            time_epoch: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        },
        body,
        is_base64_encoded,
    };
    // Strings, numbers and maps with string keys: nothing of it can fail.
    Bytes::from(serde_json::to_vec(&event).expect("an event is JSON"))
}

/// Text as it is, anything else as base64. API Gateway decides by the content type instead; what both call text, which
/// is every body this API is made for, looks the same.
fn encode(body: &[u8]) -> (Option<String>, bool) {
    match std::str::from_utf8(body) {
        Ok("") => (None, false),
        Ok(text) => (Some(text.to_owned()), false),
        Err(_) => (Some(STANDARD.encode(body)), true),
    }
}

/// Names in lower case, the values of one name joined by commas; without cookies, which stand elsewhere.
fn headers(from: &HeaderMap) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = from
        .keys()
        .filter(|name| **name != header::COOKIE)
        .filter_map(|name| Some((name.as_str().to_owned(), text(from, name.clone())?)))
        .collect();
    let mut added_by_gateway = |name: &str, value: &str| {
        headers.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    };
    added_by_gateway("x-forwarded-for", SOURCE_IP);
    added_by_gateway("x-forwarded-proto", "http");
    headers
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// What API Gateway's JWT authoriser adds: the claims of a bearer token. Here no signature, issuer, audience or time
/// is checked: whoever reaches the loopback interface may be anyone.
fn authorizer(headers: &HeaderMap) -> Option<Value> {
    let authorization = text(headers, header::AUTHORIZATION)?;
    let payload = authorization.strip_prefix("Bearer ")?.split('.').nth(1)?;
    let claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let claims: Map<String, Value> =
        claims.into_iter().map(|(name, value)| (name, Value::from(claim_text(value)))).collect();
    Some(json!({ "jwt": { "claims": claims, "scopes": null } }))
}

/// A claim as API Gateway passes it on: always text, an array as `[a b]`.
fn claim_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(values) => format!("[{}]", values.into_iter().map(claim_text).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values =
        headers.get_all(header::COOKIE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.flat_map(|value| value.split("; ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::{super::routing::Routes, *};
    use axum::http::Request;

    fn event(request: Request<&[u8]>) -> Value {
        let (parts, body) = request.into_parts();
        let matched = Routes::new().find(parts.method.as_str(), parts.uri.path()).unwrap();
        serde_json::from_slice(&of_request(&parts, &matched, body)).unwrap()
    }

    #[test]
    fn a_request_becomes_a_version_2_event() {
        let request = Request::get("/v1/entries?namespace=a%20b+c&limit=5&limit=6&cursor=")
            .header("Host", "127.0.0.1:3000")
            .header("User-Agent", "test/1")
            .header("X-Twice", "a")
            .header("X-Twice", "b")
            .header("Cookie", "one=1; two=2")
            .body(&b""[..])
            .unwrap();
        let event = event(request);
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["routeKey"], "GET /v1/entries");
        assert_eq!(event["rawPath"], "/v1/entries");
        assert_eq!(event["rawQueryString"], "namespace=a%20b+c&limit=5&limit=6&cursor=");
        assert_eq!(event["queryStringParameters"], json!({ "namespace": "a b c", "limit": "5,6", "cursor": "" }));
        assert_eq!(event["cookies"], json!(["one=1", "two=2"]));
        assert_eq!(event["headers"]["x-twice"], "a,b");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event.get("pathParameters"), None);
        assert_eq!(event.get("body"), None);
        assert_eq!(event["isBase64Encoded"], false);
        let context = &event["requestContext"];
        assert_eq!(context["http"]["method"], "GET");
        assert_eq!(context["http"]["protocol"], "HTTP/1.1");
        assert_eq!(context["http"]["userAgent"], "test/1");
        assert_eq!(context["domainName"], "127.0.0.1");
        assert_eq!(context["stage"], "$default");
        let time = context["time"].as_str().unwrap();
        assert_eq!((time.len(), &time[2..3], &time[20..]), ("22/Nov/2026:13:00:00 +0000".len(), "/", " +0000"));
        assert!(context["timeEpoch"].as_i64().unwrap() > 1_700_000_000_000);
    }

    #[test]
    fn a_bearer_tokens_claims_come_as_text() {
        let claims = URL_SAFE_NO_PAD.encode(json!({"sub": "me", "spaces": ["a", "b"], "exp": 7}).to_string());
        let bearer = |token: &str| Request::get("/v1/health").header("Authorization", token).body(&b""[..]).unwrap();
        let with = event(bearer(&format!("Bearer e30.{claims}.c2ln")));
        let claims = &with["requestContext"]["authorizer"]["jwt"]["claims"];
        assert_eq!(*claims, json!({"sub": "me", "spaces": "[a b]", "exp": "7"}));
        for odd in ["Bearer opaque", "Bearer a.b.c", "Basic e30.e30.e30"] {
            assert_eq!(event(bearer(odd))["requestContext"].get("authorizer"), None, "{odd}");
        }
    }

    #[test]
    fn path_parameters_are_decoded_and_the_raw_path_is_not() {
        let event = event(Request::get("/v1/meta/a%2Fb").body(&b""[..]).unwrap());
        assert_eq!(event["pathParameters"], json!({ "key": "a/b" }));
        assert_eq!(event["rawPath"], "/v1/meta/a%2Fb");
        assert_eq!(event["routeKey"], "GET /v1/meta/{key}");
        assert_eq!(event.get("queryStringParameters"), None);
        assert_eq!(event.get("cookies"), None);
    }

    #[test]
    fn a_text_body_is_text_and_any_other_base64() {
        let text = event(Request::post("/v1/lookup").body("{\"query\":\"ß\"}".as_bytes()).unwrap());
        assert_eq!((&text["body"], &text["isBase64Encoded"]), (&json!("{\"query\":\"ß\"}"), &json!(false)));
        let binary = event(Request::post("/v1/lookup").body(&b"\xff\x00"[..]).unwrap());
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }
}

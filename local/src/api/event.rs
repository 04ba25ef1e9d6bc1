//! A request as an event in payload format 2.0: of API Gateway's HTTP API, or of the URL of a function that has one.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::collections::HashMap;

use aws_lambda_events::apigw::{
    ApiGatewayRequestAuthorizer, ApiGatewayRequestAuthorizerJwtDescription, ApiGatewayV2httpRequest,
    ApiGatewayV2httpRequestContext, ApiGatewayV2httpRequestContextHttpDescription,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use mneme_api::routes::RouteMatch;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use uuid::Uuid;

/// The Common Log Format of a time in UTC.
const CLF: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// The address that events give every caller.
const SOURCE_IP: &str = "127.0.0.1";

/// The route and the stage of a Function URL.
const DEFAULT: &str = "$default";

/// The first part of the domain of a Function URL.
const URL_ID: &str = "local";

/// Fields that the type serialises although API Gateway does not send them for a route like ours: those of a custom
/// authoriser's request (payload format 1.0), and stage variables.
const NOT_SENT: [&str; 7] =
    ["type", "methodArn", "httpMethod", "identitySource", "authorizationToken", "resource", "stageVariables"];

/// The event, as JSON, of a request that matched a route.
pub(super) fn from_request(parts: &Parts, matched: &RouteMatch<'_>, body: &[u8]) -> Bytes {
    let route = matched.route;
    let route_key = if route.has_url() { DEFAULT.to_owned() } else { format!("{} {}", route.method, route.path) };
    let mut event = ApiGatewayV2httpRequest::default();
    event.version = Some("2.0".to_owned());
    event.raw_path = Some(parts.uri.path().to_owned());
    event.raw_query_string = Some(parts.uri.query().unwrap_or_default().to_owned());
    event.cookies = Some(cookies(&parts.headers)).filter(|cookies| !cookies.is_empty());
    event.headers = headers(&parts.headers);
    event.query_string_parameters = parts.uri.query().unwrap_or_default().parse().unwrap_or_default();
    event.path_parameters = path_parameters(matched);
    event.request_context = request_context(parts, &route_key);
    if route.has_url() {
        // As a Function URL that asks for no signature: the function itself reads the caller's key.
        event.request_context.domain_name = Some(format!("{URL_ID}.lambda-url.us-east-1.on.aws"));
        event.request_context.domain_prefix = Some(URL_ID.to_owned());
        event.request_context.authorizer = None;
    }
    event.route_key = Some(route_key);
    (event.body, event.is_base64_encoded) = encode(body);

    // Serialising cannot fail: the event has only strings, numbers, and maps with string keys.
    let mut event = serde_json::to_value(&event).expect("an event is JSON");
    if let Value::Object(fields) = &mut event {
        fields.retain(|name, _| !NOT_SENT.contains(&name.as_str()));
    }
    Bytes::from(event.to_string())
}

fn request_context(parts: &Parts, route_key: &str) -> ApiGatewayV2httpRequestContext {
    let host = joined(&parts.headers, &header::HOST).unwrap_or_else(|| "localhost".to_owned());
    let domain_name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let now = OffsetDateTime::now_utc();

    let mut http = ApiGatewayV2httpRequestContextHttpDescription::default();
    http.method = parts.method.clone();
    http.path = Some(parts.uri.path().to_owned());
    http.protocol = Some(format!("{:?}", parts.version));
    http.source_ip = Some(SOURCE_IP.to_owned());
    http.user_agent = Some(joined(&parts.headers, &header::USER_AGENT).unwrap_or_default());

    let mut context = ApiGatewayV2httpRequestContext::default();
    context.account_id = Some("123456789012".to_owned());
    context.apiid = Some("local".to_owned());
    context.authorizer = authorizer(&parts.headers);
    context.domain_name = Some(domain_name.to_owned());
    context.domain_prefix = domain_name.split('.').next().map(str::to_owned);
    context.http = http;
    context.request_id = Some(Uuid::new_v4().to_string());
    context.route_key = Some(route_key.to_owned());
    context.stage = Some(DEFAULT.to_owned());
    context.time = now.format(CLF).ok();
    context.time_epoch = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    context
}

/// The body as text if it is UTF-8, else as base64. API Gateway decides by the content type instead; for JSON, the
/// content type of this API, both give text.
fn encode(body: &[u8]) -> (Option<String>, bool) {
    match std::str::from_utf8(body) {
        Ok("") => (None, false),
        Ok(text) => (Some(text.to_owned()), false),
        Err(_) => (Some(STANDARD.encode(body)), true),
    }
}

fn path_parameters(matched: &RouteMatch<'_>) -> HashMap<String, String> {
    let decode = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
    matched.parameters.iter().map(|(name, value)| ((*name).to_owned(), decode(value))).collect()
}

/// The headers, each with its values joined by commas, and those that API Gateway adds. Cookies are left out: the event
/// has a field for them.
fn headers(from: &HeaderMap) -> HeaderMap {
    let mut headers: HeaderMap = from
        .keys()
        .filter(|name| **name != header::COOKIE)
        .filter_map(|name| Some((name.clone(), HeaderValue::try_from(joined(from, name)?).ok()?)))
        .collect();
    for (name, value) in [("x-forwarded-for", SOURCE_IP), ("x-forwarded-proto", "http")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers
}

/// The values of a header, joined by commas; `None` without one. Bytes that are not UTF-8 are replaced.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::COOKIE).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.flat_map(|value| value.split("; ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The claims of a bearer token, as API Gateway's JWT authoriser adds them. Nothing of the token is verified
/// (signature, issuer, audience, time), because the API is not for callers that are not trusted.
fn authorizer(headers: &HeaderMap) -> Option<ApiGatewayRequestAuthorizer> {
    let authorization = joined(headers, &header::AUTHORIZATION)?;
    let payload = authorization.strip_prefix("Bearer ")?.split('.').nth(1)?;
    let claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let mut jwt = ApiGatewayRequestAuthorizerJwtDescription::default();
    jwt.claims = claims.into_iter().map(|(name, value)| (name, claim_text(value))).collect();
    let mut authorizer = ApiGatewayRequestAuthorizer::default();
    authorizer.jwt = Some(jwt);
    Some(authorizer)
}

/// A claim in the form of API Gateway: always text, an array as `[a b]`.
fn claim_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(values) => format!("[{}]", values.into_iter().map(claim_text).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Request;
    use mneme_api::routes::find_route;
    use serde_json::json;

    use super::*;

    fn event(request: Request<&[u8]>) -> Value {
        let (parts, body) = request.into_parts();
        let matched = find_route(parts.method.as_str(), parts.uri.path()).unwrap();
        serde_json::from_slice(&from_request(&parts, &matched, body)).unwrap()
    }

    #[test]
    fn from_request_gives_an_event_of_format_2() {
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
    fn from_request_has_only_fields_that_api_gateway_sends() {
        let event = event(Request::put("/v1/meta/a").body(&b"{}"[..]).unwrap());
        let names: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "body",
            "headers",
            "isBase64Encoded",
            "pathParameters",
            "rawPath",
            "rawQueryString",
            "requestContext",
            "routeKey",
            "version",
        ];
        assert_eq!(names, BTreeSet::from(expected));
    }

    #[test]
    fn from_request_with_a_bearer_token_has_its_claims_as_text() {
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
    fn from_request_to_a_function_with_a_url_is_an_event_of_that_url() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"me"}"#);
        let request =
            Request::post("/v1/chat/completions").header("Authorization", format!("Bearer e30.{claims}.c2ln"));
        let event = event(request.body(&b"{}"[..]).unwrap());
        assert_eq!((&event["routeKey"], &event["rawPath"]), (&json!("$default"), &json!("/v1/chat/completions")));
        let context = &event["requestContext"];
        assert_eq!(context["domainName"], "local.lambda-url.us-east-1.on.aws");
        assert_eq!(context.get("authorizer"), None);
    }

    #[test]
    fn from_request_decodes_path_parameters_and_keeps_the_raw_path() {
        let event = event(Request::get("/v1/meta/a%2Fb").body(&b""[..]).unwrap());
        assert_eq!(event["pathParameters"], json!({ "key": "a/b" }));
        assert_eq!(event["rawPath"], "/v1/meta/a%2Fb");
        assert_eq!(event["routeKey"], "GET /v1/meta/{key}");
        assert_eq!(event.get("queryStringParameters"), None);
        assert_eq!(event.get("cookies"), None);
    }

    #[test]
    fn from_request_has_a_utf8_body_as_text_and_any_other_as_base64() {
        let text = event(Request::post("/v1/lookup").body("{\"query\":\"ß\"}".as_bytes()).unwrap());
        assert_eq!((&text["body"], &text["isBase64Encoded"]), (&json!("{\"query\":\"ß\"}"), &json!(false)));
        let binary = event(Request::post("/v1/lookup").body(&b"\xff\x00"[..]).unwrap());
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }
}

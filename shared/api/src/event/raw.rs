//! Requests whose body the function passes on as it came, and replies whose body came from elsewhere.

use lambda_http::Body;
use lambda_http::http::{HeaderMap, StatusCode};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::{Caller, Payload, http, http_identity, object};
use crate::access::Identity;
use crate::routes::{ROUTES, Route};
use mneme_model::config::Claims;
use mneme_model::error::Error;

/// An HTTP request, with its body as it came.
#[derive(Debug)]
pub struct RawRequest {
    /// The route. A direct invocation has the function's first one.
    pub route: &'static Route,
    /// The headers. A direct invocation has none.
    pub headers: HeaderMap,
    /// The body. A direct invocation has its payload here.
    pub body: Vec<u8>,
}

/// An event of a function that reads requests as they came.
#[derive(Debug)]
pub struct RawEvent {
    /// Who invoked the function.
    pub caller: Caller,
    /// Whether the event came through a Function URL, which streams replies.
    pub is_function_url: bool,
    /// Whether AWS checked the caller's signature or token.
    pub is_authorized: bool,
    /// What is known of the caller.
    pub identity: Identity,
    /// The request. Errors: `InvalidRequest`, `UnsupportedContentEncoding`.
    pub request: Result<RawRequest, Error>,
}

/// Finds out who called, and which route was called. `function`: the operation's name. `claims`: as for
/// [`super::read`].
pub fn read(payload: Payload, function: &str, claims: &Claims) -> RawEvent {
    let direct = |request| RawEvent {
        caller: Caller::Direct,
        is_function_url: false,
        is_authorized: true,
        identity: Identity::TRUSTED,
        request,
    };
    let text = match &payload {
        Payload::Json(text) => text.get().as_bytes().to_vec(),
        Payload::Malformed(_) => Vec::new(),
    };
    let event = match object(payload) {
        Ok(event) => event,
        Err(error) => return direct(Err(error)),
    };
    let Some(context) = event.get("requestContext").and_then(Value::as_object) else {
        let route = ROUTES.iter().find(|route| route.function == function);
        let request = route.map(|route| RawRequest { route, headers: HeaderMap::new(), body: text });
        return direct(request.ok_or_else(|| Error::internal("the function has no route")));
    };
    let identity = http_identity(context, claims);
    let domain = context.get("domainName").and_then(Value::as_str).unwrap_or_default();
    let is_function_url = domain.contains(".lambda-url.");
    let is_signed = context.get("authorizer").is_some_and(|authorizer| authorizer.get("iam").is_some());
    let (caller, request) = match context.contains_key("http") {
        true => (Caller::HttpApi, http::read_v2(event)),
        false => (Caller::RestApi, http::read_v1(event)),
    };
    let request = request.and_then(|request| {
        request.check_encoding()?;
        let route = request.route(function)?.route.ok_or_else(|| {
            Error::invalid(format!("`{function}` has no route for this path"), "use one of the documented routes")
        })?;
        Ok(RawRequest { route, headers: request.headers, body: request.body })
    });
    RawEvent { caller, is_function_url, is_authorized: is_signed || !is_function_url, identity, request }
}

/// A reply in the caller's form. A direct invocation gets the body alone: as JSON if it is JSON, else as a text.
///
/// Errors: `Internal`; for a direct invocation `UpstreamError`, if the status is not a success.
pub fn render(caller: Caller, status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Result<Box<RawValue>, Error> {
    let text = String::from_utf8(body);
    match (caller, text) {
        (Caller::Direct | Caller::Schedule, text) => {
            let text = text.map_err(Error::internal)?;
            if !status.is_success() {
                return Err(Error::new(
                    mneme_model::error::ErrorKind::UpstreamError,
                    format!("the upstream answered with HTTP status {}: {text}", status.as_u16()),
                    "correct the request as the upstream says, or try again",
                ));
            }
            RawValue::from_string(text.clone()).or_else(|_| to_raw_value(&text)).map_err(Error::internal)
        }
        (Caller::RestApi, text) => http::write_v1(status, headers, body_of(text)),
        (Caller::HttpApi, text) => http::write_v2(status, headers, body_of(text)),
    }
}

fn body_of(text: Result<String, std::string::FromUtf8Error>) -> Body {
    text.map_or_else(|error| Body::Binary(error.into_bytes()), Body::Text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(fields: Value) -> RawEvent {
        let payload = Payload::Json(to_raw_value(&fields).unwrap());
        read(payload, "chat", &Claims::default())
    }

    fn http_event(domain: &str, authorizer: Value) -> Value {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/v1/chat/completions", "rawQueryString": "",
            "headers": {"x-mneme-ttl": "7"}, "body": "{\"a\":1.0}", "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "x", "domainName": domain, "domainPrefix": "x", "authorizer": authorizer,
                "http": {"method": "POST", "path": "/v1/chat/completions", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "t"},
                "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "", "timeEpoch": 0,
            },
        })
    }

    #[test]
    fn read_keeps_headers_and_the_body_as_it_came() {
        let event = event(http_event("api.example.com", Value::Null));
        let request = event.request.unwrap();
        assert_eq!(
            (request.route.path, request.headers["x-mneme-ttl"].to_str().unwrap()),
            ("/v1/chat/completions", "7")
        );
        assert_eq!(request.body, b"{\"a\":1.0}");
    }

    #[test]
    fn read_of_a_function_url_is_open_unless_it_is_signed() {
        let is_open = |domain: &str, authorizer: Value| !event(http_event(domain, authorizer)).is_authorized;
        let url = "abc.lambda-url.eu-west-1.on.aws";
        assert!(is_open(url, Value::Null));
        assert!(!is_open(url, json!({"iam": {"userArn": "arn:aws:iam::1:user/a"}})));
        assert!(!is_open("abc.execute-api.eu-west-1.amazonaws.com", Value::Null));
    }

    #[test]
    fn read_of_a_direct_invocation_has_its_payload_as_body() {
        let direct = event(json!({"model": "m"}));
        assert_eq!((direct.caller, direct.is_authorized), (Caller::Direct, true));
        assert_eq!(direct.request.unwrap().body, br#"{"model":"m"}"#);
    }

    #[test]
    fn render_for_a_direct_caller_is_the_body_or_an_error() {
        let render = |status, body: &str| render(Caller::Direct, status, HeaderMap::new(), body.as_bytes().to_vec());
        assert_eq!(render(StatusCode::OK, "{\"a\":1}").unwrap().get(), "{\"a\":1}");
        assert_eq!(render(StatusCode::OK, "data: x\n\n").unwrap().get(), r#""data: x\n\n""#);
        let error = render(StatusCode::TOO_MANY_REQUESTS, "slow down").unwrap_err();
        assert!(error.detail.contains("429") && error.detail.contains("slow down"), "{error}");
    }

    #[test]
    fn render_of_a_body_that_is_no_text_is_base64() {
        let reply = render(Caller::HttpApi, StatusCode::OK, HeaderMap::new(), vec![0xff]).unwrap();
        let reply: Value = serde_json::from_str(reply.get()).unwrap();
        assert_eq!((&reply["body"], &reply["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
    }
}

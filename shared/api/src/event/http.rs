//! API Gateway's events in both payload formats, and the replies to them.
//!
//! Sources: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs" (format 2.0) and
//! "Input format of a Lambda function for proxy integration" (format 1.0); Lambda Developer Guide, "Invoking Lambda
//! function URLs" (format 2.0 with the route key `$default`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::Body;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyRequest, ApiGatewayProxyResponse, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
};
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::http_request::{HttpRequest, decode_all};
use super::{Reply, RequestFields, shortened};
use mneme_model::error::Error;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The request of an HTTP API or Function URL event. Errors: `InvalidRequest`.
pub(super) fn read_v2(event: RequestFields) -> Result<HttpRequest, Error> {
    let event: ApiGatewayV2httpRequest = typed(event, "an HTTP API (payload format 2.0) event")?;
    let stage = event.request_context.stage.filter(|stage| stage != "$default");
    Ok(HttpRequest {
        method: event.request_context.http.method.to_string(),
        template: event.route_key.and_then(|key| key.split_once(' ').map(|(_, template)| template.to_owned())),
        path: event.raw_path.unwrap_or_default(),
        prefix: stage.map(|stage| format!("/{stage}")),
        path_parameters: event.path_parameters.into_iter().collect(),
        query: pairs(&event.raw_query_string.unwrap_or_default().parse().unwrap_or_default()),
        headers: event.headers,
        body: body(event.body, event.is_base64_encoded)?,
    })
}

/// The request of a REST API event. Its path parameters are percent-encoded, as in the URL.
///
/// Errors: `InvalidRequest`.
pub(super) fn read_v1(event: RequestFields) -> Result<HttpRequest, Error> {
    let event: ApiGatewayProxyRequest = typed(event, "a REST API (payload format 1.0) event")?;
    let query = if event.multi_value_query_string_parameters.is_empty() {
        event.query_string_parameters
    } else {
        event.multi_value_query_string_parameters
    };
    Ok(HttpRequest {
        method: event.http_method.to_string(),
        template: event.resource,
        path: event.path.unwrap_or_default(),
        prefix: event.request_context.stage.map(|stage| format!("/{stage}")),
        path_parameters: decode_all(event.path_parameters)?,
        query: pairs(&query),
        headers: if event.headers.is_empty() { event.multi_value_headers } else { event.headers },
        body: body(event.body, event.is_base64_encoded)?,
    })
}

/// The claim `name` of the caller's token. API Gateway's authorisers put it into the request's context.
///
/// - HTTP API: the JWT authoriser uses `jwt.claims`, a Lambda authoriser `lambda`.
/// - REST API: the Cognito authoriser uses `claims`, a Lambda authoriser `authorizer` itself.
///
/// A caller cannot write to any of these places.
pub(super) fn claim<'a>(context: &'a RequestFields, name: &str) -> Option<&'a Value> {
    let authorizer = context.get("authorizer")?;
    let jwt = authorizer.get("jwt").and_then(|jwt| jwt.get("claims"));
    let places = [jwt, authorizer.get("claims"), authorizer.get("lambda"), Some(authorizer)];
    places.into_iter().flatten().find_map(|place| place.get(name))
}

/// The caller's name: the claim `sub` of its token, or the ARN of its IAM user or role. `None` without either.
///
/// - HTTP API and Function URL: `authorizer.iam.userArn`.
/// - REST API: `identity.userArn`.
pub(super) fn principal(context: &RequestFields) -> Option<String> {
    let iam = |place: &str| context.get(place).and_then(|place| place.get("iam").unwrap_or(place).get("userArn"));
    let name = claim(context, "sub").or_else(|| iam("authorizer")).or_else(|| iam("identity"))?.as_str()?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

fn typed<T: DeserializeOwned>(event: RequestFields, what: &str) -> Result<T, Error> {
    serde_path_to_error::deserialize(Value::Object(event)).map_err(|error| {
        Error::invalid(
            shortened(format!("the event looks like {what}, but {}: {}", error.path(), error.inner())),
            "send the event as API Gateway forms it, or the operation's fields alone as a direct invocation",
        )
    })
}

fn pairs(query: &QueryMap) -> Vec<(String, String)> {
    query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn body(text: Option<String>, is_base64: bool) -> Result<Vec<u8>, Error> {
    let text = text.unwrap_or_default();
    if !is_base64 {
        return Ok(text.into_bytes());
    }
    STANDARD.decode(&text).map_err(|error| {
        Error::invalid(
            format!("the body is marked as base64 and is not: {error}"),
            "set `isBase64Encoded` to false, or encode the body",
        )
    })
}

/// Status, headers and body of an outcome. They are the same in both formats.
fn response<T: Serialize>(outcome: Result<Reply<T>, Error>) -> Result<(StatusCode, HeaderMap, Body), Error> {
    let mut headers = HeaderMap::new();
    let (status, text) = match outcome {
        Ok(Reply { status, document: Some(document), .. }) => {
            headers = document.headers;
            (status, document.text.to_owned())
        }
        Ok(reply) => {
            headers.insert(header::CONTENT_TYPE, JSON);
            (reply.status, serde_json::to_string(&reply.body).map_err(Error::internal)?)
        }
        Err(error) => {
            headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
            if let Some(secs) = error.retry_after_secs {
                headers.insert(header::RETRY_AFTER, secs.into());
            }
            let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, serde_json::to_string(&error.problem()).map_err(Error::internal)?)
        }
    };
    Ok((status, headers, Body::Text(text)))
}

/// The reply to a REST API. Errors: `Internal`.
pub(super) fn reply_v1<T: Serialize>(outcome: Result<Reply<T>, Error>) -> Result<Box<RawValue>, Error> {
    let (status, headers, body) = response(outcome)?;
    write_v1(status, headers, body)
}

/// The reply to an HTTP API or a Function URL. Errors: `Internal`.
pub(super) fn reply_v2<T: Serialize>(outcome: Result<Reply<T>, Error>) -> Result<Box<RawValue>, Error> {
    let (status, headers, body) = response(outcome)?;
    write_v2(status, headers, body)
}

/// A reply in format 1.0. It uses `multiValueHeaders` only, because API Gateway sends a header in both maps twice.
pub(super) fn write_v1(status: StatusCode, headers: HeaderMap, body: Body) -> Result<Box<RawValue>, Error> {
    let mut reply = ApiGatewayProxyResponse::default();
    reply.status_code = status.as_u16().into();
    reply.multi_value_headers = headers;
    reply.is_base64_encoded = matches!(body, Body::Binary(_));
    reply.body = Some(body);
    to_raw_value(&reply).map_err(Error::internal)
}

/// A reply in format 2.0.
pub(super) fn write_v2(status: StatusCode, headers: HeaderMap, body: Body) -> Result<Box<RawValue>, Error> {
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = status.as_u16().into();
    reply.headers = headers;
    reply.is_base64_encoded = matches!(body, Body::Binary(_));
    reply.body = Some(body);
    to_raw_value(&reply).map_err(Error::internal)
}

//! What comes back from a call.

use http::HeaderMap;
use mneme_api::operations::{HEALTH, OperationSpec};
use mneme_model::error::ErrorKind;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CallError;

/// The prefix of a problem's `type`.
const ERROR_TYPE: &str = "urn:mneme:error:";
/// What separates the fact from the remedy in the message of a function error.
const REMEDIATION: &str = ". Remediation: ";
/// The status of a function that failed without an answer, as API Gateway reports it.
const BAD_GATEWAY: u16 = 502;

/// A problem of the HTTP API (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    r#type: String,
    detail: String,
    remediation: String,
}

/// An error of a direct invocation.
#[derive(Deserialize)]
struct FunctionError {
    #[serde(rename = "errorType")]
    name: String,
    #[serde(rename = "errorMessage")]
    message: String,
}

/// The reply of the HTTP API. Errors: what the reply says.
pub(super) fn of_http(operation: &OperationSpec, status: u16, body: &[u8]) -> Result<Box<RawValue>, CallError> {
    // A cache with a problem says so with the status 503 and the object of a 200.
    let is_examination = operation.name == HEALTH.name && status == 503 && has_field(body, "healthy");
    if (200..300).contains(&status) || is_examination {
        return json(status, body);
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { r#type, detail, remediation }) if r#type.starts_with(ERROR_TYPE) => {
            Err(CallError::Refused { name: r#type[ERROR_TYPE.len()..].to_owned(), status, detail, remediation })
        }
        _ => Err(gateway(status, message(body))),
    }
}

/// The reply of Lambda's Invoke API. Errors: what the reply says.
pub(super) fn of_invoke(status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Box<RawValue>, CallError> {
    if status != 200 {
        let exception = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let exception = exception.split(':').next().unwrap_or_default();
        return Err(gateway(status, format!("{exception} {}", message(body)).trim_start().to_owned()));
    }
    if !headers.contains_key("x-amz-function-error") {
        return json(status, body);
    }
    let Ok(FunctionError { name, message }) = serde_json::from_slice(body) else {
        return Err(gateway(BAD_GATEWAY, "the function failed".to_owned()));
    };
    match ErrorKind::ALL.iter().find(|kind| kind.name() == name) {
        Some(kind) => {
            let (detail, remediation) = message.split_once(REMEDIATION).unwrap_or((&message, "see docs/errors.md"));
            let (detail, remediation) = (detail.to_owned(), remediation.to_owned());
            Err(CallError::Refused { name, status: kind.status(), detail, remediation })
        }
        None => Err(gateway(BAD_GATEWAY, format!("the function failed: {name} {message}"))),
    }
}

fn json(status: u16, body: &[u8]) -> Result<Box<RawValue>, CallError> {
    serde_json::from_slice(body).map_err(|_| gateway(status, message(body)))
}

fn gateway(status: u16, message: String) -> CallError {
    let remediation = match status {
        401 | 403 => "renew the credentials or the token, and allow their principal this operation",
        413 => "send less in one request",
        429 => "send fewer requests, or raise the limits",
        500.. => "try again; then look into the functions' log",
        _ => "check the address, the region and the name of the stack",
    };
    CallError::Gateway { status, message, remediation }
}

/// The `message` of a reply of API Gateway or Lambda, or the start of another body.
fn message(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let start = || String::from_utf8_lossy(body).chars().take(200).collect();
    field("message").or_else(|| field("Message")).unwrap_or_else(start)
}

fn has_field(body: &[u8], name: &str) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|value| value.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use mneme_api::operations::GET;

    use super::*;

    #[test]
    fn of_http_reads_problems_and_gateway_messages() {
        let problem = br#"{"type":"urn:mneme:error:NotFound","title":"t","status":404,"detail":"d","remediation":"r"}"#;
        let error = of_http(&GET, 404, problem).unwrap_err();
        assert!(error.is_not_found() && !error.is_transient());
        assert_eq!(error.to_string(), "NotFound: d; r");
        let error = of_http(&GET, 404, br#"{"message":"Not Found"}"#).unwrap_err();
        assert!(!error.is_not_found() && error.to_string().contains("Not Found; check the address"), "{error}");
        assert!(of_http(&GET, 503, b"<html>").unwrap_err().is_transient());
        assert!(of_http(&GET, 200, b"<html>").is_err());
        assert!(of_http(&HEALTH, 503, br#"{"healthy":false}"#).is_ok());
        assert!(of_http(&GET, 503, br#"{"healthy":false}"#).is_err());
    }

    #[test]
    fn of_invoke_reads_function_errors_and_exceptions() {
        let failed = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-amz-function-error"),
            HeaderValue::from_static("Unhandled"),
        )]);
        let body = br#"{"errorType":"NotFound","errorMessage":"there is none. Remediation: put it"}"#;
        let error = of_invoke(200, &failed, body).unwrap_err();
        assert!(error.is_not_found());
        assert_eq!(error.to_string(), "NotFound: there is none; put it");
        let body = br#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out"}"#;
        assert!(of_invoke(200, &failed, body).unwrap_err().is_transient());
        assert!(of_invoke(200, &failed, b"[]").unwrap_err().is_transient());
        let error = of_invoke(404, &HeaderMap::new(), br#"{"Message":"Function not found: f"}"#).unwrap_err();
        assert!(error.to_string().contains("Function not found: f"), "{error}");
        assert_eq!(of_invoke(200, &HeaderMap::new(), b"{\"id\":1}").unwrap().get(), "{\"id\":1}");
    }
}

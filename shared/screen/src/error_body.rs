//! Responses that are the report of a failure: the body of an error in JSON, HTML or XML, or a stack trace.

use serde_json::{Map, Value};

/// The fields of an error that say that there is one.
const ERROR_FIELDS: [&str; 6] = ["error", "errors", "err", "errorMessage", "errorType", "__type"];

/// The fields beside an error that hold no answer.
const SIDE_FIELDS: [&str; 31] = [
    "code",
    "detail",
    "details",
    "documentation_url",
    "instance",
    "kind",
    "Message",
    "message",
    "msg",
    "name",
    "ok",
    "param",
    "path",
    "reason",
    "remediation",
    "requestId",
    "request_id",
    "stack",
    "stackTrace",
    "status",
    "statusCode",
    "status_code",
    "statusText",
    "success",
    "timestamp",
    "title",
    "trace",
    "traceId",
    "trace_id",
    "type",
    "url",
];

/// The text of a message that HTTP servers and gateways send alone. Sources: RFC 9110, section 15; Amazon API Gateway
/// Developer Guide, "Gateway response types"; the errors of services for language models, and of sockets.
const GATEWAY_MESSAGES: [&str; 27] = [
    "access denied",
    "bad gateway",
    "bad request",
    "connection refused",
    "connection reset by peer",
    "connection timed out",
    "endpoint request timed out",
    "forbidden",
    "gateway timeout",
    "incorrect api key provided",
    "internal server error",
    "invalid api key",
    "invalid api key provided",
    "limit exceeded",
    "missing authentication token",
    "not found",
    "rate exceeded",
    "request timed out",
    "service unavailable",
    "the server is currently overloaded",
    "the security token included in the request is invalid.",
    "throttlingexception",
    "too many requests",
    "too many requests, please slow down",
    "unauthorized",
    "upstream request timeout",
    "user is not authorized",
];

/// The beginnings of error pages, stack traces and failures that clients write, in lower case.
const BEGINNINGS: [&str; 13] = [
    "anthropic.",
    "botocore.exceptions.",
    "error: connect ",
    "exception in thread ",
    "openai.",
    "panic: ",
    "upstream connect error",
    "[error]",
    "[llm error]",
    "traceback (most recent call last)",
    "<error>",
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><error>",
    "error code: 5",
];

/// Whether `response` is the report of a failure.
pub(crate) fn is_error_body(response: &str) -> bool {
    let text = response.trim();
    let lower = text.chars().take(300).collect::<String>().to_lowercase();
    let unquoted = lower.trim_end_matches('.');
    BEGINNINGS.iter().any(|beginning| lower.replace('\n', "").starts_with(beginning))
        || GATEWAY_MESSAGES.iter().any(|message| unquoted.trim_start_matches("error: ") == *message)
        || is_status_line(unquoted)
        || is_error_page(&lower)
        || match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(object)) => is_error_object(&object),
            Ok(Value::Array(list)) => {
                !list.is_empty() && list.iter().all(|one| one.as_object().is_some_and(is_error_object))
            }
            _ => false,
        }
}

/// Whether `lower` is the status of an HTTP error: "504 Gateway Timeout", "HTTP 500". A number alone is an answer.
fn is_status_line(lower: &str) -> bool {
    let after_name = ["http/1.1 ", "http/2 ", "http "].iter().find_map(|name| lower.strip_prefix(name));
    let line = after_name.unwrap_or(lower);
    let (code, reason) = line.split_once([' ', ':']).unwrap_or((line, ""));
    let is_error = code.len() == 3 && code.parse::<u16>().is_ok_and(|code| (400..600).contains(&code));
    let reason = reason.trim();
    is_error && (GATEWAY_MESSAGES.contains(&reason) || reason.is_empty() && after_name.is_some())
}

fn is_error_object(object: &Map<String, Value>) -> bool {
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && !is_empty(value);
    let has_error = object.iter().any(|(name, value)| ERROR_FIELDS.contains(&name.as_str()) && is_set(value));
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let is_gateways = ["message", "Message", "detail"]
        .iter()
        .any(|name| GATEWAY_MESSAGES.contains(&text(name).trim_end_matches('.')));
    // RFC 9457 has a status. Anthropic has `"type": "error"`.
    let is_problem = ["status", "statusCode", "status_code"]
        .iter()
        .any(|name| object.get(*name).and_then(Value::as_u64).is_some_and(|status| (400..600).contains(&status)));
    let has_failed = object.get("success").or_else(|| object.get("ok")) == Some(&Value::Bool(false));
    let is_side = |name: &String| ERROR_FIELDS.contains(&name.as_str()) || SIDE_FIELDS.contains(&name.as_str());
    let is_failure = has_error || is_gateways || is_problem || has_failed || text("type") == "error";
    // What an answer holds in other fields is an answer, also if one of its fields is called `error`.
    is_failure && object.iter().all(|(name, value)| is_side(name) || !is_set(value))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether `lower` begins an HTML page whose title is an HTTP error: "502 Bad Gateway".
fn is_error_page(lower: &str) -> bool {
    let is_page = lower.starts_with("<html") || lower.starts_with("<!doctype html");
    let title = lower.split_once("<title>").map_or("", |(_, rest)| rest.trim_start());
    let status: String = title.chars().take_while(char::is_ascii_digit).collect();
    let is_status = status.parse::<u16>().is_ok_and(|status| (400..600).contains(&status));
    is_page && (is_status || title.starts_with("error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_failures_are_error_bodies() {
        for body in [
            r#"{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}"#,
            r#"{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}"#,
            r#"{"message": "Internal server error"}"#,
            r#"{"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout", "requestId": "1"}"#,
            r#"{"__type": "ThrottlingException", "message": "Too many tokens"}"#,
            r#"{"title": "Not Found", "status": 404, "detail": "no such model"}"#,
            r#"{"success": false, "message": "quota"}"#,
            " [ERROR] upstream",
            "[LLM Error] timeout",
            "<html>\n<head><title>502 Bad Gateway</title></head></html>",
            "Traceback (most recent call last):\n  File \"a.py\", line 1",
            "Internal Server Error",
            "Error: Too Many Requests",
        ] {
            assert!(is_error_body(body), "{body}");
        }
    }

    #[test]
    fn answers_about_failures_are_no_error_bodies() {
        for answer in [
            r#"{"result": 5, "error": null}"#,
            r#"{"answer": "use a retry", "error": "429"}"#,
            r#"{"error": false, "value": 1}"#,
            r#"{"message": "Welcome!"}"#,
            r#"`{"error": "invalid_grant"}` means that the code was used before."#,
            "An error occurred means that the disk is full.",
            "Internal Server Error is the HTTP status 500.",
            "<html><head><title>My page</title></head></html>",
            "{\"errors\": []}",
        ] {
            assert!(!is_error_body(answer), "{answer}");
        }
    }
}

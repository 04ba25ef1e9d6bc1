//! Responses that are the report of a failure: the body of an error in JSON, HTML or XML, or a stack trace.

use serde_json::{Map, Value};

/// The fields of an error that say that there is one.
const ERROR_FIELDS: [&str; 6] = ["error", "errors", "err", "errorMessage", "errorType", "__type"];

/// The fields beside an error that hold no answer.
const SIDE_FIELDS: [&str; 30] = [
    "code",
    "detail",
    "details",
    "documentation_url",
    "instance",
    "kind",
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
/// Developer Guide, "Gateway response types".
const GATEWAY_MESSAGES: [&str; 15] = [
    "bad gateway",
    "bad request",
    "endpoint request timed out",
    "forbidden",
    "gateway timeout",
    "internal server error",
    "limit exceeded",
    "missing authentication token",
    "not found",
    "request timed out",
    "service unavailable",
    "the security token included in the request is invalid.",
    "too many requests",
    "unauthorized",
    "upstream request timeout",
];

/// The beginnings of error pages, stack traces and failures that clients write, in lower case.
const BEGINNINGS: [&str; 6] = [
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
        || is_error_page(&lower)
        || match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(object)) => is_error_object(&object),
            _ => false,
        }
}

fn is_error_object(object: &Map<String, Value>) -> bool {
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && !is_empty(value);
    let has_error = object.iter().any(|(name, value)| ERROR_FIELDS.contains(&name.as_str()) && is_set(value));
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let is_gateways = GATEWAY_MESSAGES.contains(&text("message").trim_end_matches('.'));
    // RFC 9457 has a status and a title. Anthropic has `"type": "error"`.
    let is_problem = object.get("status").and_then(Value::as_u64).is_some_and(|status| (400..600).contains(&status))
        && object.contains_key("title");
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

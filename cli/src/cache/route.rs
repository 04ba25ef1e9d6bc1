//! A call as a request to the HTTP API.

use http::{Method, Request, header};
use mneme_api::operations::{Endpoint, OperationSpec};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::error::CallError;
use super::fields::Fields;

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request that calls `operation` at the API with the base URL `base`, which has no trailing slash.
///
/// Of the routes whose path the fields complete, the one that uses most of them is taken. The other fields go into the
/// body, or into the query of a `GET` or `DELETE`.
///
/// # Errors
/// The operation has no route, or a field cannot be sent in a path.
pub(super) fn request(
    base: &str,
    operation: &OperationSpec,
    Fields(mut fields): Fields,
) -> Result<Request<Vec<u8>>, CallError> {
    let endpoint = endpoint(operation, &fields).ok_or_else(|| CallError::Unsendable {
        detail: format!("`{}` has no route of the HTTP API for this call", operation.name),
        remediation: "call the functions of the stack with --stack",
    })?;
    if endpoint.action.is_some() {
        fields.remove("action");
    }
    let mut url = base.to_owned();
    for segment in endpoint.path.split('/').skip(1) {
        let value = match placeholder(segment) {
            Some(name) => path_value(name, fields.remove(name).unwrap_or_default())?,
            None => segment.to_owned(),
        };
        url = format!("{url}/{value}");
    }
    let has_body = !matches!(endpoint.method, "GET" | "DELETE");
    if !has_body {
        let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(&text(value))));
        let pairs: Vec<_> = pairs.collect();
        if !pairs.is_empty() {
            url = format!("{url}?{}", pairs.join("&"));
        }
    }
    let method = Method::from_bytes(endpoint.method.as_bytes()).unwrap_or_default();
    let mut request = Request::builder().method(method).uri(&url);
    if has_body {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = if has_body { Value::Object(fields).to_string().into_bytes() } else { Vec::new() };
    request.body(body).map_err(|error| CallError::Unsendable {
        detail: format!("{url} is no URL: {error}"),
        remediation: "give the address of the HTTP API, such as https://….amazonaws.com",
    })
}

fn endpoint(operation: &OperationSpec, fields: &Map<String, Value>) -> Option<&'static Endpoint> {
    let action = fields.get("action").and_then(Value::as_str);
    let names = |at: &Endpoint| at.path.split('/').filter_map(placeholder).collect::<Vec<_>>();
    let matching = operation.endpoints.iter().filter(|at| at.action.is_none() || at.action == action);
    let complete = matching.filter(|at| names(at).into_iter().all(|name| fields.contains_key(name)));
    complete.max_by_key(|at| names(at).len())
}

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn path_value(name: &str, value: Value) -> Result<String, CallError> {
    let value = text(&value);
    // Clients and proxies drop segments of dots, also if the dots are percent-encoded.
    if matches!(value.as_str(), "" | "." | "..") {
        return Err(CallError::Unsendable {
            detail: format!("{name}: the value {value:?} cannot be sent in a path"),
            remediation: "use another name, or call the functions of the stack with --stack",
        });
    }
    Ok(encode(&value))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use mneme_api::operations;

    use super::*;

    fn written(operation: &OperationSpec, fields: Fields) -> String {
        let request = request("http://h", operation, fields).unwrap();
        let body = String::from_utf8(request.body().clone()).unwrap();
        format!("{} {} {body}", request.method(), request.uri()).trim_end().to_owned()
    }

    #[test]
    fn request_of_an_operation_takes_the_route_that_its_fields_complete() {
        let fields = Fields::new;
        for (operation, fields, expected) in [
            (&operations::DELETE, fields().with("id", 7), "DELETE http://h/v1/entries/7"),
            (&operations::DELETE, fields().with("query", "a"), r#"POST http://h/v1/entries/delete {"query":"a"}"#),
            (&operations::CLEAR, fields().with("confirm", "all"), "DELETE http://h/v1/namespaces?confirm=all"),
            (&operations::CLEAR, fields().with("namespace", "a/ß"), "DELETE http://h/v1/namespaces/a%2F%C3%9F"),
            (
                &operations::QUOTA,
                fields().with("action", "set").with("namespace", "n").with("max_entries", 5),
                r#"PUT http://h/v1/namespaces/n/quota {"max_entries":5}"#,
            ),
            (&operations::META, fields().with("action", "list"), "GET http://h/v1/meta"),
            (&operations::REEMBED, fields().with("action", "step"), r#"POST http://h/v1/reembed {"action":"step"}"#),
            (&operations::LIST, fields().with("namespace", "a b&c"), "GET http://h/v1/entries?namespace=a%20b%26c"),
        ] {
            assert_eq!(written(operation, fields), expected);
        }
    }

    #[test]
    fn request_that_http_cannot_carry_is_refused() {
        let refused = |operation, fields| request("http://h", operation, fields).unwrap_err().to_string();
        let dots = refused(&operations::CLEAR, Fields::new().with("namespace", ".."));
        assert!(dots.contains("namespace: the value \"..\" cannot be sent in a path"), "{dots}");
        assert!(refused(&operations::PROVISION, Fields::new()).contains("--stack"));
    }
}

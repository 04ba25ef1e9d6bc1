use std::collections::BTreeSet;

use base64::Engine as _;
use mneme_model::config::ClaimForm;
use mneme_model::error::ErrorKind;
use mneme_model::namespace::Namespace;
use serde_json::json;

use super::*;

fn read_json(event: Value, function: &str) -> (Caller, Result<RequestFields, Error>) {
    let on_schedule = (function == "vacuum").then(on_schedule);
    let Event { caller, fields, .. } = read(payload(&event.to_string()), function, on_schedule, &Claims::default());
    (caller, fields)
}

/// A payload as the Lambda runtime deserialises it.
fn payload(text: &str) -> Payload {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text.as_bytes())).unwrap()
}

fn on_schedule() -> RequestFields {
    RequestFields::from_iter([("resume".to_owned(), true.into())])
}

fn v2(method: &str, route_key: &str, path: &str, extra: Value) -> Value {
    let mut event = json!({
        "version": "2.0", "routeKey": route_key, "rawPath": path, "rawQueryString": "", "headers": {},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "d", "domainPrefix": "p", "requestId": "r",
            "routeKey": route_key, "stage": "$default", "time": "t", "timeEpoch": 1,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "1.1.1.1", "userAgent": "u"},
        },
        "isBase64Encoded": false,
    });
    event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    event
}

#[test]
fn read_with_a_malformed_payload_returns_an_error() {
    let Event { caller, fields, .. } = read(payload("{\"query\": "), "lookup", None, &Claims::default());
    assert_eq!(caller, Caller::Direct);
    assert!(fields.unwrap_err().detail.starts_with("the payload is not JSON: EOF"));
    assert!(read_json(json!([1]), "lookup").1.unwrap_err().detail.contains("an array"));
}

#[test]
fn read_with_a_direct_payload_returns_its_fields() {
    let (caller, fields) = read_json(json!({"query": "q", "requestContext": "mine"}), "lookup");
    assert_eq!(caller, Caller::Direct);
    assert_eq!(fields.unwrap()["query"], "q");
}

#[test]
fn read_with_a_claim_limits_only_http_callers() {
    let a = Access::from(&Namespace::try_from("a".to_owned()).unwrap());
    let nothing = Access::Only(BTreeSet::new());
    let spaces = Claims { namespace: Some("spaces".to_owned()), namespace_form: ClaimForm::List, ..Claims::default() };
    let access_of = |event: Value| read(payload(&event.to_string()), "get", None, &spaces).identity.access;
    let rest = |authorizer: Value| json!({"httpMethod": "GET", "resource": "/v1/entries/{id}", "requestContext": {"authorizer": authorizer}});
    let http = |authorizer: Value| {
        let mut event = v2("GET", "GET /v1/entries/{id}", "/v1/entries/1", json!({}));
        event["requestContext"]["authorizer"] = authorizer;
        event
    };
    assert_eq!(access_of(http(json!({"jwt": {"claims": {"spaces": "[a]"}}}))), a);
    assert_eq!(access_of(http(json!({"lambda": {"spaces": ["a"]}}))), a);
    assert_eq!(access_of(rest(json!({"claims": {"spaces": "a"}}))), a);
    assert_eq!(access_of(rest(json!({"principalId": "p", "spaces": "a"}))), a);
    assert_eq!(access_of(http(json!({"jwt": {"claims": {"other": "a"}}}))), nothing);
    assert_eq!(access_of(http(json!({"iam": {"userId": "u"}}))), nothing);
    assert_eq!(access_of(v2("GET", "$default", "/", json!({}))), nothing);
    assert_eq!(access_of(json!({"id": 1})), Access::All);
    let unbound =
        read(payload(&http(json!({"jwt": {"claims": {"spaces": "a"}}})).to_string()), "get", None, &Claims::default());
    assert_eq!(unbound.identity, Identity { principal: None, ..Identity::TRUSTED });
}

#[test]
fn read_with_a_scope_claim_limits_only_http_callers() {
    let claims = Claims { scope: Some("scope".to_owned()), ..Claims::default() };
    let scope_of = |event: Value| read(payload(&event.to_string()), "get", None, &claims).identity.scope;
    let http = |claims: Value| {
        let mut event = v2("GET", "GET /v1/entries/{id}", "/v1/entries/1", json!({}));
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims}});
        event
    };
    assert_eq!(scope_of(http(json!({"scope": "openid mneme:write"}))), Some(Scope::Write));
    assert_eq!(scope_of(http(json!({"other": "mneme:write"}))), None);
    assert_eq!(scope_of(json!({"id": 1})), Some(Scope::Admin));
}

#[test]
fn read_knows_the_principal_of_tokens_and_of_iam() {
    let principal_of = |context: Value| {
        let event = json!({"httpMethod": "GET", "resource": "/v1/entries/{id}", "requestContext": context});
        read(payload(&event.to_string()), "get", None, &Claims::default()).identity.principal
    };
    let arn = "arn:aws:iam::123456789012:role/app";
    for (context, name) in [
        (json!({"authorizer": {"jwt": {"claims": {"sub": "ann"}}}}), Some("ann")),
        (json!({"authorizer": {"iam": {"userArn": arn}}}), Some(arn)),
        (json!({"identity": {"userArn": arn}}), Some(arn)),
        (json!({"identity": {"userArn": null}}), None),
        (json!({}), None),
    ] {
        assert_eq!(principal_of(context.clone()).as_deref(), name, "{context}");
    }
}

#[test]
fn read_with_a_schedule_accepts_only_vacuum() {
    let event = json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    let (caller, fields) = read_json(event.clone(), "vacuum");
    assert_eq!((caller, fields.unwrap()), (Caller::Schedule, on_schedule()));
    assert!(read_json(event, "put").1.unwrap_err().detail.contains("no scheduled"));
}

#[test]
fn read_with_path_query_and_body_joins_their_fields() {
    let event = v2("GET", "GET /v1/entries", "/v1/entries", json!({"rawQueryString": "namespace=1%202&after_id=7"}));
    let (caller, fields) = read_json(event, "list");
    assert_eq!(caller, Caller::HttpApi);
    assert_eq!(Value::Object(fields.unwrap()), json!({"namespace": "1 2", "after_id": 7}));

    let route = "PUT /v1/namespaces/{namespace}/quota";
    let with = json!({"pathParameters": {"namespace": "7"}, "body": "{\"max_entries\": 3}"});
    let fields = read_json(v2("PUT", route, "/v1/namespaces/7/quota", with), "quota").1.unwrap();
    assert_eq!(Value::Object(fields), json!({"namespace": "7", "max_entries": 3, "action": "set"}));

    let with = json!({"pathParameters": {"namespace": "7"}, "body": "{\"namespace\": \"8\"}"});
    let error = read_json(v2("PUT", route, "/v1/namespaces/7/quota", with), "quota").1.unwrap_err();
    assert!(error.detail.contains("given twice"), "{error}");
}

#[test]
fn read_with_a_function_url_event_matches_the_path() {
    let event = v2("GET", "$default", "/v1/namespaces/a%2Fb/quota", json!({}));
    let fields = read_json(event, "quota").1.unwrap();
    assert_eq!(Value::Object(fields), json!({"namespace": "a/b", "action": "get"}));
    let event = v2("POST", "$default", "/", json!({"body": "eyJxdWVyeSI6InEifQ==", "isBase64Encoded": true}));
    assert_eq!(Value::Object(read_json(event, "lookup").1.unwrap()), json!({"query": "q"}));
    let error = read_json(v2("POST", "$default", "/v1/other", json!({})), "lookup").1.unwrap_err();
    assert!(error.detail.contains("does not answer POST /v1/other"), "{error}");
}

#[test]
fn read_with_a_greedy_route_takes_parameters_from_the_path() {
    let with = json!({"pathParameters": {"proxy": "v1/entries/7"}});
    let fields = read_json(v2("GET", "GET /{proxy+}", "/v1/entries/7", with), "get").1.unwrap();
    assert_eq!(Value::Object(fields), json!({"id": 7}));
}

#[test]
fn parse_with_a_long_field_name_shortens_the_error() {
    let fields = RequestFields::from_iter([("x".repeat(100_000), Value::Null)]);
    assert!(parse::<NoFields>(fields).unwrap_err().detail.len() < 1000);
}

#[test]
fn read_with_a_rest_event_decodes_path_parameters() {
    let event = json!({
        "resource": "/v1/namespaces/{namespace}", "path": "/v1/namespaces/a%20b", "httpMethod": "DELETE",
        "headers": null, "multiValueHeaders": null, "queryStringParameters": null,
        "multiValueQueryStringParameters": null, "pathParameters": {"namespace": "a%20b"}, "stageVariables": null,
        "requestContext": {"httpMethod": "DELETE", "stage": "prod", "path": "/prod/v1/namespaces/a%20b"},
        "body": null, "isBase64Encoded": false,
    });
    let (caller, fields) = read_json(event, "clear");
    assert_eq!(caller, Caller::RestApi);
    assert_eq!(Value::Object(fields.unwrap()), json!({"namespace": "a b"}));
}

#[test]
fn read_with_a_broken_event_names_the_broken_part() {
    let event = json!({"httpMethod": 7, "requestContext": {}});
    let error = read_json(event, "lookup").1.unwrap_err();
    assert!(error.detail.contains("REST API") && error.detail.contains("httpMethod"), "{error}");
    let bad_body = v2("POST", "POST /v1/lookup", "/v1/lookup", json!({"body": "{]"}));
    assert!(read_json(bad_body, "lookup").1.unwrap_err().detail.contains("the body is not JSON"));
    let bad_base64 = v2("POST", "POST /v1/lookup", "/v1/lookup", json!({"body": "%", "isBase64Encoded": true}));
    assert!(read_json(bad_base64, "lookup").1.unwrap_err().detail.contains("marked as base64"));
}

#[test]
fn render_gives_each_caller_its_own_form() {
    let render = |caller, outcome| -> Result<Value, Error> {
        super::render::<Value>(caller, outcome).map(|raw| serde_json::from_str(raw.get()).unwrap())
    };
    let created = || Ok(Reply::created(json!({"id": 7})));
    assert_eq!(render(Caller::Direct, created()).unwrap(), json!({"id": 7}));
    let v2 = render(Caller::HttpApi, created()).unwrap();
    assert_eq!((&v2["statusCode"], &v2["headers"]["content-type"]), (&json!(201), &json!("application/json")));
    assert_eq!(v2["body"], json!("{\"id\":7}"));
    let v1 = render(Caller::RestApi, created()).unwrap();
    assert_eq!(v1["multiValueHeaders"]["content-type"], json!(["application/json"]));

    let failed = || Err::<Reply<Value>, _>(Error::backend("d", "r").retry_after(1));
    let v2 = render(Caller::HttpApi, failed()).unwrap();
    assert_eq!(v2["statusCode"], json!(503));
    assert_eq!(v2["headers"], json!({"content-type": "application/problem+json", "retry-after": "1"}));
    let problem: Value = serde_json::from_str(v2["body"].as_str().unwrap()).unwrap();
    let expected = json!({
        "type": "urn:mneme:error:StoreBackendError", "title": "The table could not serve the request",
        "status": 503, "detail": "d", "remediation": "r",
    });
    assert_eq!(problem, expected);
    assert_eq!(render(Caller::Direct, failed()).unwrap_err().to_string(), "d. Remediation: r");
}

#[test]
fn read_with_a_number_in_the_path_accepts_one_spelling() {
    let fields = |id: &str| {
        let with = json!({"pathParameters": {"id": id}});
        read_json(v2("GET", "GET /v1/entries/{id}", &format!("/v1/entries/{id}"), with), "get").1.unwrap()
    };
    assert_eq!(fields("17")["id"], 17);
    for id in ["+1", "01", "1.0", " 1", "-1", "18446744073709551616"] {
        assert_eq!(fields(id)["id"], id);
    }
}

#[test]
fn read_with_a_path_that_is_not_utf8_returns_an_error() {
    // mneme-local and API Gateway decode the parameters of an HTTP API; a REST API and a Function URL leave that to us.
    let http = v2(
        "DELETE",
        "DELETE /v1/namespaces/{namespace}",
        "/v1/namespaces/%FF",
        json!({
            "pathParameters": {"namespace": "\u{fffd}"},
        }),
    );
    let url = v2("DELETE", "$default", "/v1/namespaces/%FF", json!({}));
    let rest = json!({
        "resource": "/v1/namespaces/{namespace}", "path": "/v1/namespaces/%FF", "httpMethod": "DELETE",
        "pathParameters": {"namespace": "%FF"}, "requestContext": {"httpMethod": "DELETE"},
    });
    for event in [http, url, rest] {
        let error = read_json(event, "clear").1.unwrap_err();
        assert!(error.detail.contains("not UTF-8"), "{error}");
    }
    let replacement = v2(
        "DELETE",
        "DELETE /v1/namespaces/{namespace}",
        "/v1/namespaces/%EF%BF%BD",
        json!({
            "pathParameters": {"namespace": "\u{fffd}"},
        }),
    );
    assert_eq!(read_json(replacement, "clear").1.unwrap()["namespace"], "\u{fffd}");
}

#[test]
fn read_with_an_encoded_body_names_the_encoding() {
    let lookup = |headers: Value, body: &[u8]| {
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        let with = json!({"headers": headers, "body": body, "isBase64Encoded": true});
        read_json(v2("POST", "POST /v1/lookup", "/v1/lookup", with), "lookup").1
    };
    let plain = br#"{"query": "q"}"#;
    for encoding in ["gzip", "br", "deflate, gzip"] {
        let error = lookup(json!({"content-encoding": encoding}), b"\x1f\x8b\x08").unwrap_err();
        assert_eq!((error.kind, error.kind.status()), (ErrorKind::UnsupportedContentEncoding, 415));
        assert!(error.detail.contains(encoding), "{error}");
    }
    for encoding in ["identity", "Identity", ""] {
        assert_eq!(lookup(json!({"content-encoding": encoding}), plain).unwrap()["query"], "q");
    }
    let utf16: Vec<u8> = "{\"query\": \"q\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, says) in [
        (utf16, "UTF-16"),
        (b"\xff\xfe{\0}\0".to_vec(), "UTF-16"),
        (b"\x1f\x8b\x08\0".to_vec(), "gzip"),
        (b"{\"query\": \"\xe9\"}".to_vec(), "not UTF-8"),
    ] {
        let error = lookup(json!({}), &body).unwrap_err();
        assert!(error.kind == ErrorKind::InvalidRequest && error.detail.contains(says), "{error}");
    }
}

#[test]
fn read_with_a_byte_order_mark_skips_it() {
    let with = json!({"body": "\u{feff}{\"query\": \"q\"}"});
    let fields = read_json(v2("POST", "POST /v1/lookup", "/v1/lookup", with), "lookup").1.unwrap();
    assert_eq!(fields["query"], "q");
}

#[test]
fn read_with_refused_json_names_the_field_in_payload_and_body() {
    for (request, detail) in [
        (r#"{"query": "a", "query": "b"}"#.to_owned(), "`query` is given twice in one object"),
        (format!("{{\"context\": {}1{}}}", "[".repeat(150), "]".repeat(150)), "is nested more than 100 levels deep"),
        (r#"{"metadata": {"n": 18446744073709551617}}"#.to_owned(), "cannot be kept exactly"),
    ] {
        let direct = read(payload(&request), "lookup", None, &Claims::default()).fields.unwrap_err();
        let http = v2("POST", "POST /v1/lookup", "/v1/lookup", json!({"body": request}));
        let http = read_json(http, "lookup").1.unwrap_err();
        assert!(direct.detail.ends_with(detail), "{direct}");
        assert_eq!(direct.detail, http.detail);
    }
}

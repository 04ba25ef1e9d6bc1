use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use mneme_model::namespace::Namespace;

fn read_json(event: Value, function: &str) -> (Caller, Result<Fields, Error>) {
    let Event { caller, fields, .. } =
        read(Payload::Json(event), function, (function == "vacuum").then(on_schedule), None);
    (caller, fields)
}

fn on_schedule() -> Fields {
    Fields::from_iter([("resume".to_owned(), true.into())])
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
fn a_payload_that_is_not_json_is_kept() {
    let payload: Payload = serde_json::from_str("{\"query\": ").unwrap();
    let Event { caller, fields, .. } = read(payload, "lookup", None, None);
    assert_eq!(caller, Caller::Direct);
    assert!(fields.unwrap_err().detail.starts_with("the payload is not JSON: EOF"));
    assert!(read_json(json!([1]), "lookup").1.unwrap_err().detail.contains("an array"));
}

#[test]
fn a_direct_payload_is_the_request() {
    let (caller, fields) = read_json(json!({"query": "q", "requestContext": "mine"}), "lookup");
    assert_eq!(caller, Caller::Direct);
    assert_eq!(fields.unwrap()["query"], "q");
}

#[test]
fn a_claim_binds_http_callers_and_nobody_else() {
    let a = Access::from(&Namespace::try_from("a".to_owned()).unwrap());
    let nothing = Access::Only(BTreeSet::new());
    let access_of = |event: Value| read(Payload::Json(event), "get", None, Some("spaces")).access;
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
    let unbound = read(Payload::Json(http(json!({"jwt": {"claims": {"spaces": "a"}}}))), "get", None, None);
    assert_eq!(unbound.access, Access::All);
}

#[test]
fn schedules_are_for_vacuum() {
    let event = json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    let (caller, fields) = read_json(event.clone(), "vacuum");
    assert_eq!((caller, fields.unwrap()), (Caller::Schedule, on_schedule()));
    assert!(read_json(event, "put").1.unwrap_err().detail.contains("no scheduled"));
}

#[test]
fn path_query_and_body_make_one_request() {
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
fn a_function_url_matches_the_path_itself() {
    let event = v2("GET", "$default", "/v1/namespaces/a%2Fb/quota", json!({}));
    let fields = read_json(event, "quota").1.unwrap();
    assert_eq!(Value::Object(fields), json!({"namespace": "a/b", "action": "get"}));
    let event = v2("POST", "$default", "/", json!({"body": "eyJxdWVyeSI6InEifQ==", "isBase64Encoded": true}));
    assert_eq!(Value::Object(read_json(event, "lookup").1.unwrap()), json!({"query": "q"}));
    let error = read_json(v2("POST", "$default", "/v1/other", json!({})), "lookup").1.unwrap_err();
    assert!(error.detail.contains("does not answer POST /v1/other"), "{error}");
}

#[test]
fn a_greedy_route_is_read_from_the_path() {
    let with = json!({"pathParameters": {"proxy": "v1/entries/7"}});
    let fields = read_json(v2("GET", "GET /{proxy+}", "/v1/entries/7", with), "get").1.unwrap();
    assert_eq!(Value::Object(fields), json!({"id": 7}));
}

#[test]
fn an_error_gives_back_little_of_a_long_text() {
    let fields = Fields::from_iter([("x".repeat(100_000), Value::Null)]);
    assert!(parse::<NoFields>(fields).unwrap_err().detail.len() < 1000);
}

#[test]
fn a_rest_event_is_told_by_its_method_and_decoded() {
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
fn a_broken_event_says_what_is_broken() {
    let event = json!({"httpMethod": 7, "requestContext": {}});
    let error = read_json(event, "lookup").1.unwrap_err();
    assert!(error.detail.contains("REST API") && error.detail.contains("httpMethod"), "{error}");
    let bad_body = v2("POST", "POST /v1/lookup", "/v1/lookup", json!({"body": "{]"}));
    assert!(read_json(bad_body, "lookup").1.unwrap_err().detail.contains("the body is not JSON"));
    let bad_base64 = v2("POST", "POST /v1/lookup", "/v1/lookup", json!({"body": "%", "isBase64Encoded": true}));
    assert!(read_json(bad_base64, "lookup").1.unwrap_err().detail.contains("marked as base64"));
}

#[test]
fn replies_take_the_callers_form() {
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

//! The function `console`. tests/console/run tests the page in a browser.

use mneme_tests::Stack;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn console_over_http_is_a_page_that_may_load_nothing_else() {
    let stack = Stack::start().await;
    let response = reqwest::get(format!("{}/console", stack.server.api_url())).await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let html = response.text().await.unwrap();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    assert_eq!(stack.invoke("console", json!({})).await.unwrap(), json!({ "html": html }));
    assert!(stack.proxy.take_calls().is_empty(), "the page needs no table");
}

#[tokio::test]
async fn console_needs_no_token_and_the_data_does() {
    let claims = [("MNEME_NAMESPACE_CLAIM", "tenant"), ("MNEME_SCOPE_CLAIM", "scope")];
    let stack = Stack::builder().variables(&claims).start().await;
    let response = reqwest::get(format!("{}/console", stack.server.api_url())).await.unwrap();
    assert_eq!(response.status(), 200);
    let (status, problem) = stack.get("/v1/entries").await;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:mneme:error:InsufficientScope")));
}

#[tokio::test]
async fn console_with_a_parameter_is_refused() {
    let stack = Stack::start().await;
    let (status, problem) = stack.http(Method::GET, "/console?theme=dark", None).await;
    assert_eq!(status, 400, "{problem}");
}

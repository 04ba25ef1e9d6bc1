//! `keys`: the API keys of the callers of `chat`.

use mneme_api::keys::KeyRing;
use serde_json::Value;

use super::{command, run};

#[tokio::test]
async fn command_keys_makes_lists_and_revokes_keys_and_stores_their_hashes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let keys = async |action: &str, rest: &[&str]| {
        let arguments = ["keys", action, "--file", file.to_str().unwrap()];
        run(command(&[&arguments, rest].concat())).await
    };
    let key = keys("make", &["--name", "web", "--namespace", "a", "--namespace", "b"]).await.succeeded();
    let list = std::fs::read_to_string(&file).unwrap();
    let identity = KeyRing::parse(&list).unwrap().identify(Some(&format!("Bearer {}", key.trim()))).unwrap();
    assert_eq!(identity.principal.as_deref(), Some("web"));
    assert!(!list.contains(key.trim()));
    let shown = keys("list", &[]).await.succeeded();
    assert!(shown.contains("web") && shown.contains("a, b"), "{shown}");
    let listed: Value = keys("list", &["--json"]).await.json();
    assert_eq!((&listed[0]["name"], listed.as_array().map(Vec::len)), (&Value::from("web"), Some(1)));
    keys("make", &["--name", "web"]).await.failed(1, &["there are two keys with the name"]);
    assert_eq!(keys("revoke", &["--name", "web"]).await.succeeded(), "");
    keys("revoke", &["--name", "web"]).await.failed(1, &["no key with the name"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), "[]");
    std::fs::write(&file, "any").unwrap();
    keys("list", &[]).await.failed(1, &["`any` lets every key in"]);
}

//! `settings`: what is set for namespaces.

use mneme_tests::Stack;
use serde_json::json;

use super::mneme;

#[tokio::test]
async fn command_settings_sets_shows_lists_and_deletes() {
    let stack = Stack::start().await;
    let set = mneme(&stack, &["settings", "set", "shop", "threshold=0.9", "guard=off", "cross_language=true"]).await;
    let set = set.succeeded();
    for line in ["settings  shop", "threshold            0.9        set", "guard                off        set"] {
        assert!(set.contains(line), "{line}\n{set}");
    }
    assert!(set.contains("max_entries          none       as configured"), "{set}");
    assert_eq!(mneme(&stack, &["settings", "get", "shop"]).await.succeeded(), set);
    let json = mneme(&stack, &["settings", "get", "shop", "--json"]).await.json();
    assert_eq!(json["settings"], json!({"threshold": 0.9, "guard": "off", "cross_language": true}));
    let replaced = mneme(&stack, &["settings", "set", "shop", "max_entries=5", "--json"]).await.json();
    assert_eq!(replaced["settings"], json!({"max_entries": 5}));
    mneme(&stack, &["settings", "set", "acme", "layers=exact"]).await.succeeded();
    let list = mneme(&stack, &["settings", "list"]).await.succeeded();
    assert!(list.contains("layers=exact") && list.contains("max_entries=5"), "{list}");
    let lines = mneme(&stack, &["settings", "list", "--json"]).await.succeeded();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    mneme(&stack, &["settings", "delete", "shop"]).await.succeeded();
    mneme(&stack, &["settings", "delete", "shop"]).await.failed(3, &["NotFound: the namespace has no settings"]);
}

#[tokio::test]
async fn command_settings_with_a_wrong_setting_says_which() {
    let stack = Stack::start().await;
    mneme(&stack, &["settings", "set", "shop", "threshold=2"]).await.failed(1, &["threshold: it is not a number"]);
    mneme(&stack, &["settings", "set", "shop", "colour=red"]).await.failed(1, &["colour"]);
    mneme(&stack, &["settings", "set", "shop", "threshold"]).await.failed(2, &["as in threshold=0.9"]);
    mneme(&stack, &["settings", "set", "shop"]).await.failed(2, &["SETTING=VALUE"]);
}

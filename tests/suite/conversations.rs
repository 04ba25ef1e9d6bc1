//! Requests with `messages` instead of `query`: exact and semantic matches.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

fn conversation(messages: &[(&str, &str)]) -> Value {
    let messages: Vec<Value> =
        messages.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    json!({"messages": messages, "embedding": vector(8, 0.0)})
}

fn with(mut request: Value, name: &str, value: Value) -> Value {
    request[name] = value;
    request
}

async fn put(stack: &Stack, conversation: Value) -> u64 {
    stack.put(with(conversation, "response", json!("A."))).await
}

/// The layer of the hit, or the reason for the miss.
async fn ask(stack: &Stack, conversation: Value) -> Value {
    let reply = stack.lookup(conversation).await;
    if reply["outcome"] == "hit" { reply["layer"].clone() } else { reply["reason"].clone() }
}

const QUESTION: (&str, &str) = ("user", "When does the library in Ghent close on Saturdays?");
const REWORDED: (&str, &str) = ("user", "When does the library in Ghent close on Saturday?");

#[tokio::test]
async fn query_and_single_message_conversation_share_an_entry() {
    let stack = Stack::start().await;
    let id = put(&stack, json!({"query": QUESTION.1, "embedding": vector(8, 0.0)})).await;
    let hit = stack.lookup(conversation(&[QUESTION])).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("exact"), &json!(id)));
    assert_eq!(ask(&stack, conversation(&[REWORDED])).await, "semantic");
    // A self-contained message matches regardless of the messages before it.
    let talk = [("user", "Hello!"), ("assistant", "Hello, what can I do for you?"), QUESTION];
    assert_eq!(ask(&stack, conversation(&talk)).await, "exact");
    let parts = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION.1}]}]});
    assert_eq!(stack.post("/v1/lookup", parts).await.1["layer"], "exact");
    assert_eq!(ask(&stack, with(conversation(&[QUESTION]), "context", json!({}))).await, "exact");
    let entry = stack.get(&format!("/v1/entries/{id}")).await.1;
    assert_eq!(entry["query"], QUESTION.1);
    assert!(entry.get("partition").is_none() && entry.get("signature").is_none(), "{entry}");
}

#[tokio::test]
async fn system_messages_and_context_separate_entries() {
    let stack = Stack::start().await;
    let system = |text: &'static str| conversation(&[("system", text), QUESTION]);
    let context = |context: Value| with(conversation(&[QUESTION]), "context", context);
    let briefly = put(&stack, system("Be brief.")).await;
    let small = put(&stack, context(json!({"model": "small", "temperature": 0}))).await;
    let query = with(json!({"query": QUESTION.1, "embedding": vector(8, 0.0)}), "context", json!({"model": "other"}));
    let other = put(&stack, query.clone()).await;
    for (request, id) in [
        (system("Be brief."), briefly),
        (context(json!({"temperature": 0.0, "model": "small"})), small),
        (query, other),
    ] {
        assert_eq!(stack.lookup(request).await["id"], id);
    }
    for request in [
        conversation(&[QUESTION]),
        system("Be long."),
        conversation(&[("developer", "Be"), ("system", "brief."), QUESTION]),
        context(json!({"model": "large", "temperature": 0})),
        context(json!({"model": "small"})),
    ] {
        assert_eq!(ask(&stack, request).await, "no_entry");
    }
    // A rewording matches within the same context key.
    let hit = stack.lookup(conversation(&[("system", "Be brief."), REWORDED])).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("semantic"), &json!(briefly)));
}

#[tokio::test]
async fn follow_up_message_with_other_history_is_not_served() {
    let stack = Stack::start().await;
    let order = |number: &'static str, greeting: &'static str| {
        let asked = [greeting, "Where is my order", number].join(" ");
        conversation(&[("user", &asked), ("assistant", "On its way."), ("user", "cancel it")])
    };
    let id = put(&stack, order("48213", "")).await;
    assert_eq!(ask(&stack, order("48213", "")).await, "exact");
    let other = stack.lookup(order("48231", "")).await;
    assert_eq!((&other["reason"], &other["veto"]), (&json!("vetoed"), &json!("context")));
    assert_eq!(ask(&stack, conversation(&[("user", "cancel it")])).await, "no_entry");
    let chatty = stack.lookup(order("48213", "Hello there!")).await;
    assert_eq!((&chatty["layer"], &chatty["id"]), (&json!("semantic"), &json!(id)));
    // With the guard off the history is still compared.
    let off = Stack::builder().over_table_of(&stack).without_guard("the guard off is tested").start().await;
    assert_eq!(ask(&off, order("48213", "")).await, "exact");
    assert_eq!(ask(&off, order("48213", "Hello there!")).await, "semantic");
    assert_eq!(ask(&off, order("48231", "")).await, "vetoed");
}

#[tokio::test]
async fn entries_of_conversations_can_be_replaced_and_deleted() {
    let stack = Stack::start().await;
    let asked = || with(conversation(&[("system", "Be brief."), QUESTION]), "context", json!({"model": "small"}));
    let first = put(&stack, asked()).await;
    let entries = [with(asked(), "response", json!("B.")), with(conversation(&[QUESTION]), "response", json!("C."))];
    let (status, reply) = stack.post("/v1/entries", json!({"entries": entries})).await;
    assert_eq!((status, &reply["results"][0]), (200, &json!({"id": first, "created": false})));
    assert_eq!(reply["results"][1]["created"], true);
    assert_eq!(stack.lookup(asked()).await["response"], "B.");
    let mut which = asked();
    which.as_object_mut().unwrap().remove("embedding");
    assert_eq!(stack.invoke("delete", which.clone()).await.unwrap(), json!({"deleted": true, "id": first}));
    assert_eq!(stack.post("/v1/entries/delete", which).await.0, 404);
    assert_eq!(ask(&stack, asked()).await, "no_entry");
    assert_eq!(stack.lookup(conversation(&[QUESTION])).await["response"], "C.");
}

#[tokio::test]
async fn invalid_conversations_are_refused_with_named_errors() {
    let stack = Stack::start().await;
    let many: Vec<(&str, &str)> = vec![QUESTION; 513];
    let long = "x".repeat(300_000);
    let large: Value = serde_json::from_str("{\"user\": 340282366920938463463374607431768211451}").unwrap();
    let wrong = json!([{"type": "text", "text": 7}]);
    for (request, name, text) in [
        (conversation(&[]), "InvalidRequest", "the list is empty"),
        (conversation(&[("robot", "hi"), QUESTION]), "InvalidRequest", "messages[0].role"),
        (conversation(&[QUESTION, ("assistant", "At six.")]), "InvalidRequest", "it must be the user's"),
        (conversation(&[("user", " \n")]), "InvalidRequest", "is empty"),
        (conversation(&many), "EntryTooLarge", "513 messages"),
        (conversation(&[("assistant", &long), QUESTION]), "EntryTooLarge", "messages and context: they have 3"),
        (conversation(&[("user", &"x".repeat(40_000))]), "EntryTooLarge", "MNEME_MAX_QUERY_BYTES"),
        (with(conversation(&[QUESTION]), "query", json!("q")), "InvalidRequest", "both `query` and `messages`"),
        (with(conversation(&[QUESTION]), "context", large), "InvalidRequest", "a number has more digits"),
        (json!({"context": {}}), "InvalidRequest", "missing field `query`"),
        (with(conversation(&[QUESTION]), "context", json!([1])), "InvalidRequest", "context"),
        (json!({"messages": [{"role": "user", "content": wrong}]}), "InvalidRequest", "messages[0].content[0]"),
    ] {
        let error = stack.invoke("lookup", request.clone()).await.unwrap_err();
        assert_eq!(error.name, name, "{}", error.message);
        assert!(error.message.contains(text), "{}", error.message);
        let error = stack.invoke("put", with(request, "response", json!("A."))).await.unwrap_err();
        assert!(error.name == name && error.message.contains(text), "{}", error.message);
    }
    stack.provision_without_ttl().await;
    assert!(stack.entry_ids().await.is_empty());
}

#[tokio::test]
async fn exact_match_of_a_row_with_another_context_key_is_a_miss() {
    let stack = Stack::start().await;
    let asked = json!({"query": "q", "context": {"model": "small"}});
    let id = stack.put(with(asked.clone(), "response", json!("A."))).await;
    assert_eq!(stack.lookup(asked.clone()).await["outcome"], "hit");
    // Two questions with one hash, which only a text that begins with the bytes of a context key can have.
    let mut row = stack.rows().await[&i128::from(id)].clone();
    row.insert("partition".to_owned(), AttributeValue::B(Blob::new([7; 32])));
    stack.put_item(row).await;
    assert_eq!(stack.lookup(asked).await["outcome"], "miss");
}

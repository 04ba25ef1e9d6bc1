//! Messages as clients send them: each form is put and looked up through the functions.

use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

const QUESTION: &str = "Which seats are free on the ferry to Bergen?";

async fn guarded() -> Stack {
    Stack::start().await
}

fn request(messages: &Value) -> Value {
    json!({"messages": messages, "embedding": vector(8, 0.0)})
}

/// The layer that answers, or the reason for the miss.
async fn ask(stack: &Stack, messages: &Value) -> Value {
    let reply = stack.lookup(request(messages)).await;
    if reply["outcome"] == "hit" { reply["layer"].clone() } else { reply["reason"].clone() }
}

async fn put(stack: &Stack, messages: &Value) -> u64 {
    let mut entry = request(messages);
    entry["response"] = json!("Row 4 and row 7.");
    stack.put(entry).await
}

/// A conversation that ends with a tool's result, in the form of each client, with `row` in the result.
fn conversations(row: &str) -> [(&'static str, Value); 5] {
    [
        (
            "OpenAI Chat Completions",
            json!([
                {"role": "user", "content": QUESTION, "name": "ann"},
                {"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "seats", "arguments": "{\"to\":\"Bergen\"}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": format!("{{\"free\": [\"{row}\"]}}")},
            ]),
        ),
        (
            "OpenAI Responses",
            json!([
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "seats", "arguments": "{\"to\": \"Bergen\"}"},
                {"type": "function_call_output", "call_id": "c1", "output": format!("{{\"free\":[\"{row}\"]}}")},
            ]),
        ),
        (
            "Anthropic Messages",
            json!([
                {"role": "user", "content": [{"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Seats.", "signature": "EqQB"},
                    {"type": "tool_use", "id": "toolu_1", "name": "seats", "input": {"to": "Bergen"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": format!("{{\"free\":[\"{row}\"]}}")}]}]},
            ]),
        ),
        (
            "Bedrock Converse",
            json!([
                {"role": "user", "content": [{"text": QUESTION}, {"cachePoint": {"type": "default"}}]},
                {"role": "assistant", "content": [
                    {"toolUse": {"toolUseId": "t1", "name": "seats", "input": {"to": "Bergen"}}}]},
                {"role": "user", "content": [
                    {"toolResult": {"toolUseId": "t1", "content": [{"json": {"free": [row]}}]}}]},
            ]),
        ),
        (
            "Gemini",
            json!([
                {"role": "user", "parts": [{"text": QUESTION}]},
                {"role": "model", "parts": [{"functionCall": {"name": "seats", "args": {"to": "Bergen"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "seats", "response": {"free": [row]}}}]},
            ]),
        ),
    ]
}

#[tokio::test]
async fn lookup_of_each_clients_form_returns_the_entry_of_that_conversation() {
    let stack = guarded().await;
    let mut ids = Vec::new();
    for (client, messages) in conversations("4A") {
        assert!(ids.is_empty() || ask(&stack, &messages).await == "exact", "{client}: all forms are one conversation");
        ids.push(put(&stack, &messages).await);
        assert_eq!(ask(&stack, &messages).await, "exact", "{client}");
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for (client, messages) in conversations("7C") {
        assert_eq!(ask(&stack, &messages).await, "no_entry", "{client}: another result");
    }
    let mut reworded = conversations("4A")[0].1.clone();
    reworded[0]["content"] = json!("Which seats are free on the ferry to Bergen, please?");
    reworded[1]["tool_calls"][0]["id"] = json!("call_2");
    reworded[2]["tool_call_id"] = json!("call_2");
    assert_eq!(ask(&stack, &reworded).await, "semantic");
    assert_eq!(ask(&stack, &json!([{"role": "user", "content": QUESTION}])).await, "no_entry");
    // The text that is embedded and stored is the user's.
    assert_eq!(stack.get(&format!("/v1/entries/{}", ids[0])).await.1["query"], QUESTION);
    let which = json!({"messages": conversations("4A")[3].1});
    assert_eq!(stack.invoke("delete", which).await.unwrap()["deleted"], true);
    assert_eq!(ask(&stack, &conversations("4A")[0].1).await, "no_entry");
}

#[tokio::test]
async fn lookup_with_another_picture_finds_nothing() {
    let stack = guarded().await;
    let with = |url: &str| {
        json!([{"role": "user", "content": [
            {"type": "text", "text": QUESTION},
            {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}]}])
    };
    put(&stack, &with("https://example.com/a.png")).await;
    assert_eq!(ask(&stack, &with("https://example.com/a.png")).await, "exact");
    assert_eq!(ask(&stack, &with("https://example.com/b.png")).await, "no_entry");
    assert_eq!(ask(&stack, &json!([{"role": "user", "content": QUESTION}])).await, "no_entry");
}

#[tokio::test]
async fn lookup_after_small_talk_returns_the_entry_of_the_plain_query() {
    let stack = guarded().await;
    let query = "How do I reset my password?";
    stack.put(json!({"query": query, "response": "A.", "embedding": vector(8, 0.0)})).await;
    for (greeting, offer) in [
        ("Hello", "Hi! How can I help?"),
        ("Guten Tag", "Guten Tag! Was kann ich für Sie tun?"),
        ("Cześć", "Cześć! Jak mogę pomóc?"),
        ("Привет", "Здравствуйте! Чем могу помочь?"),
        ("你好", "您好！有什么可以帮您？"),
        ("こんにちは", "こんにちは！ご用件は何でしょうか？"),
    ] {
        let messages = json!([
            {"role": "user", "content": greeting},
            {"role": "assistant", "content": offer},
            {"role": "user", "content": query},
        ]);
        assert_eq!(ask(&stack, &messages).await, "exact", "{greeting}");
    }
}

#[tokio::test]
async fn consent_is_served_only_if_the_same_was_proposed() {
    let stack = guarded().await;
    let proposed = |proposal: &str| {
        json!([
            {"role": "user", "content": "I've been charged a late fee on my credit card"},
            {"role": "assistant", "content": proposal},
            {"role": "user", "content": "yes please"},
        ])
    };
    let id = put(&stack, &proposed("I can refund the fee. Shall I do that?")).await;
    let same = stack.lookup(request(&proposed("I can refund the fee! Shall I do that?"))).await;
    assert_eq!((&same["outcome"], &same["id"]), (&json!("hit"), &json!(id)), "{same}");
    let other = stack.lookup(request(&proposed("I can't refund the fee. Shall I close the card?"))).await;
    assert_eq!((&other["reason"], &other["veto"]), (&json!("vetoed"), &json!("context")));
}

#[tokio::test]
async fn lookup_after_another_fact_is_vetoed_by_context() {
    let stack = guarded().await;
    let told = |fact: &str| {
        json!([
            {"role": "user", "content": fact},
            {"role": "assistant", "content": [{"type": "text", "text": "Noted. How can I help?", "citations": null}]},
            {"role": "user", "content": "Suggest a quick dinner recipe with rice and vegetables"},
        ])
    };
    let id = put(&stack, &told("I'm allergic to nuts.")).await;
    let same = stack.lookup(request(&told("Hi! I'm allergic to nuts"))).await;
    assert_eq!((&same["layer"], &same["id"]), (&json!("semantic"), &json!(id)));
    let other = stack.lookup(request(&told("I'm allergic to milk."))).await;
    assert_eq!((&other["reason"], &other["veto"]), (&json!("vetoed"), &json!("context")));
    assert_eq!(ask(&stack, &json!([told("")[2]])).await, "no_entry");
}

#[tokio::test]
async fn lookup_with_messages_that_cannot_be_understood_names_the_place() {
    let stack = guarded().await;
    for (messages, place) in [
        (
            json!([{"role": "user", "content": [{"type": "text", "text": 7}]}]),
            "messages[0].content[0]: the text of the part is a number",
        ),
        (
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [{}]}]),
            "messages[1].tool_calls[0]: ",
        ),
        (json!([{"role": "narrator", "content": "hi"}]), "messages[0].role: there is no role \"narrator\""),
        (json!([{"content": "hi"}]), "messages[0]: the message has no `role`"),
        (json!([7]), "messages[0]: a message is an object"),
    ] {
        let error = stack.invoke("lookup", json!({"messages": messages})).await.unwrap_err();
        assert_eq!(error.name, "InvalidRequest");
        assert!(error.message.contains(place), "{}", error.message);
    }
}

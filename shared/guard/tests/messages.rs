//! Messages in the forms of clients: what is read, what decides, and what does not.

use mneme_guard::{Conversation, ConversationError, Verdict, compare_conversations};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(messages: &Value) -> Result<Conversation, ConversationError> {
    Conversation::of_messages(messages.as_array().expect("a list"), None)
}

fn of(messages: &Value) -> Conversation {
    read(messages).unwrap_or_else(|error| panic!("{error}: {messages}"))
}

/// True if the answer to one conversation may be served for the other.
fn meet(a: &Value, b: &Value) -> bool {
    let (a, b) = (of(a), of(b));
    a.context_key == b.context_key
        && (a.exact_text == b.exact_text
            || matches!(compare_conversations(&a.signature, &b.signature, 0.97), Verdict::Probability(p) if p > 0.7))
}

/// `messages` with the value at `pointer` replaced.
fn with(messages: &Value, pointer: &str, value: Value) -> Value {
    let mut messages = messages.clone();
    *messages.pointer_mut(pointer).expect("a value at the pointer") = value;
    messages
}

const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A call of a weather tool and its result in the form of each client. The last message is the tool's result.
fn weather() -> [(&'static str, Value); 6] {
    let question = "What is the weather in Ghent?";
    [
        (
            "OpenAI Chat Completions",
            json!([
                {"role": "user", "content": question},
                {"role": "assistant", "content": null, "refusal": null, "annotations": [], "audio": null,
                 "function_call": null, "tool_calls": [{"id": "call_1", "type": "function",
                 "function": {"name": "get_weather", "arguments": "{\"city\":\"Ghent\",\"unit\":\"c\"}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "{\"temperature\": 18, \"sky\": \"clear\"}"},
            ]),
        ),
        (
            "OpenAI Responses",
            json!([
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
                {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather",
                 "arguments": "{\"unit\": \"c\", \"city\": \"Ghent\"}", "status": "completed"},
                {"type": "function_call_output", "call_id": "call_1",
                 "output": "{\"sky\":\"clear\",\"temperature\":18}"},
            ]),
        ),
        (
            "Anthropic Messages",
            json!([
                {"role": "user", "content": [
                    {"type": "text", "text": question, "cache_control": {"type": "ephemeral"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "The user asks for the weather.", "signature": "EqQB"},
                    {"type": "redacted_thinking", "data": "EmwK"},
                    {"type": "tool_use", "id": "toolu_1", "name": "get_weather",
                     "input": {"city": "Ghent", "unit": "c"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                 "content": [{"type": "text", "text": "{\"temperature\":18,\"sky\":\"clear\"}"}]}]},
            ]),
        ),
        (
            "Bedrock Converse",
            json!([
                {"role": "user", "content": [{"text": question}, {"cachePoint": {"type": "default"}}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Weather.", "signature": "s"}}},
                    {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather",
                     "input": {"unit": "c", "city": "Ghent"}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "tooluse_1", "status": "success",
                 "content": [{"json": {"temperature": 18, "sky": "clear"}}]}}]},
            ]),
        ),
        (
            "Gemini",
            json!([
                {"role": "user", "parts": [{"text": question}]},
                {"role": "model", "parts": [
                    {"text": "I look it up.", "thought": true},
                    {"functionCall": {"name": "get_weather", "args": {"city": "Ghent", "unit": "c"}},
                     "thoughtSignature": "CiQB"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "get_weather",
                 "response": {"sky": "clear", "temperature": 18}}}]},
            ]),
        ),
        (
            "Vercel AI SDK",
            json!([
                {"role": "user", "content": [{"type": "text", "text": question}]},
                {"role": "assistant", "content": [
                    {"type": "reasoning", "text": "Weather."},
                    {"type": "tool-call", "toolCallId": "1", "toolName": "get_weather",
                     "input": {"city": "Ghent", "unit": "c"}}]},
                {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "1", "toolName": "get_weather",
                 "output": {"type": "json", "value": {"temperature": 18, "sky": "clear"}}}]},
            ]),
        ),
    ]
}

#[test]
fn conversation_of_every_client_embeds_the_users_last_text_and_has_a_context_key() {
    for (client, messages) in weather() {
        let conversation = of(&messages);
        assert_eq!(conversation.message, "What is the weather in Ghent?", "{client}");
        assert_eq!(conversation.exact_text, conversation.message, "{client}");
        assert!(conversation.context_key.is_some(), "{client}");
    }
}

#[test]
fn one_conversation_in_the_form_of_every_client_is_one_conversation() {
    let conversations = weather().map(|(client, messages)| (client, of(&messages)));
    for (client, conversation) in &conversations {
        assert_eq!(*conversation, conversations[0].1, "{client}");
    }
}

#[test]
fn messages_as_langchain_stores_them_and_roles_in_capitals_equal_plain_messages() {
    let plain = json!([
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi! How can I help?"},
        {"role": "user", "content": "How do I reset my password?"},
    ]);
    let texts = ["Answer in one sentence.", "Hello", "Hi! How can I help?", "How do I reset my password?"];
    let dumped = |class: &str, kwargs: Value| json!({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", class], "kwargs": kwargs});
    let stored_by_dumpd = json!([
        dumped("SystemMessage", json!({"content": texts[0], "type": "system"})),
        dumped("HumanMessage", json!({"content": texts[1], "type": "human"})),
        dumped("AIMessageChunk", json!({"content": texts[2], "type": "AIMessageChunk", "tool_calls": []})),
        dumped("HumanMessage", json!({"content": texts[3], "additional_kwargs": {}})),
    ]);
    let kinds = ["system", "human", "ai", "human"];
    let stored_as_dictionaries: Value = kinds
        .iter()
        .zip(texts)
        .map(|(kind, text)| json!({"type": kind, "data": {"content": text, "type": kind}}))
        .collect();
    let roles = ["SYSTEM", "USER", "Assistant", "User"];
    let in_capitals: Value =
        roles.iter().zip(texts).map(|(role, text)| json!({"role": role, "content": text})).collect();
    for messages in [stored_by_dumpd, stored_as_dictionaries, in_capitals] {
        assert_eq!(of(&messages), of(&plain), "{messages}");
    }
}

#[test]
fn calls_and_results_decide_the_context_key() {
    for (client, messages) in weather() {
        let key = of(&messages).context_key;
        for (from, to) in [("get_weather", "get_forecast"), ("Ghent", "Leeds"), ("18", "19"), ("clear", "rainy")] {
            // The question is left as it is.
            let mut other: Value = serde_json::from_str(&messages.to_string().replace(from, to)).expect("JSON");
            other[0] = messages[0].clone();
            assert_ne!(of(&other).context_key, key, "{client}: {to}");
        }
    }
}

#[test]
fn ids_marks_and_reasoning_do_not_decide() {
    for (client, messages) in weather() {
        let renamed = messages.to_string();
        let renamed = ["call_1", "toolu_1", "tooluse_1", "rs_1", "fc_1"]
            .iter()
            .fold(renamed, |text, id| text.replace(id, &format!("{id}x")));
        let other: Value = serde_json::from_str(&renamed.replace("Weather.", "Hm.").replace("EqQB", "AAAA")).unwrap();
        assert_eq!(of(&other), of(&messages), "{client}");
    }
    let marked = json!([{"role": "user", "content": [
        {"type": "text", "text": "When does the library close?", "cache_control": {"type": "ephemeral"}}]}]);
    assert_eq!(of(&marked), Conversation::of_query("When does the library close?"));
}

#[test]
fn reply_passed_back_with_its_own_fields_equals_plain_reply() {
    let question = "When does the library in Ghent close?";
    let plain = |reply: Value| json!([{"role": "user", "content": "My card is 4711"}, reply, {"role": "user", "content": question}]);
    let text = "I noted your card.";
    let expected = of(&plain(json!({"role": "assistant", "content": text})));
    for reply in [
        json!({"role": "assistant", "content": text, "refusal": null, "annotations": [], "audio": null,
               "function_call": null, "tool_calls": null, "reasoning_content": "Hm."}),
        json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [
               {"type": "output_text", "text": text, "annotations": [{"type": "url_citation"}], "logprobs": []}]}),
        json!({"id": "msg_2", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
               "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4}, "content": [
               {"type": "text", "text": text, "citations": [{"type": "char_location", "cited_text": "x"}]}]}),
        json!({"role": "assistant", "content": [{"text": text}]}),
        json!({"role": "assistant", "content": [{"citationsContent": {"content": [{"text": text}], "citations": []}}]}),
        json!({"role": "model", "parts": [{"text": text, "inline_data": null, "thought_signature": "x"}]}),
        json!({"role": "assistant", "name": "helper", "content": null, "refusal": text}),
        json!({"type": "ai", "content": text, "tool_calls": [], "invalid_tool_calls": [], "id": "run-1"}),
        json!({"role": "assistant", "content": [{"type": "text", "text": {"value": text, "annotations": []}}]}),
        json!({"role": "assistant", "id": "1", "parts": [{"type": "step-start"}, {"type": "text", "text": text}]}),
        json!({"role": "assistant", "content": null, "audio": {"id": "audio_1", "transcript": text, "data": "UklG"}}),
    ] {
        assert_eq!(of(&plain(reply.clone())), expected, "{reply}");
    }
}

#[test]
fn media_decides_in_the_question_and_before_it() {
    let parts = [
        json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}),
        json!({"type": "input_image", "image_url": "https://example.com/a.png"}),
        json!({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
        json!({"type": "file", "file": {"file_id": "file-a"}}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}),
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "T"}),
        json!({"image": {"format": "png", "source": {"bytes": PICTURE}}}),
        json!({"document": {"format": "pdf", "name": "a", "source": {"bytes": "JVBERi0="}}}),
        json!({"inlineData": {"mimeType": "image/png", "data": PICTURE}}),
        json!({"fileData": {"fileUri": "gs://a/a.png"}}),
        json!({"type": "a_part_that_nobody_knows", "value": "a"}),
    ];
    let ask = |part: &Value| json!([{"role": "user", "content": [part, {"type": "text", "text": "What is this?"}]}]);
    let keys: Vec<_> = parts.iter().map(|part| of(&ask(part)).context_key).collect();
    for (at, key) in keys.iter().enumerate() {
        assert!(key.is_some() && !keys[..at].contains(key), "{}", parts[at]);
    }
    let marked = with(
        &ask(&parts[4]),
        "/0/content/0",
        json!({"cache_control": {"type": "ephemeral"}, "type": "image",
        "source": {"data": PICTURE, "media_type": "image/png", "type": "base64"}}),
    );
    assert_eq!(of(&marked), of(&ask(&parts[4])), "the order of keys and marks do not matter");
    let earlier = json!([
        {"role": "user", "content": [parts[0], {"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": "Hi! How can I help?"},
        {"role": "user", "content": "What is this?"},
    ]);
    assert!(!meet(&earlier, &ask(&parts[0])), "the picture belongs to another message");
    assert!(!meet(&earlier, &with(&earlier, "/0/content/0/image_url/url", json!("https://example.com/b.png"))));
    assert!(meet(&earlier, &with(&earlier, "/0/content/1/text", json!("Good morning!"))));
}

#[test]
fn message_with_a_picture_alone_asks_with_the_users_last_text() {
    let messages = json!([
        {"role": "user", "content": "Which plant is on the next picture?"},
        {"role": "assistant", "content": "Please send it."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
    ]);
    assert_eq!(of(&messages).message, "Which plant is on the next picture?");
    assert!(!meet(&messages, &with(&messages, "/2/content/0/image_url/url", json!("https://example.com/b.png"))));
    assert_eq!(read(&json!([messages[2]])), Err(ConversationError::LastEmpty));
}

#[test]
fn results_of_parallel_calls_belong_to_their_calls_in_any_order() {
    let parallel = |first: Value, second: Value| {
        let call = |id: &str, city: &str| {
            json!({"id": id, "type": "function",
            "function": {"name": "get_weather", "arguments": json!({"city": city}).to_string()}})
        };
        json!([
            {"role": "user", "content": "Is it warmer in Ghent or in Leeds?"},
            {"role": "assistant", "content": "", "tool_calls": [call("a", "Ghent"), call("b", "Leeds")]},
            first, second,
        ])
    };
    let result = |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
    let messages = parallel(result("a", "18"), result("b", "12"));
    assert!(meet(&messages, &parallel(result("b", "12"), result("a", "18"))));
    assert!(!meet(&messages, &parallel(result("a", "12"), result("b", "18"))));
    assert!(!meet(&messages, &parallel(result("b", "18"), result("a", "12"))));
    assert!(meet(&messages, &with(&messages, "/1/content", Value::Null)));
}

#[test]
fn conversation_after_a_tools_result_asks_with_the_users_last_text_by_meaning() {
    let (_, messages) = &weather()[2];
    let reworded = with(messages, "/0/content/0/text", json!("What's the weather in Ghent?"));
    assert!(meet(messages, &reworded));
    assert!(!meet(messages, &json!([{"role": "user", "content": "What is the weather in Ghent?"}])));
    // A text after the result is the question.
    let mut thanked = messages.clone();
    thanked[2]["content"].as_array_mut().unwrap().push(json!({"type": "text", "text": "Do I need a coat in Ghent?"}));
    assert_eq!(of(&thanked).message, "Do I need a coat in Ghent?");
    assert!(!meet(messages, &thanked));
    let failed = with(
        messages,
        "/2/content/0",
        json!({"type": "tool_result", "tool_use_id": "toolu_1",
        "is_error": true, "content": [{"type": "text", "text": "{\"temperature\":18,\"sky\":\"clear\"}"}]}),
    );
    assert!(!meet(messages, &failed), "a failure is no result");
    let pictured =
        with(messages, "/2/content/0/content", json!([{"type": "image", "source": {"type": "url", "url": "a"}}]));
    assert!(!meet(&pictured, &with(&pictured, "/2/content/0/content/0/source/url", json!("b"))));
}

#[test]
fn message_that_cannot_be_understood_returns_error_with_its_place() {
    let hi = json!({"role": "user", "content": "hi"});
    for (message, place) in [
        (json!("hi"), "messages[1]: a message is an object"),
        (json!({"content": "hi"}), "messages[1]: the message has no `role`"),
        (json!({"role": 7, "content": "hi"}), "messages[1].role: "),
        (json!({"role": "robot", "content": "hi"}), "messages[1].role: there is no role \"robot\""),
        (json!({"role": "user"}), "messages[1]: the message has no `content`"),
        (
            json!({"role": "user", "content": 7}),
            "messages[1].content: a content is a text or a list of parts, and this is a number",
        ),
        (
            json!({"role": "user", "content": [{"type": "text"}]}),
            "messages[1].content[0]: the text of the part is null",
        ),
        (json!({"role": "user", "content": ["a", 7]}), "messages[1].content[1]: a part is an object or a text"),
        (json!({"role": "user", "content": [{}]}), "messages[1].content[0]: the part is empty"),
        (json!({"role": "assistant", "tool_calls": "x"}), "messages[1].tool_calls: "),
        (json!({"role": "assistant", "tool_calls": [{"id": "a"}]}), "messages[1].tool_calls[0]: the call has no name"),
        (json!({"type": "function_call", "arguments": "{}"}), "messages[1]: the call has no name"),
        (
            json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1e300}}}]}),
            "messages[1].parts[0]: a number has more digits",
        ),
    ] {
        let error = read(&json!([hi, message, hi])).expect_err("an error");
        assert!(error.to_string().starts_with(place), "{error}");
        assert!(!error.remedy().is_empty());
    }
    let error = read(&json!([hi, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]));
    assert_eq!(error, Err(ConversationError::LastNotUser { role: "assistant".to_owned() }));
}

#[test]
fn arguments_with_long_numbers_are_told_apart() {
    let call = |arguments: &str| {
        json!([{"role": "user", "content": "Find my parcel"},
        {"type": "function_call", "call_id": "1", "name": "find", "arguments": arguments},
        {"type": "function_call_output", "call_id": "1", "output": "found"}])
    };
    assert!(!meet(&call("{\"id\": 123456789012345678901234}"), &call("{\"id\": 123456789012345678901235}")));
    assert!(meet(&call(""), &call("{}")));
    let reference = |id: &str| json!([{"type": "item_reference", "id": id}, {"role": "user", "content": "And then?"}]);
    assert!(meet(&reference("rs_1"), &reference("rs_2")), "a reference to reasoning");
    assert!(!meet(&reference("msg_1"), &reference("msg_2")), "a reference to a message");
}

#[test]
fn unknown_items_decide_by_their_content_without_ids() {
    let search = |id: &str, query: &str| {
        json!([
        {"role": "user", "content": "When does the library in Ghent close?"},
        {"type": "web_search_call", "id": id, "status": "completed", "action": {"type": "search", "query": query}},
        {"role": "assistant", "content": "At six."},
        {"role": "user", "content": "Is it open on Sunday?"}])
    };
    assert!(meet(&search("ws_1", "library"), &search("ws_2", "library")));
    assert!(!meet(&search("ws_1", "library"), &search("ws_1", "museum")));
}

fn any_json() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "role",
        "content",
        "type",
        "text",
        "parts",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "toolUse",
        "toolResult",
        "functionCall",
        "functionResponse",
        "audio",
        "transcript",
        "images",
        "refusal",
        "output",
        "json",
        "guardContent",
        "citationsContent",
        "status",
        "call_id",
        "tool_call_id",
        "input",
        "response",
        "value",
    ];
    const TEXTS: &[&str] = &[
        "user",
        "assistant",
        "system",
        "tool",
        "model",
        "text",
        "image",
        "tool_use",
        "tool_result",
        "function_call",
        "function_call_output",
        "reasoning",
        "item_reference",
        "message",
        "hi",
        "Thanks, cancel it",
        "",
        "{\"a\": 1}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((proptest::sample::select(KEYS), inner), 0..5)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn any_message() -> impl Strategy<Value = Value> {
    let role = proptest::sample::select(&["user", "assistant", "system", "tool", "model", "function"][..]);
    (role, any_json(), any_json()).prop_map(|(role, content, other)| {
        let mut message = json!({"role": role, "content": content});
        if let Value::Object(other) = other {
            message.as_object_mut().expect("an object").extend(other);
        }
        message
    })
}

proptest! {
    #[test]
    fn any_json_as_messages_gives_an_error_or_a_conversation(
        messages in prop::collection::vec(prop_oneof![any_json(), any_message()], 0..6)
    ) {
        match Conversation::of_messages(&messages, None) {
            Ok(conversation) => prop_assert!(!conversation.message.trim().is_empty()),
            Err(error) => prop_assert!(!error.to_string().is_empty() && !error.remedy().is_empty()),
        }
    }

    #[test]
    fn plain_messages_read_as_json_equal_plain_texts(
        texts in prop::collection::vec((proptest::sample::select(&["user", "assistant", "system", "tool"][..]),
            prop_oneof!["[a-z ]{0,20}", Just("Hello".to_owned()), Just("I have 2 dogs".to_owned())]), 1..6)
    ) {
        let pairs: Vec<(&str, &str)> = texts.iter().map(|(role, text)| (*role, text.as_str())).collect();
        let messages: Vec<Value> = pairs.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
        prop_assert_eq!(Conversation::of_messages(&messages, None), Conversation::of(&pairs, None));
    }
}

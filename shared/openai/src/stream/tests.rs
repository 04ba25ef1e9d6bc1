//! Streams as services send them, cut at every position.

use proptest::prelude::*;

use super::*;

fn event(delta: Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m-2026",
        "system_fingerprint": "fp_1", "usage": null, "obfuscation": "x",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
    })
}

fn usage() -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
}

/// A stream of a service that begins with the role alone and reports the usage. Each line ends with `end`.
fn stream_of(deltas: &[Value], finish_reason: &str, end: &str) -> String {
    let mut events = vec![event(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    events.extend(deltas.iter().map(|delta| event(delta.clone(), None)));
    events.push(event(json!({}), Some(finish_reason)));
    events.push(json!({"model": "m-2026", "choices": [], "usage": usage()}));
    let lines: String = events.iter().map(|event| format!("data: {event}{end}{end}")).collect();
    format!(": keep-alive{end}{end}{lines}data: [DONE]{end}{end}")
}

fn texts(parts: &[&str]) -> Vec<Value> {
    parts.iter().map(|part| json!({"content": part})).collect()
}

fn read_whole(text: &str) -> Result<Completion, NotStored> {
    read(&[Bytes::copy_from_slice(text.as_bytes())])
}

#[test]
fn stream_cut_into_chunks_at_any_position_is_one_answer() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = stream_of(&texts(&["Grüße ", "aus 東京", " 👋"]), "stop", end);
        let bytes = Bytes::from(stream.into_bytes());
        for at in 0..=bytes.len() {
            let completion = read(&[bytes.slice(..at), bytes.slice(at..)]).unwrap();
            assert_eq!(completion.content, Content::Text("Grüße aus 東京 👋".to_owned()));
            assert_eq!((completion.model.as_str(), completion.usage.as_ref()), ("m-2026", Some(&usage())));
            assert_eq!(Value::Object(completion.kept), json!({"system_fingerprint": "fp_1"}));
        }
    }
}

#[test]
fn stream_that_is_cut_off_at_any_position_is_no_answer() {
    let stream = Bytes::from(stream_of(&texts(&["Grüße ", "👋"]), "stop", "\n").into_bytes());
    // Without the last line end the event `[DONE]` is not complete.
    for at in 0..stream.len() {
        assert!(read(&[stream.slice(..at)]).is_err(), "{at}");
    }
    assert!(read(&[stream]).is_ok());
}

#[test]
fn stream_with_what_is_no_finished_text_is_not_stored() {
    let with = |delta: Value| stream_of(&[json!({"content": "a"}), delta], "stop", "\n");
    for (stream, expected) in [
        (stream_of(&texts(&["Hel"]), "length", "\n"), NotStored::Unfinished),
        (stream_of(&texts(&["Hel"]), "content_filter", "\n"), NotStored::Unfinished),
        (stream_of(&texts(&[]), "stop", "\n"), NotStored::Empty),
        (with(json!({"refusal": "No"})), NotStored::Refusal),
        (with(json!({"audio": {"id": "a"}})), NotStored::Audio),
        (with(json!({"function_call": {"name": "f"}})), NotStored::ToolCalls),
        (with(json!({"content": [1]})), NotStored::Unreadable),
        (with(json!({"tool_calls": [{"id": "c"}]})), NotStored::Unreadable),
        ("data: {\"error\": {\"message\": \"overloaded\"}}\n\ndata: [DONE]\n\n".to_owned(), NotStored::Error),
        ("data: {\"choices\": [{\"index\": 1, \"delta\": {}}]}\n\n".to_owned(), NotStored::Choices),
        ("data: {\"choices\": [{\"logprobs\": {}}]}\n\n".to_owned(), NotStored::Logprobs),
        ("data: oops\n\n".to_owned(), NotStored::Unreadable),
        ("data: [DONE]\n\ndata: [DONE]\n\n".to_owned(), NotStored::Unreadable),
        ("data: [DONE]\n\n".to_owned(), NotStored::Incomplete),
        (String::new(), NotStored::Incomplete),
    ] {
        assert_eq!(read_whole(&stream), Err(expected), "{stream}");
    }
}

#[test]
fn stream_without_the_reason_of_its_end_is_incomplete() {
    let stream = format!("data: {}\n\ndata: [DONE]\n\n", event(json!({"content": "a"}), None));
    assert_eq!(read_whole(&stream), Err(NotStored::Incomplete));
}

#[test]
fn stream_with_further_texts_keeps_them_in_order() {
    let deltas = [json!({"reasoning_content": "I "}), json!({"reasoning_content": "think"}), json!({"content": "Yes"})];
    let completion = read_whole(&stream_of(&deltas, "stop", "\n")).unwrap();
    assert_eq!(Value::Object(completion.message), json!({"reasoning_content": "I think"}));
}

#[test]
fn stream_of_tool_calls_is_assembled_by_index() {
    let call = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"tool_calls": [{"index": index, "id": id, "type": id.map(|_| "function"), "function": function}]})
    };
    let deltas = [
        call(0, Some("a"), Some("f"), ""),
        call(0, None, None, "{\"x\":"),
        call(1, Some("b"), Some("g"), "{}"),
        call(0, None, None, "1}"),
    ];
    let completion = read_whole(&stream_of(&deltas, "tool_calls", "\n")).unwrap();
    let expected = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]);
    assert_eq!(completion.content, Content::ToolCalls(expected.as_array().unwrap().clone()));
}

#[test]
fn ends_between_events_only_after_a_blank_line() {
    let ends = |parts: &[&str]| {
        let mut end = Vec::new();
        parts.iter().for_each(|part| extend_end(&mut end, part.as_bytes()));
        ends_between_events(&end)
    };
    assert!(ends(&[]) && ends(&["data: a\n", "\n"]) && ends(&["data: a\r\n\r", "\n"]) && ends(&["data: a\r\r"]));
    assert!(!ends(&["data: a"]) && !ends(&["data: a\n"]) && !ends(&["data: a\r\n"]));
}

proptest! {
    #[test]
    fn stream_of_any_texts_in_any_chunks_is_their_concatenation(
        parts in prop::collection::vec("\\PC{0,12}", 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = format!("a{}", parts.concat());
        let deltas: Vec<Value> = std::iter::once("a".to_owned()).chain(parts).map(|part| json!({"content": part})).collect();
        let bytes = Bytes::from(stream_of(&deltas, "stop", "\n").into_bytes());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let chunks: Vec<Bytes> = places.windows(2).map(|ends| bytes.slice(ends[0]..ends[1])).collect();
        prop_assert_eq!(read(&chunks).unwrap().content, Content::Text(text));
    }
}

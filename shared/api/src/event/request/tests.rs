use std::num::NonZeroU64;

use mneme_model::embedding::Embedding;
use mneme_model::namespace::Namespace;
use mneme_model::question::Message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Id,
    Lru,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    F1,
    MaxWrong(f64),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    name: String,
    id: Option<NonZeroU64>,
    count: Option<u64>,
    #[serde(default)]
    share: f64,
    #[serde(default)]
    flag: bool,
    #[serde(default)]
    order: Order,
    target: Option<Target>,
    #[serde(default)]
    namespace: Namespace,
    embedding: Option<Embedding>,
    messages: Option<Vec<Message>>,
    metadata: Option<Map<String, Value>>,
}

fn read(mut more: Value) -> Result<Request, Error> {
    let mut fields = Map::from_iter([("name".to_owned(), json!("n"))]);
    fields.append(more.as_object_mut().unwrap());
    parse(fields)
}

#[test]
fn parse_with_null_fields_takes_their_defaults() {
    let nulls = json!({
        "id": null, "count": null, "share": null, "flag": null, "order": null, "target": null, "namespace": null,
        "embedding": null, "messages": null, "metadata": null,
    });
    let request = read(nulls).unwrap();
    assert_eq!((request.id, request.count, request.share, request.flag), (None, None, 0.0, false));
    assert_eq!(request.name, "n");
    assert_eq!((request.order, request.target, request.namespace), (Order::Id, None, Namespace::default()));
    assert!(request.embedding.is_none() && request.messages.is_none() && request.metadata.is_none());
    assert_eq!(read(json!({"name": null})).unwrap_err().detail, "missing field `name`");
    assert_eq!(read(json!({"nmae": null})).unwrap_err().detail, "nmae: unknown field `nmae`");
}

#[test]
fn parse_keeps_nulls_and_floats_inside_free_form_objects() {
    let metadata = json!({"a": null, "b": 60.0, "c": [null, -1, u64::MAX]});
    let request = read(json!({"metadata": metadata})).unwrap();
    assert_eq!(request.metadata.map(Value::Object), Some(metadata));
}

#[test]
fn parse_with_a_whole_float_reads_a_whole_number() {
    let request = read(json!({"id": 7.0, "count": 60.0, "share": 1})).unwrap();
    assert_eq!((request.id, request.count, request.share), (NonZeroU64::new(7), Some(60), 1.0));
    assert_eq!(read(json!({"count": 1e15})).unwrap().count, Some(1_000_000_000_000_000));
    assert_eq!(read(json!({"count": u64::MAX})).unwrap().count, Some(u64::MAX));
}

#[test]
fn parse_reads_choices_with_and_without_a_value() {
    let request = read(json!({"order": "lru", "target": {"max_wrong": 1}})).unwrap();
    assert_eq!((request.order, request.target), (Order::Lru, Some(Target::MaxWrong(1.0))));
    assert_eq!(read(json!({"target": "f1"})).unwrap().target, Some(Target::F1));
}

#[test]
fn parse_with_a_wrong_type_says_so_in_words() {
    let long = "x".repeat(100);
    for (field, value, detail, remedy) in [
        ("name", json!(7), "name: a text is expected, and 7 was sent", "send a text"),
        ("name", json!(["n"]), "name: a text is expected, and a list was sent", "send a text"),
        ("id", json!(0), "id: a whole number from 1 is expected, and 0 was sent", "send a whole number from 1"),
        (
            "id",
            json!("+1"),
            "id: a whole number from 1 is expected, and the text \"+1\" was sent",
            "whole number from 1",
        ),
        ("count", json!(-1), "count: a whole number from 0 is expected, and -1 was sent", "send a whole number from 0"),
        ("count", json!(1.5), "count: a whole number from 0 is expected, and 1.5 was sent", "whole number from 0"),
        ("count", json!(1e16), "count: a whole number from 0 is expected, and 10000000000000000 was sent", "from 0"),
        ("count", json!(long), "count: a whole number from 0 is expected, and a text was sent", "from 0"),
        ("share", json!("1"), "share: a number is expected, and the text \"1\" was sent", "send a number"),
        (
            "flag",
            json!("true"),
            "flag: true or false is expected, and the text \"true\" was sent",
            "send true or false",
        ),
        ("order", json!(false), "order: one of `id`, `lru` is expected, and false was sent", "send one of `id`, `lru`"),
        ("order", json!("up"), "order: one of `id`, `lru` is expected, and the text \"up\" was sent", "`id`, `lru`"),
        ("target", json!({}), "target: one of `f1`, `max_wrong` is expected, and an object was sent", "send one of"),
        ("metadata", json!("m"), "metadata: an object is expected, and the text \"m\" was sent", "send an object"),
        ("messages", json!({}), "messages: a list is expected, and an object was sent", "send a list"),
        ("embedding", json!([1, null]), "embedding[1]: a number is expected, and null was sent", "send a number"),
        ("extra", json!(1), "unknown field `extra`", "the known fields are `name`, `id`,"),
    ] {
        let error = read(json!({field: value})).unwrap_err();
        assert!(error.detail.ends_with(detail), "{field}: {}", error.detail);
        assert!(error.remediation.contains(remedy), "{field}: {}", error.remediation);
    }
}

#[test]
fn parse_with_a_wrong_value_gives_a_remedy_of_its_own() {
    for (field, value, detail, remedy) in [
        ("namespace", json!(""), "namespace: the namespace is empty", "1 to 2,048 bytes"),
        ("namespace", json!("x".repeat(2049)), "has 2049 bytes", "1 to 2,048 bytes"),
        ("embedding", json!([0, 0]), "zero vector", "finite numbers that are not all 0"),
        ("embedding", json!("%"), "not base64", "base64 of little-endian float32"),
    ] {
        let error = read(json!({field: value})).unwrap_err();
        assert!(error.detail.contains(detail), "{field}: {}", error.detail);
        assert!(error.remediation.contains(remedy), "{field}: {}", error.remediation);
    }
}

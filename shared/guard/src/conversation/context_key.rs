//! The context key: a hash of everything in a conversation that is matched exactly.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Entries store context keys, so the texts that are hashed must never change: neither these two nor those below.
const SELF_CONTAINED: &str = "alone";
const FOLLOW_UP: &str = "leaning";

/// SHA-256 of whether the last message is self-contained, the system messages, the context in canonical form, and the
/// items: calls, results and media in their order.
pub(super) fn context_key<'m>(
    is_self_contained: bool,
    system: impl Iterator<Item = &'m str>,
    context: Option<&'m str>,
    items: &[String],
) -> [u8; 32] {
    let parts = std::iter::once(if is_self_contained { SELF_CONTAINED } else { FOLLOW_UP }).chain(system);
    let mut hash = Sha256::new();
    // Each part is preceded by its length, so that different lists of parts are different texts.
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    parts.chain(std::iter::once("context")).chain(context).for_each(&mut add);
    // Without items the last part is "context" or an object. With items it is their number, so no list of parts with
    // items equals one without. Conversations without items keep the key that earlier versions stored.
    if !items.is_empty() {
        items.iter().for_each(|item| add(item));
        add(&format!("items {}", items.len()));
    }
    hash.finalize().into()
}

/// A canonical form of a JSON object, with sorted keys and no white space: equal objects have equal texts. The text is
/// not JSON, since each item is followed by a comma.
pub(super) fn canonical_json(object: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(object, &mut out);
    out
}

fn write_object(object: &Map<String, Value>, out: &mut String) {
    let mut items: Vec<(&String, &Value)> = object.iter().collect();
    items.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (key, value) in items {
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        write_value(value, out);
        out.push(',');
    }
    out.push('}');
}

/// The canonical form of any JSON value.
pub(super) fn canonical_value(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_value(item, out);
                out.push(',');
            }
            out.push(']');
        }
        // 1 and 1.0 are the same number.
        Value::Number(number) => match number.as_f64() {
            Some(value) if number.as_i64().is_none() && number.as_u64().is_none() && value.fract() == 0.0 => {
                out.push_str(&(value as i64).to_string());
            }
            _ => out.push_str(&number.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

/// True if `value` contains a number of at least 2^53 that is not a 64-bit integer. Float64 does not distinguish such
/// numbers from their neighbours.
pub(super) fn has_inexact_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            !number.is_i64() && !number.is_u64() && number.as_f64().is_none_or(|value| value.abs() >= 2f64.powi(53))
        }
        Value::Array(items) => items.iter().any(has_inexact_number),
        Value::Object(object) => object.values().any(has_inexact_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

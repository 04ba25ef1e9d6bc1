//! What is wrong with a field, in words instead of Rust's types.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// The longest text of a caller that an error repeats.
const MAX_ECHOED_TEXT: usize = 40;

/// What is wrong with a field.
#[derive(Debug)]
pub(super) enum FieldError {
    /// The value has another type, or is out of range.
    Mismatch { expected: String, found: String },
    /// A required field is absent.
    Missing(&'static str),
    /// The object has no such field.
    Unknown { field: String, known: &'static [&'static str] },
    /// The text is none of the allowed ones.
    NotAChoice { found: String, choices: &'static [&'static str] },
    /// The type is right and the value is not. The text states the rule.
    Value(String),
}

impl FieldError {
    /// What to do next. `field`: the innermost named field of the value, if there is one.
    pub(super) fn remedy(&self, field: Option<&str>) -> String {
        match self {
            Self::Mismatch { expected, .. } => format!("send {expected}"),
            Self::Missing(field) => format!("send the field `{field}`"),
            Self::Unknown { known: [], .. } => "leave the field out".to_owned(),
            Self::Unknown { known, .. } => format!("leave the field out; the known fields are {}", list(known)),
            Self::NotAChoice { choices, .. } => format!("send one of {}", list(choices)),
            Self::Value(_) => match field {
                Some("namespace") => "send a name of 1 to 2,048 bytes without control characters",
                Some("embedding") => {
                    "send a vector of finite numbers that are not all 0, as a list or as base64 of little-endian float32"
                }
                Some("query_hash") => "send the SHA-256 of the normalised question as 64 hexadecimal digits",
                _ => "send a value as openapi.yaml describes this field",
            }
            .to_owned(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch { expected, found } => write!(f, "{expected} is expected, and {found} was sent"),
            Self::Missing(field) => write!(f, "missing field `{field}`"),
            Self::Unknown { field, .. } => write!(f, "unknown field `{field}`"),
            Self::NotAChoice { found, choices } => {
                write!(f, "one of {} is expected, and {} was sent", list(choices), text(found))
            }
            Self::Value(rule) => f.write_str(rule),
        }
    }
}

impl std::error::Error for FieldError {}

impl de::Error for FieldError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Mismatch { expected: in_words(expected), found: found_in_words(found) }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, choices: &'static [&'static str]) -> Self {
        Self::NotAChoice { found: found.to_owned(), choices }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown { field: field.to_owned(), known }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// The names in backquotes, with commas between them.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What serde and its derived types expect, in words. Hand-written expectations are in words already.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number from 1",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "a list",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "an object",
        other => other,
    }
    .to_owned()
}

fn found_in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Str(sent) => text(sent),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// A caller's text. A long one, which may be a question or an answer, is not repeated.
fn text(sent: &str) -> String {
    if sent.len() <= MAX_ECHOED_TEXT { format!("the text {sent:?}") } else { "a text".to_owned() }
}

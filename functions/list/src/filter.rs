//! Which entries a listing has.

use mneme_api::event::RequestFields;
use mneme_model::entry::Entry;
use mneme_model::error::Error;
use mneme_model::normalize::normalize;
use mneme_model::tag::Tag;
use serde_json::Value;

/// The start of a field that asks for a value in the metadata. The key in the metadata follows.
const METADATA_PREFIX: &str = "metadata.";

/// What an entry must have to be listed. A condition that is `None` holds for every entry.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// A normalised part of the stored question. An entry of which only the hash is stored has no text.
    pub(super) text: Option<String>,
    /// Keys of the metadata, and their values as text.
    pub(super) metadata: Vec<(String, String)>,
    /// A tag.
    pub(super) tag: Option<Tag>,
    /// The earliest epoch second of the put.
    pub(super) created_since: Option<i64>,
    /// The epoch second before which the put was.
    pub(super) created_before: Option<i64>,
    /// The earliest epoch second of the last recorded access.
    pub(super) used_since: Option<i64>,
    /// The epoch second before which the last recorded access was.
    pub(super) used_before: Option<i64>,
}

impl Filter {
    /// Whether `entry` meets all conditions. An entry that lacks its answer, and so its metadata, may meet those on the
    /// metadata: it has to be asked about again with its answer.
    pub(super) fn accepts(&self, entry: &Entry) -> bool {
        let has_text =
            |part: &String| entry.query.as_ref().is_some_and(|query| normalize(query, true).contains(part.as_str()));
        let has_value =
            |(key, value): &(String, String)| entry.metadata.get(key).is_some_and(|own| is_text(own, value));
        self.text.as_ref().is_none_or(has_text)
            && (entry.lacks_answer() || self.metadata.iter().all(has_value))
            && self.tag.as_ref().is_none_or(|tag| entry.tags.contains(tag))
            && self.created_since.is_none_or(|since| entry.created_at >= since)
            && self.created_before.is_none_or(|before| entry.created_at < before)
            && self.used_since.is_none_or(|since| entry.last_accessed_at >= since)
            && self.used_before.is_none_or(|before| entry.last_accessed_at < before)
    }
}

/// Whether `value` is the text `text`, or has it as its JSON.
fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        other => {
            let json = other.to_string();
            json == text
        }
    }
}

/// Takes the fields `metadata.<key>` out of a request. Errors: `InvalidRequest` if a value is not a text, a number or a
/// truth value.
pub(super) fn take_metadata(fields: &mut RequestFields) -> Result<Vec<(String, String)>, Error> {
    let names: Vec<String> = fields.keys().filter(|name| name.starts_with(METADATA_PREFIX)).cloned().collect();
    let mut wanted = Vec::new();
    for name in names {
        let value = match fields.remove(&name) {
            Some(Value::String(text)) => text,
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            Some(Value::Null) | None => continue,
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(Error::invalid(
                    format!("{name}: a value is a text, a number or a truth value"),
                    "send one that the metadata has under this key",
                ));
            }
        };
        wanted.push((name[METADATA_PREFIX.len()..].to_owned(), value));
    }
    Ok(wanted)
}

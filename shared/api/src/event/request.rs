//! A request's fields as an operation's type, with errors in words.

mod error;
mod value;

use mneme_model::error::Error;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use self::value::RequestValue;
use super::{RequestFields, shortened};

/// The request in `fields`.
///
/// A field that is null counts as absent. A whole number may be written as a float. Errors: `InvalidRequest`, which
/// names the field.
pub fn parse<T: DeserializeOwned>(fields: RequestFields) -> Result<T, Error> {
    serde_path_to_error::deserialize(RequestValue(Value::Object(fields))).map_err(|error| {
        let path = error.path().to_string();
        let mut field = error.path().iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.as_str()),
            _ => None,
        });
        let remedy = error.inner().remedy(field.next_back());
        let detail = match path.as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        };
        Error::invalid(shortened(detail), remedy)
    })
}

#[cfg(test)]
mod tests;

//! Requests that hold a list of others, each of which may fail alone.

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Fields, parse};
use mneme_model::error::Error;

/// The items of a batch, each to be read when its turn comes, so that a bad one fails alone. `name`: the list's field; `others`:
/// the fields beside it, of which there may be none.
///
/// Errors: `InvalidRequest` for other fields, for no list, and for more than `most` items.
pub fn items(name: &str, list: Value, others: &Fields, most: usize) -> Result<Vec<Value>, Error> {
    let remedy = "send a list of objects, each with its own fields, and nothing beside it";
    match list {
        _ if !others.is_empty() => Err(Error::invalid(format!("a batch has the field `{name}` and no other"), remedy)),
        Value::Array(items) if items.len() <= most => Ok(items),
        Value::Array(items) => Err(Error::invalid(
            format!("{name}: {} in one batch, and {most} are allowed", items.len()),
            "send several batches",
        )),
        _ => Err(Error::invalid(format!("{name}: not a list"), remedy)),
    }
}

/// The request that an item is. Errors: `InvalidRequest`.
pub fn parse_item<T: DeserializeOwned>(item: Value) -> Result<T, Error> {
    match item {
        Value::Object(fields) => parse(fields),
        _ => Err(Error::invalid("an item of the batch is not an object", "send each item as a JSON object")),
    }
}

/// What became of one item of a batch, as it stands in the reply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum BatchResult<T> {
    /// What was asked for.
    Done(T),
    /// It could not be done.
    Failed {
        /// Why, as in an HTTP error's body.
        #[serde(serialize_with = "as_problem")]
        error: Error,
    },
}

fn as_problem<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    error.problem().serialize(serializer)
}

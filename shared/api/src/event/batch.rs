//! Batches: requests that hold a list of requests. Each item has a result of its own.

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{RequestFields, parse, shortened};
use mneme_model::error::Error;

/// The shape of an operation's batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchShape {
    /// The field that holds the list.
    pub list: &'static str,
    /// The fields that may be sent once, next to the list, for all items.
    pub shared: &'static [&'static str],
    /// The largest number of items.
    pub max_items: usize,
}

impl BatchShape {
    /// The items of a batch, or `None` if `request` has no list and so is a single request.
    ///
    /// An item gets each shared field that it does not have itself. Items are not parsed: [`parse_item`] parses one, so
    /// that a bad item fails alone. Errors: `InvalidRequest` for a list of another type or with too many items, and for
    /// a field that may not be shared.
    pub fn items(&self, request: &mut RequestFields) -> Result<Option<Vec<Value>>, Error> {
        let Self { list, shared, max_items } = *self;
        let mut items = match request.remove(list) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(items)) if items.len() <= max_items => items,
            Some(Value::Array(items)) => {
                return Err(Error::invalid(
                    format!("{list}: the batch has {} items, and {max_items} are allowed", items.len()),
                    "send several batches",
                ));
            }
            Some(_) => return Err(Error::invalid(format!("{list}: not a list"), "send a list of objects")),
        };
        request.retain(|_, value| !value.is_null());
        if let Some(field) = request.keys().find(|field| !shared.contains(&field.as_str())) {
            let names = shared.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::invalid(
                shortened(format!("the field `{field}` cannot be shared by the items of `{list}`")),
                format!("move the field into each item; the fields that may be shared are {names}"),
            ));
        }
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            for (name, value) in &*request {
                match item.get(name) {
                    None | Some(Value::Null) => item.insert(name.clone(), value.clone()),
                    Some(_) => None,
                };
            }
        }
        Ok(Some(items))
    }
}

/// The request in an item of a batch. Errors: `InvalidRequest`.
pub fn parse_item<T: DeserializeOwned>(item: Value) -> Result<T, Error> {
    match item {
        Value::Object(fields) => parse(fields),
        _ => Err(Error::invalid("an item of the batch is not an object", "send each item as a JSON object")),
    }
}

/// The result of one item, as the reply contains it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum BatchResult<T> {
    /// The item succeeded.
    Done(T),
    /// The item failed.
    Failed {
        /// The error, in the form of an HTTP error's body.
        #[serde(serialize_with = "as_problem")]
        error: Error,
    },
}

fn as_problem<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    error.problem().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: BatchShape = BatchShape { list: "entries", shared: &["namespace", "ttl_seconds"], max_items: 3 };

    fn items(request: Value) -> Result<Option<Vec<Value>>, Error> {
        let Value::Object(mut request) = request else { panic!("not an object: {request}") };
        SHAPE.items(&mut request)
    }

    #[test]
    fn items_without_a_list_is_a_single_request() {
        assert_eq!(items(json!({"query": "q"})).unwrap(), None);
        assert_eq!(items(json!({"query": "q", "entries": null})).unwrap(), None);
    }

    #[test]
    fn items_get_the_shared_fields_that_they_lack() {
        let request = json!({
            "namespace": "a", "ttl_seconds": 60,
            "entries": [{"query": "1"}, {"query": "2", "namespace": "b"}, {"query": "3", "ttl_seconds": null}],
        });
        let expected = [
            json!({"query": "1", "namespace": "a", "ttl_seconds": 60}),
            json!({"query": "2", "namespace": "b", "ttl_seconds": 60}),
            json!({"query": "3", "namespace": "a", "ttl_seconds": 60}),
        ];
        assert_eq!(items(request).unwrap().unwrap(), expected);
    }

    #[test]
    fn items_that_are_not_objects_are_left_to_fail_alone() {
        let read = items(json!({"namespace": "a", "entries": [7]})).unwrap().unwrap();
        assert_eq!(read, [json!(7)]);
        assert!(parse_item::<RequestFields>(json!(7)).is_err());
    }

    #[test]
    fn items_refuse_a_bad_list_and_fields_that_cannot_be_shared() {
        for (request, detail) in [
            (json!({"entries": {}}), "entries: not a list"),
            (json!({"entries": [1, 2, 3, 4]}), "entries: the batch has 4 items, and 3 are allowed"),
            (json!({"entries": [], "query": "q"}), "the field `query` cannot be shared by the items of `entries`"),
        ] {
            assert_eq!(items(request).unwrap_err().detail, detail);
        }
        let error = items(json!({"entries": [], "query": "q"})).unwrap_err();
        assert!(error.remediation.ends_with("`namespace`, `ttl_seconds`"), "{}", error.remediation);
        assert_eq!(items(json!({"entries": [], "query": null})).unwrap(), Some(vec![]));
    }
}

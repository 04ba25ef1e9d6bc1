//! The fields of a call.

use serde::Serialize;
use serde_json::{Map, Value};

/// The fields of a call, by name. A direct invocation gets them as its payload.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// No fields.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a field, unless `value` is null, as `None` is.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
        self
    }
}

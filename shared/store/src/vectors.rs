//! Single writes to the vectors of a row. They count as no mutation: they change no answer of the served embedder.

use mneme_model::entry::Entry;
use mneme_model::error::Error;
use mneme_model::row_vectors::RowVectors;

use crate::attribute as name;
use crate::entry_row::vector_attributes;
use crate::expression::{Condition, Expression};
use crate::item::s;
use crate::key::RowKey;
use crate::table::Table;

impl Table {
    /// Makes `wanted` the vectors of the row, if it still has the query of `seen` and vectors of the same embedders. False
    /// when it has not, or no longer exists.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub async fn set_vectors(&self, seen: &Entry, wanted: &RowVectors) -> Result<bool, Error> {
        let mut expression =
            Expression::when(Condition::Exists(name::ID)).and(Condition::is(name::QUERY, seen.query.as_ref().map(s)));
        // A vector of one generation never changes, so the generations identify the vectors. The exception is a first
        // vector that is added, or that replaces zeros: another writer may have added it too.
        let fills_first = seen.vectors.generation == wanted.generation;
        for ((attribute, before), (_, after)) in
            vector_attributes(&seen.vectors).into_iter().zip(vector_attributes(wanted))
        {
            let changes = before != after;
            expression = match (attribute, before) {
                (name::NEXT_EMBEDDING, _) => expression,
                (name::EMBEDDING, _) if !(changes && fills_first) => expression,
                (name::EMBEDDING, None) => expression.and(Condition::Empty(attribute)),
                (_, before) => expression.and(Condition::is(attribute, before)),
            };
            if changes {
                expression = expression.set_or_remove(attribute, after);
            }
        }
        self.update_if(RowKey::from(seen.id), expression).await
    }
}

//! Writing the scale of an embedder into item 0.

use mneme_model::embedder::ServedEmbedder;
use mneme_model::error::Error;
use mneme_model::scale::Scale;

use crate::attribute as name;
use crate::entry_row::generation_value;
use crate::expression::{Condition, Expression};
use crate::item::{b, s};
use crate::key::RowKey;
use crate::table::Table;

impl Table {
    /// Writes the scale of `embedder` into item 0, unless it has one. Returns false if `embedder` is not the active or
    /// the second one any more. No mutation is counted, since no entry changes.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub async fn write_scale(&self, embedder: &ServedEmbedder, scale: Scale) -> Result<bool, Error> {
        let is_of_generation = |attribute| {
            let stored = Condition::equals(attribute, generation_value(embedder.generation));
            match (attribute, embedder.generation.get()) {
                // The generation 0 is not stored.
                (name::ACTIVE_GENERATION, 0) => Condition::Any(vec![Condition::Absent(attribute), stored]),
                _ => stored,
            }
        };
        for (generation, fingerprint, attribute) in [
            (name::ACTIVE_GENERATION, name::FINGERPRINT, name::SCALE),
            (name::SECOND_GENERATION, name::SECOND_FINGERPRINT, name::SECOND_SCALE),
        ] {
            let expression = Expression::when(is_of_generation(generation))
                .and(Condition::is(fingerprint, embedder.fingerprint.as_ref().map(s)))
                .set_if_absent(attribute, b(scale.to_bytes()));
            if self.update_if(RowKey::COUNTER, expression).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

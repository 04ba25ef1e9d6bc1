//! Single writes to the vectors of a row. They count as no mutation, because they change no answer of the active
//! embedder.

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
    /// Makes `wanted` the vectors of the row, if the row still has the query of `seen` and vectors of the same
    /// generations. Returns whether that was so.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub async fn set_vectors(&self, seen: &Entry, wanted: &RowVectors) -> Result<bool, Error> {
        self.update_if(RowKey::from(seen.id), vectors_expression(seen, wanted)).await
    }
}

fn vectors_expression(seen: &Entry, wanted: &RowVectors) -> Expression {
    let mut expression =
        Expression::when(Condition::Exists(name::ID)).and(Condition::is(name::QUERY, seen.query.as_ref().map(s)));
    // A vector of one generation never changes, so the generations identify the vectors. The exception is a first
    // vector that is added or that replaces zeros: another writer may have added one, too.
    let fills_first = seen.vectors.generation == wanted.generation;
    for ((attribute, before), (_, after)) in vector_attributes(&seen.vectors).into_iter().zip(vector_attributes(wanted))
    {
        let changes = before != after;
        expression = match (attribute, before) {
            (name::NEXT_EMBEDDING | name::UNREAD, _) => expression,
            (name::EMBEDDING, _) if !(changes && fills_first) => expression,
            (name::EMBEDDING, None) => expression.and(Condition::Empty(attribute)),
            (_, before) => expression.and(Condition::is(attribute, before)),
        };
        if changes {
            expression = expression.set_or_remove(attribute, after);
        }
    }
    expression
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::Update;
    use mneme_model::embedder::EmbedderGeneration;

    use super::*;
    use crate::entry_row::entry_from_item;
    use crate::expression::Apply as _;
    use crate::item::{Item, n};

    const NEXT: EmbedderGeneration = EmbedderGeneration::new(1);

    /// An entry with these vectors, and the query `q`.
    fn entry(vectors: RowVectors) -> Entry {
        let item = Item::from([
            (name::ID.to_owned(), n(7)),
            (name::NAMESPACE.to_owned(), s("default")),
            (name::QUERY_HASH.to_owned(), s("a".repeat(64))),
            (name::QUERY.to_owned(), s("q")),
        ]);
        Entry { vectors, ..entry_from_item(&item).unwrap() }
    }

    fn first() -> RowVectors {
        RowVectors { embedding: Some(vec![1; 4]), ..RowVectors::default() }
    }

    /// The update expression and the condition of the write.
    fn texts(seen: RowVectors, wanted: &RowVectors) -> (String, String) {
        let update = Update::builder().table_name("t").key(name::ID, n(7));
        let update = update.apply(vectors_expression(&entry(seen), wanted)).build().unwrap();
        (update.update_expression, update.condition_expression.unwrap())
    }

    #[test]
    fn vectors_expression_for_second_vector_requires_that_there_is_none() {
        let wanted = RowVectors { next: Some((NEXT, vec![2; 4])), ..first() };
        let (update, condition) = texts(first(), &wanted);
        assert_eq!(update, "SET #embedding_next = :embedding_next, #next_era = :next_era");
        let row = "attribute_exists(#id) AND #query = :query";
        assert_eq!(
            condition,
            format!("{row} AND attribute_not_exists(#embedder_era) AND attribute_not_exists(#next_era)")
        );
    }

    #[test]
    fn vectors_expression_for_first_vector_requires_that_it_is_empty() {
        let (update, condition) = texts(RowVectors::default(), &first());
        assert_eq!(update, "SET #embedding = :embedding");
        assert!(condition.contains("(attribute_not_exists(#embedding) OR size(#embedding) = :zero)"), "{condition}");
    }

    #[test]
    fn vectors_expression_that_promotes_second_vector_compares_generations_only() {
        let seen = RowVectors { next: Some((NEXT, vec![2; 4])), ..first() };
        let wanted = RowVectors { embedding: Some(vec![2; 4]), generation: Some(NEXT), ..RowVectors::default() };
        let (update, condition) = texts(seen, &wanted);
        let sets = "SET #embedding = :embedding, #embedder_era = :embedder_era";
        assert_eq!(update, format!("{sets} REMOVE #embedding_next, #next_era"));
        let row = "attribute_exists(#id) AND #query = :query";
        assert_eq!(condition, format!("{row} AND attribute_not_exists(#embedder_era) AND #next_era = :next_era"));
    }
}

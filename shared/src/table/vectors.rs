//! Single writes to the vectors of a row, which count as no mutation: they change no answer of the embedder that is served.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Table;
use super::fault::applied;
use crate::embedders::{NEXT, NEXT_ERA, OWN_ERA, RowVectors};
use crate::entry::Entry;
use crate::error::Error;
use crate::key::RowKey;

/// Attributes with their values, in the order of their writing.
fn attributes(vectors: &RowVectors) -> [(&'static str, Option<AttributeValue>); 4] {
    let blob = |bytes: &Vec<u8>| AttributeValue::B(Blob::new(bytes.clone()));
    let next = vectors.next.as_ref();
    [
        ("embedding", vectors.embedding.as_ref().map(blob)),
        (OWN_ERA, vectors.own.map(|era| era.attribute())),
        (NEXT, next.map(|(_, bytes)| blob(bytes))),
        (NEXT_ERA, next.map(|(era, _)| era.attribute())),
    ]
}

impl Table {
    /// Makes `wanted` the vectors of the row, if it still has the query of `seen` and vectors of the same embedders. False when it has
    /// not, or is gone.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub(crate) async fn set_vectors(&self, seen: &Entry, wanted: &RowVectors) -> Result<bool, Error> {
        let mut update = self.client.update_item().table_name(&self.name).key("id", RowKey::from(seen.id).attribute());
        let (mut sets, mut removes) = (Vec::new(), Vec::new());
        let mut conditions = vec!["attribute_exists(#id)".to_owned()];
        update = update.expression_attribute_names("#id", "id").expression_attribute_names("#query", "query");
        match &seen.query {
            None => conditions.push("attribute_not_exists(#query)".to_owned()),
            Some(query) => {
                conditions.push("#query = :query".to_owned());
                update = update.expression_attribute_values(":query", AttributeValue::S(query.clone()));
            }
        }
        // A vector of an embedder does not change, so that whose they are tells what they are; but a first one that is added, or
        // put in the place of zeros, may have been added by another.
        let fills = seen.vectors.own == wanted.own;
        for ((name, before), (_, after)) in attributes(&seen.vectors).into_iter().zip(attributes(wanted)) {
            let changes = before != after;
            let is_told = match name {
                NEXT => false,
                "embedding" => changes && fills,
                _ => true,
            };
            if changes || is_told {
                update = update.expression_attribute_names(format!("#{name}"), name);
            }
            match before {
                _ if !is_told => {}
                // An empty one is as good as none.
                None if name == "embedding" => {
                    conditions.push(format!("(attribute_not_exists(#{name}) OR size(#{name}) = :zero)"));
                    update = update.expression_attribute_values(":zero", AttributeValue::N("0".to_owned()));
                }
                None => conditions.push(format!("attribute_not_exists(#{name})")),
                Some(before) => {
                    conditions.push(format!("#{name} = :seen_{name}"));
                    update = update.expression_attribute_values(format!(":seen_{name}"), before);
                }
            }
            match after {
                _ if !changes => {}
                None => removes.push(format!("#{name}")),
                Some(after) => {
                    sets.push(format!("#{name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), after);
                }
            }
        }
        let clauses = [("SET", sets), ("REMOVE", removes)].into_iter().filter(|(_, parts)| !parts.is_empty());
        let expression: Vec<String> = clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        let sent =
            update.update_expression(expression.join(" ")).condition_expression(conditions.join(" AND ")).send().await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }
}

//! The derived items of packed segments: the catalog, the basis in parts, and the segments themselves.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::fault::{applied, named};
use super::{Projection, Table};
use crate::embedders::Era;
use crate::entry::Item;
use crate::error::Error;
use crate::key::RowKey;
use crate::packed::{Catalog, EMPTIED};

/// The most bytes of the basis in one item, of DynamoDB's 400 KB.
const PART_BYTES: usize = 390_000;

/// The attribute that holds a part of the basis.
const BYTES: &str = "bytes";

fn n(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl Table {
    /// The catalog of `era`'s vectors, where there is one. Reads: one key, strongly.
    pub(crate) async fn catalog(&self, era: Era) -> Result<Option<Catalog>, Error> {
        Ok(self.get(RowKey::catalog(era), true).await?.as_ref().and_then(Catalog::from_item))
    }

    /// The bytes of the catalog's basis; `None` where a part of it is missing. Reads: its parts.
    pub(crate) async fn basis_bytes(&self, catalog: &Catalog) -> Result<Option<Vec<u8>>, Error> {
        let parts = self.batch_get(catalog.basis_keys(), Projection::Whole).await?;
        let part = |key| Some(parts.get(key)?.get(BYTES)?.as_b().ok()?.as_ref());
        Ok(catalog.basis_keys().map(part).collect::<Option<Vec<&[u8]>>>().map(|parts| parts.concat()))
    }

    /// Stores the bytes of a basis as `generation`'s, and returns in how many parts. Writes: a PutItem for each.
    pub(crate) async fn put_basis(&self, generation: u64, bytes: &[u8]) -> Result<u64, Error> {
        let mut parts = 0;
        for part in bytes.chunks(PART_BYTES) {
            let key = RowKey::basis(generation, parts).attribute();
            let bytes = AttributeValue::B(Blob::new(part));
            self.put_derived(Item::from([("id".to_owned(), key), (BYTES.to_owned(), bytes)])).await?;
            parts += 1;
        }
        Ok(parts)
    }

    /// Stores a derived item, over what is there. Writes: one PutItem.
    pub(crate) async fn put_derived(&self, item: Item) -> Result<(), Error> {
        let sent = self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await;
        sent.map(|_| ()).map_err(|error| named("PutItem", error))
    }

    /// Makes `catalog` its era's, if that is still `seen`, or none where that is `None`. False when it is not.
    pub(crate) async fn replace_catalog(&self, seen: Option<&Catalog>, catalog: &Catalog) -> Result<bool, Error> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("id", RowKey::catalog(catalog.era).attribute())
            .item("generation", n(catalog.generation))
            .item("basis_parts", n(catalog.basis_parts))
            .item("ranges", n(catalog.ranges));
        let put = match catalog.emptied.as_bytes() {
            [] => put,
            bytes => put.item(EMPTIED, AttributeValue::B(Blob::new(bytes))),
        };
        let put = match seen {
            None => put.condition_expression("attribute_not_exists(#id)").expression_attribute_names("#id", "id"),
            Some(seen) => put
                .condition_expression("#generation = :seen")
                .expression_attribute_names("#generation", "generation")
                .expression_attribute_values(":seen", n(seen.generation)),
        };
        applied("PutItem", put.send().await, PutItemError::is_conditional_check_failed_exception)
    }

    /// Notes in the catalog that the ranges up to `next` are packed. False when the catalog is not as in `seen` any more.
    pub(crate) async fn count_ranges(&self, seen: &Catalog, next: u64) -> Result<bool, Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::catalog(seen.era).attribute())
            .update_expression("SET #ranges = :next")
            .condition_expression("#generation = :generation AND #ranges = :seen")
            .expression_attribute_names("#ranges", "ranges")
            .expression_attribute_names("#generation", "generation")
            .expression_attribute_values(":next", n(next))
            .expression_attribute_values(":seen", n(seen.ranges))
            .expression_attribute_values(":generation", n(seen.generation))
            .send()
            .await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }

    /// Notes which ranges hold nothing, as in `catalog`. False when the catalog is of another generation by now.
    pub(crate) async fn note_emptied(&self, catalog: &Catalog) -> Result<bool, Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::catalog(catalog.era).attribute())
            .update_expression("SET #emptied = :emptied")
            .condition_expression("#generation = :generation")
            .expression_attribute_names("#emptied", EMPTIED)
            .expression_attribute_names("#generation", "generation")
            .expression_attribute_values(":emptied", AttributeValue::B(Blob::new(catalog.emptied.as_bytes())))
            .expression_attribute_values(":generation", n(catalog.generation))
            .send()
            .await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }
}

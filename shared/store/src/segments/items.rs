//! Reads and writes the segment manifest and the basis, which is stored in parts.

use mneme_model::embedder::EmbedderGeneration;
use mneme_model::error::Error;

use super::manifest::SegmentManifest;
use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, b, bytes, n};
use crate::key::RowKey;
use crate::read::Projection;
use crate::table::Table;

/// The largest part of the basis in one item. The rest of DynamoDB's 400 KB is for names and the key.
const MAX_PART_BYTES: usize = 390_000;

impl Table {
    /// The manifest for the vectors of `generation`, if there is one. Reads: one key, strongly consistent.
    pub async fn manifest(&self, generation: EmbedderGeneration) -> Result<Option<SegmentManifest>, Error> {
        Ok(self.get(RowKey::manifest(generation), true).await?.as_ref().and_then(SegmentManifest::from_item))
    }

    /// The bytes of the manifest's basis. `None` if a part is missing. Reads: the parts, strongly consistent.
    pub async fn basis_bytes(&self, manifest: &SegmentManifest) -> Result<Option<Vec<u8>>, Error> {
        let parts = self.batch_get(manifest.basis_keys(), Projection::All).await?;
        let part = |key| bytes(parts.get(key)?, name::BYTES);
        Ok(manifest.basis_keys().map(part).collect::<Option<Vec<&[u8]>>>().map(|parts| parts.concat()))
    }

    /// Stores the bytes of a basis under `basis_version`, and returns the number of parts. Writes: a PutItem for each
    /// part.
    pub async fn put_basis(&self, basis_version: u64, bytes: &[u8]) -> Result<u64, Error> {
        let mut parts = 0;
        for part in bytes.chunks(MAX_PART_BYTES) {
            let id = (name::ID.to_owned(), RowKey::basis(basis_version, parts).attribute());
            self.put_derived(Item::from([id, (name::BYTES.to_owned(), b(part))])).await?;
            parts += 1;
        }
        Ok(parts)
    }

    /// Stores `manifest`, if the manifest of its generation still has the basis version of `seen`, or still does not
    /// exist if `seen` is `None`. False if that has changed. Writes: one PutItem.
    pub async fn replace_manifest(
        &self,
        seen: Option<&SegmentManifest>,
        manifest: &SegmentManifest,
    ) -> Result<bool, Error> {
        let is_unchanged = match seen {
            None => Condition::Absent(name::ID),
            Some(seen) => Condition::equals(name::BASIS_VERSION, n(seen.basis_version)),
        };
        self.put_if(manifest.to_item(), Expression::when(is_unchanged)).await
    }

    /// Records that the ranges below `next` are covered, if the manifest still has the basis version and the ranges of
    /// `seen`. False if they have changed. Writes: one UpdateItem.
    pub async fn set_ranges(&self, seen: &SegmentManifest, next: u64) -> Result<bool, Error> {
        let expression = Expression::when(Condition::equals(name::BASIS_VERSION, n(seen.basis_version)))
            .and(Condition::equals(name::RANGES, n(seen.ranges)))
            .set(name::RANGES, n(next));
        self.update_if(RowKey::manifest(seen.generation), expression).await
    }

    /// Records the empty ranges of `manifest`, if the manifest in the table still has its basis version. False if it
    /// has another one. Writes: one UpdateItem.
    pub async fn save_empty_ranges(&self, manifest: &SegmentManifest) -> Result<bool, Error> {
        let expression = Expression::when(Condition::equals(name::BASIS_VERSION, n(manifest.basis_version)))
            .set(name::EMPTY_RANGES, b(manifest.empty_ranges.as_bytes()));
        self.update_if(RowKey::manifest(manifest.generation), expression).await
    }
}

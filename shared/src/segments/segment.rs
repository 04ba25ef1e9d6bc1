//! The segment of one range.

use std::sync::Arc;

use mneme_model::context_key::ContextKey;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::NamespaceHash;
use mneme_search::{Basis, Index};
use mneme_store::entry_row::{context_key, header_from_item, number_fingerprint, served_vector};
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::ids_of;
use mneme_store::segments::segment::{Segment, SegmentEntry};

use crate::cache::Cache;

/// Writes the segment of `range` under the basis `basis_version`, and replaces the segment that is stored there.
///
/// Reads: the rows of the range, strongly. Writes: one PutItem. Errors: `StoreBackendError`.
pub(super) async fn write_segment(
    cache: &Cache,
    served: &ServedEmbedder,
    basis_version: u64,
    range: u64,
    basis: &Arc<Basis>,
) -> Result<(), Error> {
    let ids = ids_of(range).filter_map(EntryId::new).map(RowKey::from);
    let rows = cache.table.batch_get(ids, Projection::Replica).await?;
    let segment = encode_range(rows.iter().map(|(_, item)| item), range, served, basis)?;
    cache.table.put_derived(segment.to_item(RowKey::segment(basis_version, range), range)).await
}

/// The segment of the entries in `items`, which belong to `range`. An entry without a vector of `served`, or with one
/// of another dimension, has no codes. Items that are not entries are skipped.
fn encode_range<'a>(
    items: impl Iterator<Item = &'a Item>,
    range: u64,
    served: &ServedEmbedder,
    basis: &Arc<Basis>,
) -> Result<Segment, Error> {
    let mut index = Index::with_basis(basis.clone());
    let mut segment = Segment::default();
    let mut entries: Vec<(EntryHeader, &Item)> =
        items.filter_map(|item| Some((header_from_item(item)?, item))).collect();
    entries.sort_unstable_by_key(|(row, _)| row.id);
    for (row, item) in entries {
        let context = context_index(&mut segment.contexts, (row.namespace.hash(), context_key(item)));
        segment.entries.push(SegmentEntry {
            id: row.id.get(),
            context,
            hash_prefix: row.query_hash.prefix(),
            number_fingerprint: number_fingerprint(item),
        });
        if let Some(vector) = served_vector(item, served).filter(|vector| vector.dim() == basis.dim()) {
            index.insert(row.id.get(), vector.as_slice()).map_err(Error::internal)?;
        }
    }
    segment.codes = index.pack(ids_of(range)).map_err(Error::internal)?;
    Ok(segment)
}

/// The position of `context` in `contexts`. A missing context is appended. A range has at most 1,024 contexts, so a u16
/// suffices.
fn context_index(
    contexts: &mut Vec<(NamespaceHash, Option<ContextKey>)>,
    context: (NamespaceHash, Option<ContextKey>),
) -> u16 {
    let at = contexts.iter().position(|other| *other == context).unwrap_or_else(|| {
        contexts.push(context);
        contexts.len() - 1
    });
    at as u16
}

#[cfg(test)]
mod tests {
    use mneme_model::embedder::EmbedderGeneration;
    use mneme_model::embedding::Embedding;
    use mneme_model::entry::Entry;
    use mneme_model::namespace::Namespace;
    use mneme_model::normalize::QueryHash;
    use mneme_model::row_vectors::RowVectors;
    use mneme_search::segment::CodeSegment;
    use mneme_store::entry_row::entry_to_item;

    use super::*;

    const DIM: usize = 64;

    fn vector(dim: usize) -> Embedding {
        Embedding::normalized((0..dim).map(|_| fastrand::f32() - 0.5).collect()).unwrap()
    }

    fn item(id: u64, namespace: &str, context_key: Option<ContextKey>, vector: Option<&Embedding>) -> Item {
        let entry = Entry {
            namespace: Namespace::try_from(namespace.to_owned()).unwrap(),
            query_hash: QueryHash::of(&id.to_string(), true),
            vectors: RowVectors { embedding: vector.map(Embedding::to_bytes), ..RowVectors::default() },
            context_key,
            ..Entry::example(id)
        };
        entry_to_item(&entry).unwrap()
    }

    fn served() -> ServedEmbedder {
        ServedEmbedder {
            generation: EmbedderGeneration::default(),
            base_generation: EmbedderGeneration::default(),
            switches: 0,
            dim: Some(DIM as u32),
            fingerprint: None,
            scale: None,
        }
    }

    fn basis() -> Arc<Basis> {
        let sample: Vec<Embedding> = (0..2048).map(|_| vector(DIM)).collect();
        Arc::new(Basis::train(DIM, sample.iter().map(Embedding::as_slice)).unwrap())
    }

    #[test]
    fn segment_has_every_entry_in_order_of_ids_and_codes_of_fitting_vectors() {
        let key = ContextKey::from_bytes(&[7; 32]);
        let (fitting, other) = (vector(DIM), vector(DIM + 1));
        let first = *ids_of(1).start();
        let items = [
            item(first + 3, "b", None, Some(&fitting)),
            item(first, "a", None, Some(&fitting)),
            item(first + 1, "a", key, None),
            item(first + 2, "a", None, Some(&other)),
            Item::new(),
        ];
        let basis = basis();
        let segment = encode_range(items.iter(), 1, &served(), &basis).unwrap();
        let entries: Vec<(u64, u16)> = segment.entries.iter().map(|entry| (entry.id, entry.context)).collect();
        assert_eq!(entries, [(first, 0), (first + 1, 1), (first + 2, 0), (first + 3, 2)]);
        let hash = |name: &str| Namespace::try_from(name.to_owned()).unwrap().hash();
        assert_eq!(segment.contexts, [(hash("a"), None), (hash("a"), key), (hash("b"), None)]);
        assert!(
            segment
                .entries
                .iter()
                .all(|entry| entry.hash_prefix == QueryHash::of(&entry.id.to_string(), true).prefix())
        );
        let codes = segment.codes.unwrap();
        let mut index = Index::with_basis(basis);
        index.load(&CodeSegment::read(&codes).unwrap()).unwrap();
        let mut encoded: Vec<u64> = index.ids().collect();
        encoded.sort_unstable();
        assert_eq!(encoded, [first, first + 3]);
    }

    #[test]
    fn range_without_vectors_has_no_codes() {
        let segment = encode_range([item(1, "a", None, None)].iter(), 0, &served(), &basis()).unwrap();
        assert_eq!((segment.entries.len(), segment.codes), (1, None));
    }
}

//! Reading a namespace for the first time.

use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::counter::Counter;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::{RANGE_IDS, ids_of};
use mneme_store::table::Table;

use super::memory::drop_least_recently_used;
use super::namespace_index::NamespaceIndex;
use super::replica::Replica;
use crate::segments::basis::load_basis;

/// How many rows are read by key at a time.
pub(super) const ROWS_AT_ONCE: usize = 1000;

/// How many of the last rows that no segment covers are read at the same time as the segments.
const TAIL_ROWS: u64 = 2 * RANGE_IDS;

/// From this number of rows without a segment on, a scan is cheaper than reading them by key.
const MIN_ROWS_TO_SCAN: u64 = 20_000;

/// After how many rows of a scan the memory budget is checked.
const ROWS_BETWEEN_CHECKS: usize = 1000;

impl Replica {
    /// Reads `namespace`, which the replica does not hold yet: from its segments, or, without segments, by a scan of
    /// the whole table.
    pub(super) async fn load_namespace(
        &mut self,
        table: &Table,
        counter: &Counter,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        let Some(ServedEmbedder { generation, dim, .. }) = self.served else { return Ok(()) };
        let manifest = table.manifest(generation).await?;
        if let Some(manifest) = manifest
            && counter.next_id.saturating_sub(manifest.next_id()) < MIN_ROWS_TO_SCAN
            && self.fetch_basis(table, &manifest, dim).await?
        {
            // A replica of its own, so that no part of the namespace is held if the time runs out.
            let mut loaded = Self { served: self.served.clone(), basis: self.basis.clone(), ..Self::default() };
            loaded.read_from_segments(table, counter, namespace, &manifest).await?;
            self.namespaces.extend(loaded.namespaces);
            return Ok(());
        }
        self.scan(table, namespace).await
    }

    /// Reads the basis of `manifest`, unless it is in memory. Returns false if the basis is missing, corrupt or of
    /// another dimension than `dim`.
    async fn fetch_basis(
        &mut self,
        table: &Table,
        manifest: &SegmentManifest,
        dim: Option<u32>,
    ) -> Result<bool, Error> {
        if !self.has_basis_of(manifest) {
            self.basis = load_basis(table, manifest).await?.map(|basis| (manifest.basis_version, basis));
        }
        Ok(self.basis.as_ref().is_some_and(|(_, basis)| dim.is_some_and(|dim| basis.dim() == dim as usize)))
    }

    /// Reads `namespace` into a replica that holds no other one: the segments, and the rows that no segment covers.
    async fn read_from_segments(
        &mut self,
        table: &Table,
        counter: &Counter,
        namespace: &Namespace,
        manifest: &SegmentManifest,
    ) -> Result<(), Error> {
        let Some((_, basis)) = &self.basis else { return Ok(()) };
        self.namespaces.insert(namespace.clone(), NamespaceIndex::new(Some(basis.clone())));
        let read = async |ids: &[u64]| {
            let keys = ids.iter().copied().filter_map(EntryId::new).map(RowKey::from);
            table.batch_get(keys, Projection::Replica).await
        };
        let (tail, ids) =
            (manifest.next_id()..counter.next_id).partition::<Vec<u64>, _>(|id| counter.next_id - id <= TAIL_ROWS);
        let segments = self.load_segments(table, manifest, 0..manifest.ranges);
        let (tail, missing) = tokio::try_join!(read(&tail), segments)?;
        tail.iter().for_each(|(_, item)| self.upsert(item));
        let ids: Vec<u64> = missing.into_iter().flat_map(ids_of).chain(ids).collect();
        for chunk in ids.chunks(ROWS_AT_ONCE) {
            read(chunk).await?.iter().for_each(|(_, item)| self.upsert(item));
        }
        Ok(())
    }

    /// Reads the whole table, and keeps every namespace. If they do not fit in memory, only `namespace` and those
    /// already held are kept, and of the latter the most recently used ones that fit.
    async fn scan(&mut self, table: &Table, namespace: &Namespace) -> Result<(), Error> {
        let mut held = std::mem::take(&mut self.namespaces);
        let mut scanned = Self {
            served: self.served.clone(),
            has_all: true,
            budget: self.budget,
            basis: self.basis.take(),
            ..Self::default()
        };
        let mut rows = 0;
        table
            .scan(Projection::Replica, |item| {
                scanned.upsert(&item);
                rows += 1;
                if rows % ROWS_BETWEEN_CHECKS == 0 && !scanned.budget.fits(&[&scanned.namespaces, &held]) {
                    scanned.namespaces.entry(namespace.clone()).or_default();
                    scanned.namespaces.retain(|name, _| name == namespace);
                    scanned.has_all = false;
                    while !scanned.budget.fits(&[&scanned.namespaces, &held])
                        && drop_least_recently_used(&mut held, namespace)
                    {}
                }
            })
            .await?;
        scanned.namespaces.entry(namespace.clone()).or_default();
        if !scanned.has_all {
            scanned.namespaces.extend(held);
        }
        scanned.uses = self.uses;
        *self = scanned;
        Ok(())
    }
}

//! Reading what is new since the replica was last brought up to date.

use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::counter::Counter;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::{RANGE_IDS, range_of};
use mneme_store::table::Table;

use super::load::ROWS_AT_ONCE;
use super::replica::Replica;

impl Replica {
    /// Reads every row of `namespace`, and of the other namespaces held, that was committed before `counter` was read,
    /// with the vector of `served`. Returns true if such a row may have been replaced by a row that was committed
    /// later: a new id was gone already, or the namespace was read for the first time, which is not a snapshot.
    ///
    /// Reads: for a namespace that is not held yet, its segments and the rows after them, or, without segments, the
    /// whole table by one strongly consistent scan. Then the ids since the last call, by BatchGetItem. If the memory is
    /// used up, the least recently used namespaces are dropped.
    /// Errors: `StoreBackendError`; the replica is then usable as of the last id that was read, or empty.
    pub async fn catch_up(
        &mut self,
        table: &Table,
        counter: &Counter,
        served: &ServedEmbedder,
        namespace: &Namespace,
    ) -> Result<bool, Error> {
        // The table was created again, or another embedder is served.
        if counter.next_id < self.next_id || !self.has_vectors_of(served) {
            *self = Self { budget: self.budget, ..Self::default() };
        }
        self.served = Some(served.clone());
        let mut saw_missing_row = false;
        if !self.namespaces.is_empty() || self.has_all {
            saw_missing_row = self.read_new_rows(table, counter.next_id).await?;
        }
        if !self.holds(namespace) {
            self.load_namespace(table, counter, namespace).await?;
            saw_missing_row = true;
        }
        self.next_id = counter.next_id;
        self.mark_used(namespace);
        self.drop_excess(namespace);
        Ok(saw_missing_row)
    }

    /// Reads the rows from `self.next_id` up to `next_id`. Returns true if one of them was gone already. Full ranges
    /// are read from their segments if the replica has the basis.
    async fn read_new_rows(&mut self, table: &Table, next_id: u64) -> Result<bool, Error> {
        let from = self.next_id;
        let mut ids: Vec<u64> = (from..next_id).collect();
        // The range of the last id seen is left out, because its first part is known.
        let ranges = from.saturating_sub(1).div_ceil(RANGE_IDS)..next_id.saturating_sub(1) / RANGE_IDS;
        if !ranges.is_empty()
            && let Some(served) = &self.served
            && let Some(manifest) = table.manifest(served.generation).await?
            && self.has_basis_of(&manifest)
        {
            let covered = ranges.start..ranges.end.min(manifest.ranges);
            let missing = self.load_segments(table, &manifest, covered.clone()).await?;
            ids.retain(|id| !covered.contains(&range_of(*id)) || missing.contains(&range_of(*id)));
        }
        let mut saw_missing_row = false;
        for chunk in ids.chunks(ROWS_AT_ONCE) {
            let keys = chunk.iter().copied().filter_map(EntryId::new).map(RowKey::from);
            let rows = table.batch_get(keys, Projection::Replica).await?;
            rows.iter().for_each(|(_, item)| self.upsert(item));
            saw_missing_row |= rows.missing_entries().next().is_some();
            self.forget_replaced(table, rows.iter().map(|(_, item)| item)).await?;
            // These rows stay in the replica even if the time runs out before the next ones are read.
            self.next_id = chunk.last().map_or(self.next_id, |last| last + 1);
        }
        Ok(saw_missing_row)
    }

    /// Forgets the older rows for the queries of the `new` rows, if they are gone. A put deletes the row that it
    /// replaces.
    async fn forget_replaced(&mut self, table: &Table, new: impl Iterator<Item = &Item>) -> Result<(), Error> {
        let mut older = Vec::new();
        for row in new.filter_map(header_from_item) {
            let known = self.by_hash(&row.namespace, &row.query_hash);
            older.extend(known.into_iter().filter(|id| *id < row.id).map(|id| (row.clone(), id)));
        }
        let rows = table.batch_get(older.iter().map(|(_, id)| (*id).into()), Projection::Lru).await?;
        for (row, id) in older.iter().filter(|(_, id)| rows.get((*id).into()).is_none()) {
            self.forget(&row.namespace, *id, Some(&row.query_hash));
        }
        Ok(())
    }
}

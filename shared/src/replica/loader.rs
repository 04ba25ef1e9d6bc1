//! Keeps a replica up to date with the table.
//!
//! Two lists say what is still to be read: the news, which are ids that were given out since the last lookup, and the
//! load of a namespace that was not held. Both survive a lookup that runs out of time, so the next one continues.

use std::collections::HashSet;

use mneme_model::config::Config;
use mneme_model::context_key::ContextKey;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::{Namespace, NamespaceHash};
use mneme_model::normalize::QueryHash;
use mneme_store::counter::Counter;
use mneme_store::entry_row::{context_key, header_from_item};
use mneme_store::item::Item;
use mneme_store::read::{Projection, Rows};
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::{RANGE_IDS, range_of};
use mneme_store::table::Table;

use super::reading::Reading;
use super::replica::{Coverage, Replica};
use crate::segments::basis::load_basis;

/// From this number of new ids on, segments are used for them.
const MIN_NEWS_FROM_SEGMENTS: u64 = RANGE_IDS;

/// A replica, and what it lacks.
#[derive(Debug, Default)]
pub struct Loader {
    /// What was read.
    pub replica: Replica,
    /// Every row with a lower id that belongs to a namespace held is in the replica or in `news`, except deleted ones.
    /// 0: nothing was read.
    next_id: u64,
    news: Reading,
    load: Option<Load>,
    /// Whether a row that was to be read was gone already. A newer row may have replaced it.
    saw_missing_row: bool,
    /// Entries that new rows may have replaced, and that have to be looked at.
    replaced: Vec<OlderRow>,
    /// Namespaces that do not fit in the memory.
    too_large: HashSet<NamespaceHash>,
}

/// Reading namespaces for the first time.
#[derive(Debug)]
struct Load {
    reading: Reading,
    /// The namespace that a lookup asked for. If not all namespaces fit in memory, only this one is loaded.
    wanted: NamespaceHash,
}

impl Loader {
    /// A loader that has read nothing. The memory budget follows from the memory of the function, as `config` has it.
    pub fn new(config: &Config) -> Self {
        Self { replica: Replica::new(config), ..Self::default() }
    }

    /// Whether the namespace may have rows, or vectors of `served`, that the replica lacks. `counter`: read after the
    /// request arrived.
    pub fn is_behind(&self, counter: &Counter, served: &ServedEmbedder, namespace: &Namespace) -> bool {
        self.next_id != counter.next_id
            || !self.news.is_done()
            || !self.replica.holds(namespace)
            || self.replica.served.as_ref() != Some(served)
    }

    /// Whether something is left to read that an earlier lookup asked for.
    pub fn has_work(&self) -> bool {
        self.load.is_some() || !self.news.is_done()
    }

    /// Reads every row of `namespace`, and of the other namespaces held, that was committed before `counter` was read,
    /// with the vector of `served`. Returns true if such a row may have been replaced by a row that was committed
    /// later: a new id was gone already, or the namespace was read for the first time, which is not a snapshot.
    ///
    /// Reads: the ids since the last call, by BatchGetItem. For a namespace that is not held: its stats and one key of
    /// `gsi_hash`, which tell whether it has entries. If so, the segments and the rows after them, or, without
    /// segments, all rows by key. All namespaces are kept as long as they fit in memory; then the least recently used
    /// ones are dropped.
    /// Errors: `StoreBackendError`. If the call ends early, by an error or because it is dropped, the next one continues
    /// where it was.
    pub async fn catch_up(
        &mut self,
        table: &Table,
        counter: &Counter,
        served: &ServedEmbedder,
        namespace: &Namespace,
    ) -> Result<bool, Error> {
        // The table was created again, or another embedder is served.
        if counter.next_id < self.next_id || !self.replica.has_vectors_of(served) {
            *self = Self { replica: self.replica.emptied(), ..Self::default() };
        }
        self.replica.served = Some(served.clone());
        if self.replica.is_empty() && self.load.is_none() {
            self.next_id = counter.next_id;
        } else if self.next_id < counter.next_id {
            self.note_news(table, counter.next_id).await?;
        }
        self.read_news(table).await?;
        while !self.replica.holds(namespace) {
            if self.load.is_none() {
                self.begin_load(table, namespace).await?;
            }
            self.saw_missing_row |= self.load.is_some();
            self.continue_load(table).await?;
        }
        let hash = namespace.hash();
        self.replica.mark_used(&hash);
        self.replica.drop_excess(&hash);
        Ok(std::mem::take(&mut self.saw_missing_row))
    }

    /// Reads what earlier lookups asked for and did not get in time. Errors: as [`Loader::catch_up`].
    pub async fn continue_work(&mut self, table: &Table) -> Result<(), Error> {
        self.read_news(table).await?;
        self.continue_load(table).await
    }

    /// Puts the ids from `self.next_id` up to `next_id` on the list of news. Full ranges are read from their segments if
    /// the replica has the basis.
    async fn note_news(&mut self, table: &Table, next_id: u64) -> Result<(), Error> {
        let ids = self.next_id..next_id;
        // The range of the last id seen is left out, because its first part is known.
        let mut ranges = ids.start.saturating_sub(1).div_ceil(RANGE_IDS)..next_id.saturating_sub(1) / RANGE_IDS;
        let manifest = match &self.replica.served {
            Some(served) if ids.end - ids.start >= MIN_NEWS_FROM_SEGMENTS && !ranges.is_empty() => {
                table.manifest(served.generation).await?.filter(|manifest| self.replica.has_basis_of(manifest))
            }
            _ => None,
        };
        ranges.end = manifest.as_ref().map_or(ranges.start, |manifest| ranges.end.min(manifest.ranges));
        if let Some(manifest) = &manifest {
            self.news.add_segments(manifest, ranges.clone());
        }
        self.news.add_new_rows(ids.filter(|id| !ranges.contains(&range_of(*id))));
        self.next_id = next_id;
        Ok(())
    }

    /// Reads the news. Then forgets the older rows for the queries of the new rows, if they are gone: a put deletes the
    /// row that it replaces.
    async fn read_news(&mut self, table: &Table) -> Result<(), Error> {
        while !self.news.is_done() {
            let Self { replica, news, saw_missing_row, replaced, .. } = self;
            let read = |replica: &Replica, rows: &Rows| {
                *saw_missing_row |= rows.missing_entries().next().is_some();
                replaced.extend(rows.iter().flat_map(|(_, item)| older_rows(replica, item)));
            };
            news.step(replica, table, read).await?;
        }
        if self.replaced.is_empty() {
            return Ok(());
        }
        let rows = table.batch_get(self.replaced.iter().map(|older| older.id.into()), Projection::Lru).await?;
        for OlderRow { id, namespace, context_key, hash } in self.replaced.drain(..) {
            if rows.get(id.into()).is_none() {
                self.replica.forget(&namespace, context_key, id, Some(&hash));
            }
        }
        Ok(())
    }

    /// Begins to read `namespace`, which the replica does not hold, and all other namespaces if they fit in memory.
    async fn begin_load(&mut self, table: &Table, namespace: &Namespace) -> Result<(), Error> {
        let Some(served) = self.replica.served.clone() else { return Ok(()) };
        let wanted = namespace.hash();
        if self.too_large.contains(&wanted) {
            return Err(does_not_fit());
        }
        if !table.has_entries(namespace).await? {
            self.replica.add(wanted, true);
            return Ok(());
        }
        // A manifest that covers ids which were not given out is from a later state of the table, before a restore.
        let manifest = table.manifest(served.generation).await?.filter(|manifest| manifest.next_id() <= self.next_id);
        let manifest = match manifest {
            Some(manifest) if self.fetch_basis(table, &manifest, served.dim).await? => Some(manifest),
            _ => None,
        };
        if self.replica.coverage == Coverage::Listed {
            self.replica.add(wanted, false);
        } else {
            self.replica.coverage = Coverage::Filling;
        }
        self.load = Some(Load { reading: Reading::everything(manifest.as_ref(), self.next_id), wanted });
        Ok(())
    }

    /// Reads the basis of `manifest`, unless it is in memory. Returns false if the basis is missing, corrupt or of
    /// another dimension than `dim`.
    async fn fetch_basis(
        &mut self,
        table: &Table,
        manifest: &SegmentManifest,
        dim: Option<u32>,
    ) -> Result<bool, Error> {
        if !self.replica.has_basis_of(manifest) {
            self.replica.basis = load_basis(table, manifest).await?.map(|basis| (manifest.basis_version, basis));
        }
        let basis = self.replica.basis.as_ref();
        Ok(basis.is_some_and(|(_, basis)| dim.is_some_and(|dim| basis.dim() == dim as usize)))
    }

    /// Reads until the load under way is complete.
    async fn continue_load(&mut self, table: &Table) -> Result<(), Error> {
        while let Some(Load { reading, wanted }) = &mut self.load {
            if reading.is_done() {
                self.replica.complete();
                self.load = None;
                return Ok(());
            }
            reading.step(&mut self.replica, table, |_, _| {}).await?;
            let wanted = *wanted;
            if !self.replica.make_room(&wanted) {
                self.too_large.insert(wanted);
                self.replica.drop_namespace(&wanted);
                self.load = None;
                return Err(does_not_fit());
            }
        }
        Ok(())
    }
}

/// An entry that a new row may have replaced.
#[derive(Debug)]
struct OlderRow {
    id: EntryId,
    namespace: Namespace,
    context_key: Option<ContextKey>,
    hash: QueryHash,
}

/// The entries that the replica knows for the query of the row `item`, and that are older than it.
fn older_rows(replica: &Replica, item: &Item) -> Vec<OlderRow> {
    let Some(row) = header_from_item(item) else { return Vec::new() };
    let known = replica.by_hash(&row.namespace, &row.query_hash).into_iter().filter(|id| *id < row.id);
    let older = |id| OlderRow {
        id,
        namespace: row.namespace.clone(),
        context_key: context_key(item),
        hash: row.query_hash.clone(),
    };
    known.map(older).collect()
}

/// How long a caller should wait before it asks again in a namespace that does not fit in memory.
const DOES_NOT_FIT_RETRY_SECS: u32 = 60;

/// The error of a namespace that does not fit in memory. A lookup turns it into a miss, as it does with an overload.
fn does_not_fit() -> Error {
    Error::backend(
        "the namespace does not fit in the function's memory",
        "raise the memory of `lookup`, or split the namespace",
    )
    .retry_after(DOES_NOT_FIT_RETRY_SECS)
}

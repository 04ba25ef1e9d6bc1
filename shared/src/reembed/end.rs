//! Ending a move: the active embedder stays, and the other one's vectors go.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::fill::Lack;
use super::{Became, Bounds, Passed, Phase, Progress, State, WRITES_AT_ONCE};
use crate::cache::Cache;
use crate::embedders::{Other, RowVectors, Side};
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::key::RowKey;
use crate::table::Rows;
use crate::table::counter::Counter;
use crate::write::embedder::Change;
use crate::write::put::Vectors;

impl Cache {
    /// Goes on ending the move, which keeps the embedder at this end of it, the active one: the other one is not served any
    /// more from the first call on, and its vectors are removed. Complete when there is no move any more.
    ///
    /// An entry that has a vector of the other embedder alone gets one of the active embedder, and a new id with it, if
    /// that one is configured here and its query is stored; else it is found exactly from then on.
    /// Reads: item 0, the rows. Writes: two transactions on item 0, one mutation each; each row that has to change, by an
    /// UpdateItem that is conditional on the row. Errors: `EmbedderMismatchError` when the other one is active;
    /// `StoreBackendError`; the embedder's own.
    pub async fn reembed_end(&self, keep: Side, mut bounds: Bounds) -> Result<State, Error> {
        loop {
            let counter = self.embedders().await?;
            let Some(other) = counter.other.clone() else { return self.reembed_status().await };
            if counter.side() != Some(keep) {
                return Err(not_active(&counter, &other));
            }
            if !other.ending {
                self.change_embedders(&counter, &Change::End).await?;
                continue;
            }
            let Some((counter, progress)) = self.remove_vectors(&mut bounds, &counter, &other).await? else { continue };
            if progress.next_id < counter.next_id {
                return Ok(State { counter, progress: Some(progress), complete: false });
            }
            // Where entries came in meanwhile, these have to be gone through as well.
            if self.change_embedders(&counter, &Change::Ended).await? {
                for key in
                    [RowKey::reembedding(other.era), RowKey::reembedding(counter.era), RowKey::catalog(other.era)]
                {
                    self.table.drop_derived(key).await?;
                }
            }
        }
    }

    /// Removes `other`'s vectors from the rows that were not gone through, within `bounds`. Returns the counter that the last
    /// rows were gone through by; `None` when the move was ended meanwhile, by another call.
    async fn remove_vectors(
        &self,
        bounds: &mut Bounds,
        counter: &Counter,
        other: &Other,
    ) -> Result<Option<(Counter, Progress)>, Error> {
        let mut counter = counter.clone();
        let mut progress = self.table.progress(other.era, Phase::Removing).await?;
        while progress.next_id < counter.next_id && bounds.are_left() {
            let began = Instant::now();
            let ids = bounds.block(progress.next_id, counter.next_id);
            let passed = self.go_through(ids.clone(), |rows| Box::pin(self.settle_rows(&counter, rows))).await?;
            progress.advance(&ids, &passed, began.elapsed());
            bounds.spend(&ids, began.elapsed());
            self.table.keep_progress(other.era, Phase::Removing, &progress).await?;
            // An entry that got a new id, or came in, is gone through as well.
            counter = self.embedders().await?;
            if counter.other.as_ref() != Some(other) {
                return Ok(None);
            }
        }
        Ok(Some((counter, progress)))
    }

    /// Leaves `rows` the active embedder's vectors; what became of each entry.
    async fn settle_rows(&self, counter: &Counter, rows: Rows) -> Result<Vec<Became>, Error> {
        let has_embedder = self.embedder_of(&counter.active()).is_some();
        let lacks = |entry: &Entry| {
            let held = Vectors::of_row(entry, counter);
            let can_have = entry.query.is_some() && has_embedder;
            held.active.is_none() && held.other.is_some() && can_have && !entry.is_expired(self.now_secs())
        };
        let entries = rows.iter().filter_map(|(key, _)| rows.entry(key.entry()?));
        let (lacking, rest): (Vec<_>, Vec<_>) = entries.partition(lacks);
        let vectors = self.vectors_for(counter, &lacking, Lack::Active).await?;
        let mut became = Vec::new();
        // New ids are given out one after the other.
        for (entry, vector) in lacking.into_iter().zip(vectors) {
            became.push((entry.id, self.settle(counter, &entry, vector).await?));
        }
        let settled = rest.into_iter().map(async |entry| {
            let one = self.settle(counter, &entry, None).await?;
            Ok::<_, Error>((entry.id, one))
        });
        // Boxed by the collection: the futures of the writes are large.
        let settled = stream::iter(settled.collect::<Vec<_>>()).buffer_unordered(WRITES_AT_ONCE);
        became.extend(settled.try_collect::<Vec<_>>().await?);
        Ok(became)
    }

    /// Leaves `entry` its vector of the active embedder alone, or gives it `vector`, of that one, where that fits its item; `None`:
    /// it was written to meanwhile.
    async fn settle(&self, counter: &Counter, entry: &Entry, vector: Option<Vec<u8>>) -> Result<Option<Passed>, Error> {
        let held = Vectors::of_row(entry, counter);
        let has_vector = vector.is_some();
        if vector.is_some() {
            let given = Vectors { active: vector, other: None };
            let row = Entry { vectors: self.laid_out(given.clone(), None, counter)?, ..entry.clone() };
            if row.to_item().is_ok() {
                // It comes by again, at its new id.
                return Ok(self.relocate(entry, &given, counter).await?.then(Passed::default));
            }
        }
        let passed = match (&held.active, &held.other, &entry.query) {
            (Some(_), ..) => Passed { ready: 1, ..Passed::default() },
            (None, None, _) => Passed { without_vector: 1, ..Passed::default() },
            (None, Some(_), None) => Passed { without_query: 1, ..Passed::default() },
            (None, Some(_), Some(_)) if has_vector => Passed { too_large: 1, ..Passed::default() },
            (None, Some(_), Some(_)) => Passed { refused: 1, ..Passed::default() },
        };
        let wanted = self.laid_out(Vectors { other: None, ..held }, entry.vectors.own, counter)?;
        // A row without any vector says nothing of whose it is; nor does one that has no room for what stands for none.
        let fits = || Entry { vectors: wanted.clone(), ..entry.clone() }.to_item().is_ok();
        let wanted = if wanted.embedding.is_some() && fits() { wanted } else { RowVectors::default() };
        if wanted == entry.vectors {
            return Ok(Some(passed));
        }
        Ok(self.table.set_vectors(entry, &wanted).await?.then_some(passed))
    }
}

fn not_active(counter: &Counter, other: &Other) -> Error {
    let active = counter.fingerprint.as_deref().unwrap_or_default();
    let (remedy, back) = match counter.side() {
        Some(Side::Target) => ("`finish`, or `switch_back` and then `abort`", "source"),
        _ => ("`abort`, or `switch` and then `finish`", "target"),
    };
    Error::new(
        ErrorKind::EmbedderMismatchError,
        format!("{active:?} is active, and the {back}, {:?}, is not", other.fingerprint),
        remedy,
    )
}

//! Ending a move: the active embedder stays, and the other one's vectors go.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::fill::Lack;
use super::{Became, Bounds, IDS_AT_ONCE, Passed, Phase, Progress, State, WRITES_AT_ONCE};
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
            let (counter, progress) = self.remove_vectors(&mut bounds, &counter, &other).await?;
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
    /// rows were gone through by.
    async fn remove_vectors(
        &self,
        bounds: &mut Bounds,
        counter: &Counter,
        other: &Other,
    ) -> Result<(Counter, Progress), Error> {
        let mut counter = counter.clone();
        let mut progress = self.table.progress(other.era, Phase::Removing).await?;
        while progress.next_id < counter.next_id && bounds.are_left() {
            let began = Instant::now();
            let ids = progress.next_id..counter.next_id.min(progress.next_id + IDS_AT_ONCE.min(bounds.ids));
            let passed = self.go_through(ids.clone(), |rows| Box::pin(self.settle_rows(&counter, rows))).await?;
            progress.passed.add(&passed);
            progress.ids += ids.end - ids.start;
            progress.next_id = ids.end;
            progress.worked_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(0);
            bounds.ids -= ids.end - ids.start;
            self.table.keep_progress(other.era, Phase::Removing, &progress).await?;
            // An entry that got a new id, or came in, is gone through as well.
            if progress.next_id >= counter.next_id {
                let now = self.embedders().await?;
                if now.other.as_ref() == Some(other) {
                    counter = now;
                }
            }
        }
        Ok((counter, progress))
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
        let all = lacking.into_iter().zip(vectors).chain(rest.into_iter().map(|entry| (entry, None)));
        let settled = all.map(async |(entry, vector)| {
            let one = self.settle(counter, &entry, vector).await?;
            Ok::<_, Error>((entry.id, one))
        });
        // Boxed by the collection: the futures of the writes are large.
        stream::iter(settled.collect::<Vec<_>>()).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }

    /// Leaves `entry` its vector of the active embedder alone, or gives it `vector`, of that one; `None`: it was written to
    /// meanwhile.
    async fn settle(&self, counter: &Counter, entry: &Entry, vector: Option<Vec<u8>>) -> Result<Option<Passed>, Error> {
        if let Some(vector) = vector {
            let given = Vectors { active: Some(vector), other: None };
            // It comes by again, at its new id.
            return Ok(self.relocate(entry, &given, counter).await?.then(Passed::default));
        }
        let held = Vectors::of_row(entry, counter);
        let passed = match (&held.active, &held.other, &entry.query) {
            (Some(_), ..) => Passed { ready: 1, ..Passed::default() },
            (None, None, _) => Passed { without_vector: 1, ..Passed::default() },
            (None, Some(_), None) => Passed { without_query: 1, ..Passed::default() },
            (None, Some(_), Some(_)) => Passed { refused: 1, ..Passed::default() },
        };
        let wanted = self.laid_out(Vectors { other: None, ..held }, entry.vectors.own, counter)?;
        // A row without any vector says nothing of whose it is.
        let wanted = if wanted.embedding.is_none() { RowVectors::default() } else { wanted };
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

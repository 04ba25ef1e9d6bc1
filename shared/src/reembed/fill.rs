//! Adding the vectors of the embedder that is not active.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::{Became, Bounds, Passed, Phase, State, WRITES_AT_ONCE};
use crate::cache::Cache;
use crate::embed::Slot;
use crate::embedders::Other;
use crate::embedding::Embedding;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::table::Rows;
use crate::table::counter::Counter;
use crate::write::put::Vectors;

/// A text that every embedder takes: whether it answers at all, and with how many numbers.
const PROBE: &str = "What is the capital of France?";

/// What an entry lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// The vector of the embedder that is not active.
    Other,
    /// The active one's, having the other one's: it was put by an instance that serves that one.
    Active,
}

/// What one entry comes to.
enum Found {
    Passed(Passed),
    Lacking(Box<Entry>, Lack),
    /// Nothing that counts.
    Gone,
}

const READY: Passed = Passed { ready: 1, without_query: 0, refused: 0, too_large: 0, without_vector: 0 };

impl Cache {
    /// Goes on adding the vectors that are missing of the embedder that is not active, and then packs them, so that new
    /// instances are as quick after the switch as before.
    ///
    /// An entry that lacks the active embedder's vector gets it, too, if that one is configured here, and with it a new id.
    /// Reads: item 0, the rows. Writes: each row that lacks something, by an UpdateItem that is conditional on the row; how far
    /// it has come, after every some ids.
    /// Errors: `InvalidRequest` without a move; `EmbedderMismatchError` without the embedder, or when the move was ended
    /// meanwhile; the embedder's own; `StoreBackendError`. What was added stays, and the next call goes on there.
    pub async fn reembed_step(&self, bounds: Bounds) -> Result<State, Error> {
        let counter = self.embedders().await?;
        let Some(other) = counter.other.clone().filter(|other| !other.ending) else { return Err(nothing_to_add()) };
        let mut state = self.fill(bounds, &other).await?;
        let inactive = state.counter.inactive().filter(|_| state.complete);
        if let Some(inactive) = inactive {
            let packed = self.pack_vectors(&inactive, state.counter.next_id, bounds.until).await?;
            state.complete = !packed.unfinished;
        }
        Ok(state)
    }

    /// Adds what is missing of `other`'s vectors.
    pub(super) async fn fill(&self, mut bounds: Bounds, other: &Other) -> Result<State, Error> {
        let mut progress = self.table.progress(other.era, Phase::Adding).await?;
        // Where these vectors have been packed, none may be added to a row.
        let packed = self.table.catalog(other.era).await?.map_or(1, |catalog| catalog.next_id());
        loop {
            let counter = self.embedders().await?;
            if counter.other.as_ref() != Some(other) {
                return Err(Error::new(
                    ErrorKind::EmbedderMismatchError,
                    "the embedders of the cache were switched, or the move was ended, meanwhile",
                    "look at `status`, and go on from there",
                ));
            }
            let complete = progress.next_id >= counter.next_id;
            if complete || !bounds.are_left() {
                return Ok(State { counter, progress: Some(progress), complete });
            }
            let began = Instant::now();
            let ids = bounds.block(progress.next_id, counter.next_id);
            let passed = self.go_through(ids.clone(), |rows| Box::pin(self.fill_rows(&counter, rows, packed))).await?;
            progress.advance(&ids, &passed, began.elapsed());
            bounds.spend(&ids, began.elapsed());
            self.table.keep_progress(other.era, Phase::Adding, &progress).await?;
        }
    }

    /// Adds what is missing to `rows`; what became of each entry.
    async fn fill_rows(&self, counter: &Counter, rows: Rows, packed: u64) -> Result<Vec<Became>, Error> {
        let mut lacking: [Vec<Entry>; 2] = Default::default();
        let mut became = Vec::new();
        for id in rows.iter().filter_map(|(key, _)| key.entry()) {
            match self.look_at(rows.entry(id), counter) {
                Found::Passed(one) => became.push((id, Some(one))),
                Found::Lacking(entry, Lack::Other) => lacking[0].push(*entry),
                Found::Lacking(entry, Lack::Active) => lacking[1].push(*entry),
                Found::Gone => {}
            }
        }
        for (entries, lack) in lacking.into_iter().zip([Lack::Other, Lack::Active]) {
            became.extend(self.fill_entries(counter, entries, lack, packed).await?);
        }
        Ok(became)
    }

    fn look_at(&self, entry: Option<Entry>, counter: &Counter) -> Found {
        let Some(entry) = entry.filter(|entry| !entry.is_expired(self.now_secs())) else { return Found::Gone };
        let held = Vectors::of_row(&entry, counter);
        match (held.active.is_some(), held.other.is_some()) {
            (false, false) => Found::Passed(Passed { without_vector: 1, ..Passed::default() }),
            (true, true) => Found::Passed(READY),
            (true, false) if entry.query.is_none() => Found::Passed(Passed { without_query: 1, ..Passed::default() }),
            (true, false) => Found::Lacking(Box::new(entry), Lack::Other),
            (false, true) if entry.query.is_some() && self.embedder_of(&counter.active()).is_some() => {
                Found::Lacking(Box::new(entry), Lack::Active)
            }
            (false, true) => Found::Passed(READY),
        }
    }

    /// Makes the vectors that `entries` lack and writes them; what became of each.
    async fn fill_entries(
        &self,
        counter: &Counter,
        entries: Vec<Entry>,
        lack: Lack,
        packed: u64,
    ) -> Result<Vec<Became>, Error> {
        let vectors = self.vectors_for(counter, &entries, lack).await?;
        // New ids are given out one after the other.
        let takes_ids = lack == Lack::Active || entries.iter().any(|entry| entry.id.get() < packed);
        let at_once = if takes_ids { 1 } else { WRITES_AT_ONCE };
        let written = entries.into_iter().zip(vectors).map(async |(entry, vector)| {
            let one = match vector {
                // It stays the other embedder's, where it is that one's already.
                None if lack == Lack::Active => Some(READY),
                None => Some(Passed { refused: 1, ..Passed::default() }),
                Some(vector) => self.add_vector(counter, &entry, vector, lack, packed).await?,
            };
            Ok::<_, Error>((entry.id, one))
        });
        // Boxed by the collection: the futures of the writes are large.
        stream::iter(written.collect::<Vec<_>>()).buffer_unordered(at_once).try_collect().await
    }

    /// The vectors that `entries`, which have queries, lack, in their order; `None` for a text that the embedder refuses.
    pub(super) async fn vectors_for(
        &self,
        counter: &Counter,
        entries: &[Entry],
        lack: Lack,
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let serving = match lack {
            Lack::Active => Some(counter.active()),
            Lack::Other => counter.inactive(),
        };
        let Some(serving) = serving.filter(|_| !entries.is_empty()) else { return Ok(Vec::new()) };
        let slot = self.embedder_of(&serving).ok_or_else(|| {
            let fingerprint = serving.fingerprint.as_deref().unwrap_or_default();
            Error::new(
                ErrorKind::EmbedderMismatchError,
                format!("{} entries lack a vector of {fingerprint:?}, which is not configured here", entries.len()),
                "set MNEME_EMBEDDER or MNEME_EMBEDDER_NEXT to that embedder",
            )
        })?;
        let texts: Vec<&str> = entries.iter().map(|entry| entry.query.as_deref().unwrap_or_default()).collect();
        let mut vectors = Vec::with_capacity(texts.len());
        for (text, vector) in texts.iter().zip(self.embed(slot, &texts).await) {
            // What was refused among others is asked for alone before it counts as a text that cannot be embedded.
            let vector = match vector {
                Err(error) if error.kind == ErrorKind::InvalidRequest => self.embed_alone(slot, text).await?,
                vector => Some(vector?),
            };
            if let Some(Err(error)) = vector.as_ref().map(|vector| serving.check_dim(vector.dim())) {
                self.forget_embedded(text);
                return Err(error);
            }
            vectors.push(vector.map(|vector| vector.to_bytes()));
        }
        Ok(vectors)
    }

    /// The vector of a text; `None` where the embedder refuses this text, but not every text.
    async fn embed_alone(&self, slot: Slot, text: &str) -> Result<Option<Embedding>, Error> {
        match self.embed_one(slot, text).await {
            Err(error) if error.kind == ErrorKind::InvalidRequest => {
                self.forget_embedded(PROBE);
                match self.embed_one(slot, PROBE).await {
                    Ok(_) => Ok(None),
                    Err(refused) => Err(Error::new(
                        ErrorKind::EmbedderError,
                        format!("the embedder refuses every text: {}", refused.detail),
                        refused.remediation,
                    )),
                }
            }
            embedded => embedded.map(Some),
        }
    }

    async fn embed_one(&self, slot: Slot, text: &str) -> Result<Embedding, Error> {
        let embedded = self.embed(slot, &[text]).await.pop();
        embedded.unwrap_or_else(|| Err(Error::internal("a text was not embedded")))
    }

    /// The length of the vectors of a configured embedder, which has to answer for that. Errors: as [`Cache::embed`].
    pub async fn embedder_dim(&self, slot: Slot) -> Result<u32, Error> {
        let vector = self.embed_one(slot, PROBE).await?;
        u32::try_from(vector.dim()).map_err(Error::internal)
    }

    /// Writes the vector that `entry` lacks; `None`: it was written to meanwhile.
    async fn add_vector(
        &self,
        counter: &Counter,
        entry: &Entry,
        vector: Vec<u8>,
        lack: Lack,
        packed: u64,
    ) -> Result<Option<Passed>, Error> {
        let lacked = match lack {
            Lack::Active => Vectors { active: Some(vector), other: None },
            Lack::Other => Vectors { active: None, other: Some(vector) },
        };
        let all = lacked.clone().or(Vectors::of_row(entry, counter));
        let wanted = self.laid_out(all, entry.vectors.own, counter)?;
        let whole = Entry { vectors: wanted, ..entry.clone() };
        if whole.to_item().is_err() {
            return Ok(Some(match lack {
                Lack::Active => READY,
                Lack::Other => Passed { too_large: 1, ..Passed::default() },
            }));
        }
        if lack == Lack::Active || entry.id.get() < packed {
            // It comes by again, at its new id.
            return Ok(self.relocate(entry, &lacked, counter).await?.then(Passed::default));
        }
        Ok(self.table.set_vectors(entry, &whole.vectors).await?.then_some(READY))
    }
}

fn nothing_to_add() -> Error {
    Error::invalid(
        "no move to another embedder is under way, or it is being ended",
        "`start` one, or go on with `finish` or `abort`",
    )
}

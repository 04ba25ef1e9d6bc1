//! Storing entries with all that belongs to a put: their vectors, the caps, and the segments of full ranges.

use std::collections::BTreeMap;

use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_store::counter::QuotaHint;
use mneme_store::segments::RANGE_IDS;
use tokio::time::{Instant, timeout_at};

use super::new_entry::{NewEntry, StoredEntry};
use super::store::put_all;
use crate::cache::Cache;
use crate::embedders::entry_vectors::MadeVectors;
use crate::maintain::eviction::enforce_caps;
use crate::runtime::invocation::Invocation;
use crate::runtime::metrics::Metric;
use crate::segments::write::write_range;

/// An entry that passed all checks and may still need its vector.
#[derive(Debug)]
pub struct UnembeddedEntry {
    /// The entry. It has the vectors that its caller sent.
    pub entry: NewEntry,
    /// The text to embed. `None`: the request has a vector, or no embedder is configured.
    pub text: Option<String>,
}

/// Embeds what needs a vector, stores `entries`, enforces the quotas of their namespaces or the cap of the table, and
/// writes the segment of each range that they filled. Returns a result for each, in their order.
///
/// Reads and writes: as [`put_all`], the stored counts, and segments. Errors: an entry's own, as it came here; those of
/// the embedder; those of [`put_all`].
pub async fn embed_and_store(
    cache: &Cache,
    invocation: &Invocation,
    mut entries: Vec<Result<UnembeddedEntry, Error>>,
) -> Vec<Result<StoredEntry, Error>> {
    embed(cache, invocation, &mut entries).await;
    store_accepted(cache, invocation, entries).await
}

/// Embeds the texts of all entries that need a vector, in one call.
///
/// An entry that cannot be embedded gets its own error.
///
/// If the second embedder of a move fails, the entry is stored without that vector. The move adds it later.
async fn embed(cache: &Cache, invocation: &Invocation, entries: &mut [Result<UnembeddedEntry, Error>]) {
    let mut waiting = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        waiting.extend(entry.as_ref().ok().and_then(|checked| checked.text.clone()).map(|text| (at, text)));
    }
    if waiting.is_empty() {
        return;
    }
    let texts: Vec<&str> = waiting.iter().map(|(_, text)| text.as_str()).collect();
    let made = match embed_texts(cache, &texts).await {
        Ok(made) => made,
        Err(error) => return waiting.iter().for_each(|(at, _)| entries[*at] = Err(error.for_caller())),
    };
    for ((at, _), made) in waiting.iter().zip(made) {
        match (made, &mut entries[*at]) {
            (Err(error), entry) => *entry = Err(error),
            (Ok(MadeVectors { vectors, second_error }), Ok(checked)) => {
                checked.entry.vectors.extend(vectors);
                if let Some(error) = second_error {
                    invocation.record_failure("embedding by the second embedder of the move", &error);
                }
            }
            (Ok(_), Err(_)) => {}
        }
    }
}

/// Reads: the counter, if a second embedder is configured.
async fn embed_texts(cache: &Cache, texts: &[&str]) -> Result<Vec<Result<MadeVectors, Error>>, Error> {
    let embedders = cache.embedders();
    let counter = if embedders.need_counter() { Some(cache.counter().await?) } else { None };
    embedders.embed_entries(counter.as_ref(), texts).await
}

/// Stores the entries that passed the checks. The result of any other entry is its error.
async fn store_accepted(
    cache: &Cache,
    invocation: &Invocation,
    entries: Vec<Result<UnembeddedEntry, Error>>,
) -> Vec<Result<StoredEntry, Error>> {
    let mut accepted = Vec::new();
    let mut checked: Vec<Result<Option<String>, Error>> = Vec::new();
    for entry in entries {
        checked.push(entry.map(|UnembeddedEntry { entry, text }| {
            accepted.push(entry);
            text
        }));
    }
    let mut stored = store(cache, invocation, &accepted).await.into_iter();
    let result = |checked: Result<Option<String>, Error>| {
        let embedded = match checked {
            Ok(embedded) => embedded,
            Err(error) => return Some(Err(error)),
        };
        let stored = stored.next();
        let has_wrong_dimension = |stored: &Result<StoredEntry, Error>| {
            stored.as_ref().is_err_and(|error| error.kind == ErrorKind::EmbedderDimensionError)
        };
        if let Some(text) = embedded.filter(|_| stored.as_ref().is_some_and(has_wrong_dimension)) {
            cache.embedders().forget(&text);
        }
        stored
    };
    checked.into_iter().filter_map(result).collect()
}

/// The ranges whose last id was given to one of the entries.
fn filled_ranges(results: &[Result<StoredEntry, Error>]) -> impl Iterator<Item = u64> {
    let ids = results.iter().flatten().filter(|stored| stored.is_stored()).map(|stored| stored.id.get());
    ids.filter(|id| id.is_multiple_of(RANGE_IDS)).map(|id| id / RANGE_IDS - 1)
}

/// Stores `entries`. Then enforces the quotas of their namespaces or the cap of the table, and writes the segment of each
/// range that they filled.
async fn store(cache: &Cache, invocation: &Invocation, entries: &[NewEntry]) -> Vec<Result<StoredEntry, Error>> {
    let results = put_all(cache, entries).await;
    let mut stored_in: BTreeMap<&Namespace, (QuotaHint, usize)> = BTreeMap::new();
    for (entry, stored) in
        entries.iter().zip(&results).filter_map(|(entry, result)| Some((entry, result.as_ref().ok()?)))
    {
        if stored.is_stored() {
            invocation.record(Metric::EntriesStored, 1.0);
            let (quota, count) = stored_in.entry(&entry.namespace).or_default();
            *quota = stored.quota;
            *count += 1;
        }
    }
    for (namespace, (quota, count)) in stored_in {
        // The entries are stored already, and the reply must name them. The next put or `vacuum` enforces the cap.
        if Instant::now() >= cache.reply_by() {
            break;
        }
        if let Ok(Err(error)) = timeout_at(cache.reply_by(), enforce_caps(cache, namespace, quota, count)).await {
            invocation.record_failure("enforcing the cap", &error);
        }
    }
    // If this fails, `vacuum` writes the segment.
    for range in filled_ranges(&results).take_while(|_| Instant::now() < cache.reply_by()) {
        if let Ok(Err(error)) = timeout_at(cache.reply_by(), write_range(cache, range)).await {
            invocation.record_failure("writing a segment", &error);
        }
    }
    results
}

//! Storing entries with all that belongs to a put: their vectors, the caps, and the segments of full ranges.

use std::collections::{BTreeMap, HashSet};

use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_store::segments::RANGE_IDS;
use tokio::time::{Instant, timeout_at};

use super::new_entry::{NewEntry, StoredEntry};
use super::store::put_all;
use crate::cache::Cache;
use crate::embedders::entry_vectors::MadeVectors;
use crate::embedders::new_vector::NewVector;
use crate::embedders::scale::learn_scales;
use crate::maintain::eviction::enforce_caps;
use crate::replica::similarity;
use crate::runtime::invocation::Invocation;
use crate::runtime::metrics::Metric;
use crate::segments::write::write_range;

/// An entry that passed all checks and may still need its vector.
#[derive(Debug)]
pub struct UnembeddedEntry {
    /// The entry. It has the vectors that its caller sent.
    pub entry: NewEntry,
    /// The text to embed. If the caller sent a vector, it is checked against the embedder's. `None`: no vector is needed,
    /// or no embedder is configured.
    pub text: Option<String>,
}

/// An entry that was stored, and whether the semantic layer can find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedEntry {
    /// The stored entry.
    pub stored: StoredEntry,
    /// False if the active embedder cannot read the query, so that the entry has no vector.
    pub is_embeddable: bool,
}

/// Embeds what needs a vector, stores `entries`, enforces the quotas of their namespaces or the cap of the table, and
/// writes the segment of each range that they filled. Returns a result for each, in their order.
///
/// Before an instance stores its first entry that it embedded, it learns the embedder's scale, if the table has none.
/// Reads and writes: as [`learn_scales`] and [`put_all`], the stored counts, and segments. Errors: an entry's own, as it came here; those of
/// the embedder; those of [`put_all`].
pub async fn embed_and_store(
    cache: &Cache,
    invocation: &Invocation,
    mut entries: Vec<Result<UnembeddedEntry, Error>>,
) -> Vec<Result<EmbeddedEntry, Error>> {
    let unreadable = embed(cache, invocation, &mut entries).await;
    let stored = store_accepted(cache, invocation, entries).await.into_iter().enumerate();
    let embedded = |at, stored| EmbeddedEntry { stored, is_embeddable: !unreadable.contains(&at) };
    stored.map(|(at, result)| result.map(|stored| embedded(at, stored))).collect()
}

/// The lowest similarity of a caller's vector and the embedder's for the same text. Another release of a service, or
/// other rounding, makes smaller differences.
const MIN_OWN_SIMILARITY: f32 = 0.98;

/// Embeds the texts of all entries that need a vector, in one call. Returns the places of the entries whose text the
/// embedder cannot read. They have no vector and no error: the exact layer finds them.
///
/// An entry that cannot be embedded gets its own error.
///
/// If the second embedder of a move fails, the entry is stored without that vector. The move adds it later.
async fn embed(
    cache: &Cache,
    invocation: &Invocation,
    entries: &mut [Result<UnembeddedEntry, Error>],
) -> HashSet<usize> {
    let mut unreadable = HashSet::new();
    let mut waiting = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        waiting.extend(entry.as_ref().ok().and_then(|checked| checked.text.clone()).map(|text| (at, text)));
    }
    if waiting.is_empty() {
        return unreadable;
    }
    let texts: Vec<&str> = waiting.iter().map(|(_, text)| text.as_str()).collect();
    let made = match embed_texts(cache, &texts).await {
        Ok(made) => made,
        Err(error) => {
            waiting.iter().for_each(|(at, _)| entries[*at] = Err(error.for_caller()));
            return unreadable;
        }
    };
    // An embedder that has just failed is not asked for more.
    if made.iter().any(Result::is_ok)
        && let Err(error) = learn_scales(cache).await
    {
        // Until a later put has learned the scale, similarities are compared as they are.
        invocation.record_failure("learning the embedder's scale", &error);
    }
    for ((at, _), made) in waiting.iter().zip(made) {
        match (made, &mut entries[*at]) {
            (Err(error), entry) => *entry = Err(error),
            (Ok(MadeVectors { vectors, is_embeddable, second_error }), entry) => {
                let Ok(checked) = entry else { continue };
                let sent = std::mem::replace(&mut checked.entry.vectors, vectors);
                if !is_embeddable {
                    unreadable.insert(*at);
                } else if let Err(error) = check_sent(&sent, &checked.entry.vectors) {
                    *entry = Err(error);
                }
                if let Some(error) = second_error {
                    invocation.record_failure("embedding by the second embedder of the move", &error);
                }
            }
        }
    }
    unreadable
}

/// Checks that the vector that a caller sent, if there is one, is the served embedder's for the same text, which is the
/// first of `made`.
///
/// Errors: `InvalidRequest`, `EmbedderDimensionError`.
fn check_sent(sent: &[NewVector], made: &[NewVector]) -> Result<(), Error> {
    let (Some(sent), Some(made)) = (sent.first(), made.first()) else { return Ok(()) };
    let (sent, made) = (&sent.embedding, &made.embedding);
    if sent.dim() != made.dim() {
        return Err(Error::new(
            ErrorKind::EmbedderDimensionError,
            format!("the embedding has {} numbers, and the embedder's have {}", sent.dim(), made.dim()),
            "leave the field out, or embed the text with the cache's model",
        ));
    }
    let similarity = similarity(sent.as_slice(), made.as_slice());
    if similarity >= MIN_OWN_SIMILARITY {
        return Ok(());
    }
    Err(Error::invalid(
        format!("embedding: it is not the embedder's vector of the text; their cosine is {similarity:.2}"),
        "leave the field out, embed the text itself with the cache's model, or set MNEME_CALLER_VECTORS=trust",
    ))
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
    let mut stored_in: BTreeMap<&Namespace, (Option<u64>, usize)> = BTreeMap::new();
    for (entry, stored) in
        entries.iter().zip(&results).filter_map(|(entry, result)| Some((entry, result.as_ref().ok()?)))
    {
        if stored.is_stored() {
            invocation.record(Metric::EntriesStored, 1.0);
            let (quota, count) = stored_in.entry(&entry.namespace).or_default();
            *quota = stored.max_entries;
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

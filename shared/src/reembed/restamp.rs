//! Giving a cache without vectors another embedder.

use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::attribute as name;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use tokio::time::Instant;

use super::change::{Change, change_embedders};
use crate::cache::Cache;

/// Stamps the table with the configured embedder in place of the one that it is stamped with. Without a configured
/// embedder, the stamps are removed. The table must exist.
///
/// Reads: item 0, and pages of the table up to the first entry with an embedding. Writes: a transaction on item 0, one
/// mutation. Errors: `EmbedderMismatchError` if an entry has an embedding, or while the cache moves to another embedder;
/// `StoreBackendError`, also if an entry was stored meanwhile or if the time runs out.
pub async fn restamp(cache: &Cache) -> Result<(), Error> {
    let counter = cache.counter_of_any_embedder().await?;
    let embedder = &cache.config.embedder;
    if counter.second.is_some() {
        return Err(Error::new(
            ErrorKind::EmbedderMismatchError,
            "the cache is being moved to another embedder",
            "`finish` or `abort` the move with `reembed`, then restamp",
        ));
    }
    if (&counter.fingerprint, counter.dim) == (&embedder.fingerprint, embedder.dim) {
        return Ok(());
    }
    if let Some(id) = first_embedded(cache).await? {
        return Err(Error::new(
            ErrorKind::EmbedderMismatchError,
            format!("entry {id} has an embedding, so the cache keeps its embedder"),
            "move the cache with `reembed`, or `clear` it and restamp it then",
        ));
    }
    let change = Change::Restamp { fingerprint: embedder.fingerprint.clone(), dim: embedder.dim };
    if change_embedders(cache, &counter, &change).await? {
        return Ok(());
    }
    Err(Error::backend("an entry was stored while the table was examined", "try again").retry_after(1))
}

/// The id of an entry with an embedding, if there is one.
async fn first_embedded(cache: &Cache) -> Result<Option<EntryId>, Error> {
    let has_bytes =
        |item: &Item, name| item.get(name).is_some_and(|value| value.as_b().is_ok_and(|b| !b.as_ref().is_empty()));
    let mut after = None;
    loop {
        let page = cache.table.scan_page((0, 1), after, Projection::Replica).await?;
        let embedded = page.items.iter().find_map(|item| {
            let id = item.get(name::ID).and_then(RowKey::from_attribute)?.entry()?;
            (has_bytes(item, name::EMBEDDING) || has_bytes(item, name::NEXT_EMBEDDING)).then_some(id)
        });
        match (embedded, page.next) {
            (Some(id), _) => return Ok(Some(id)),
            (None, None) => return Ok(None),
            (None, next) => after = next,
        }
        if Instant::now() >= cache.reply_by() {
            return Err(Error::backend(
                "the time ran out before every entry was examined",
                "raise the timeout of `provision`, or `clear` namespaces that are no longer needed",
            ));
        }
    }
}

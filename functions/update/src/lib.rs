//! `update`: changes parts of an entry and leaves the others as they are.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::live_row;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::update::{EntryChange, update};
use mneme_model::confidence::is_servable;
use mneme_model::entry::{Entry, no_such_entry};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::limits::{MAX_TTL_SECS, check_bytes};
use mneme_model::tag::Tags;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A request to change an entry. At least one field besides `id` is needed. A field that is left out changes nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The entry's id, from 1.
    pub id: EntryId,
    /// The new answer.
    pub response: Option<String>,
    /// The new metadata, in place of all of the old.
    pub metadata: Option<Map<String, Value>>,
    /// The new tags, in place of all of the old.
    pub tags: Option<Tags>,
    /// The new trust in the answer, from 0 to 1.
    pub confidence_score: Option<f64>,
    /// The seconds from now on that the entry still lives.
    pub ttl_seconds: Option<u64>,
    /// Whether the entry lives for ever. Not with `ttl_seconds`.
    #[serde(default)]
    pub never_expires: bool,
}

/// Changes parts of an entry.
///
/// The entry keeps its id, its question, its vector and the time of its put, so its age goes on.
#[derive(Debug)]
pub struct Update;

impl Operation for Update {
    const SPEC: &'static OperationSpec = &operations::UPDATE;
    type Request = Request;
    type Response = Entry;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Entry>, Error> {
        let id = request.id;
        let change = checked(cache, request)?;
        cache.open().await?;
        let row = live_row(cache, id).await?.ok_or_else(no_such_entry)?;
        invocation.authorize(&row.namespace)?;
        let changed = update(cache, row, &change).await?.ok_or_else(no_such_entry)?;
        Ok(Reply::ok(changed))
    }
}

/// The change that `request` asks for. Errors: `InvalidRequest`, `EntryTooLarge`.
fn checked(cache: &Cache, request: Request) -> Result<EntryChange, Error> {
    let Request { id: _, response, metadata, tags, confidence_score, ttl_seconds, never_expires } = request;
    let config = &cache.config;
    if let Some(response) = &response {
        if let Some(limit) = config.max_response_bytes {
            check_bytes("response", response.len(), limit, "MNEME_MAX_RESPONSE_BYTES")?;
        }
        if !is_servable(response) {
            return Err(Error::invalid(
                "response: it is blank or a failure, which no lookup would serve",
                "send the right answer, or delete the entry",
            ));
        }
    }
    if let Some(metadata) = &metadata {
        let bytes = serde_json::to_string(metadata).map_err(Error::internal)?.len();
        check_bytes("metadata", bytes, config.max_metadata_bytes, "MNEME_MAX_METADATA_BYTES")?;
    }
    if let Some(score) = confidence_score.filter(|score| !(0.0..=1.0).contains(score)) {
        return Err(Error::invalid(
            format!("confidence_score: {score} is not between 0 and 1"),
            "send a number from 0 to 1, or leave the field out",
        ));
    }
    if let Some(secs) = ttl_seconds.filter(|secs| !(1..=MAX_TTL_SECS).contains(secs)) {
        return Err(Error::invalid(
            format!("ttl_seconds: {secs} is not between 1 and {MAX_TTL_SECS}"),
            "send a whole number of seconds, at most a hundred years, or leave the field out",
        ));
    }
    if never_expires && ttl_seconds.is_some() {
        return Err(Error::invalid("never_expires: it contradicts `ttl_seconds`", "send one of the two"));
    }
    let expires_at = match ttl_seconds {
        Some(secs) => Some(Some(cache.now_secs().saturating_add_unsigned(secs))),
        None => never_expires.then_some(None),
    };
    let change = EntryChange { response, metadata, tags, confidence_score, expires_at };
    if change == EntryChange::default() {
        return Err(Error::invalid(
            "the request changes nothing",
            "send `response`, `metadata`, `tags`, `confidence_score`, `ttl_seconds` or `never_expires`",
        ));
    }
    Ok(change)
}

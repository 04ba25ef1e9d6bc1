//! `list`: lists entries page by page, by id or least recently used first.

mod filter;

use std::collections::BTreeSet;

use mneme_api::event::{self, Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::page::{Order, Page, Position, page, page_of_tag};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::normalize;
use mneme_model::tag::Tag;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use filter::{Filter, take_metadata};

/// The number of entries in a page of a request without `limit`.
const DEFAULT_LIMIT: usize = 100;
/// The largest number of entries in a page.
const MAX_LIMIT: usize = 1000;

/// The fields of an entry in a listing. All of them but the embedding are listed if the request names none.
const FIELDS: [&str; 15] = [
    "id",
    "namespace",
    "query_hash",
    "query",
    "response",
    "embedding",
    "metadata",
    "tags",
    "usage",
    "confidence_score",
    "created_at",
    "last_accessed_at",
    "expires_at",
    "access_count",
    "stored_by",
];

/// A request to list entries. Fields `metadata.<key>` are taken out before: an entry is listed if its metadata has the
/// value under the key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The namespace to list. Default: every namespace that the caller may use.
    pub namespace: Option<Namespace>,
    /// Lists only ids above this one. It is allowed only with the order `id` and without `cursor`.
    pub after_id: Option<u64>,
    /// The order of the entries. Default: by id.
    #[serde(default)]
    pub order: Order,
    /// The largest number of entries in the page, from 1 to 1,000. Default: 100.
    pub limit: Option<usize>,
    /// The `cursor` of the page before. Default: start at the beginning.
    pub cursor: Option<String>,
    /// Lists only entries whose stored question has this part, in upper or lower case.
    pub text: Option<String>,
    /// Lists only entries with this tag.
    pub tag: Option<Tag>,
    /// Lists only entries that were put at this epoch second or later.
    pub created_since: Option<i64>,
    /// Lists only entries that were put before this epoch second.
    pub created_before: Option<i64>,
    /// Lists only entries whose last recorded access was at this epoch second or later.
    pub used_since: Option<i64>,
    /// Lists only entries whose last recorded access was before this epoch second.
    pub used_before: Option<i64>,
    /// The fields of each entry, separated by commas; `id` is always among them. Default: all but `embedding`.
    pub fields: Option<String>,
}

/// A page of entries.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Live entries, with the fields that were asked for. A page may hold fewer than `limit`, even none, before the last
    /// page.
    pub entries: Vec<Map<String, Value>>,
    /// The cursor of the next page. Null: this is the last page.
    pub cursor: Option<String>,
}

/// Lists entries.
#[derive(Debug)]
pub struct List;

impl Operation for List {
    const SPEC: &'static OperationSpec = &operations::LIST;
    type Request = RequestFields;
    type Response = Response;

    /// `fields`: those of a [`Request`].
    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        mut fields: RequestFields,
    ) -> Result<Reply<Response>, Error> {
        let metadata = take_metadata(&mut fields)?;
        let request: Request = event::parse(fields)?;
        let fields = listed_fields(request.fields.as_deref())?;
        let filter = Filter {
            text: request.text.map(|text| normalize(&text, true)),
            metadata,
            tag: request.tag,
            created_since: request.created_since,
            created_before: request.created_before,
            used_since: request.used_since,
            used_before: request.used_before,
        };
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::invalid(
                format!("limit: {limit} is not between 1 and {MAX_LIMIT}"),
                "send a limit in that range, or none, and follow the cursor",
            ));
        }
        if request.after_id.is_some() && (request.order == Order::Lru || request.cursor.is_some()) {
            return Err(Error::invalid(
                "`after_id` goes with the order `id`, and not with a `cursor`",
                "drop one of the two",
            ));
        }
        let namespace = request.namespace.as_ref();
        let after = match request.cursor {
            Some(cursor) => position(&cursor, request.order, namespace)?,
            None => Position::start(request.order, request.after_id.and_then(EntryId::new)),
        };
        let scope = invocation.visible_namespaces(namespace)?;
        cache.open().await?;
        let is_wanted = |entry: &Entry| filter.accepts(entry);
        let Page { entries, next } = match (namespace, &filter.tag, after) {
            (Some(namespace), Some(tag), Position::Id(after)) => {
                page_of_tag(cache, namespace, tag, after, limit, &is_wanted).await?
            }
            _ => page(cache, &scope, after, limit, &is_wanted).await?,
        };
        let entries = entries.iter().map(|entry| with_fields(entry, &fields)).collect::<Result<_, _>>()?;
        Ok(Reply::ok(Response { entries, cursor: next.map(|next| cursor(next, namespace)) }))
    }
}

/// The fields that a request asks for. Errors: `InvalidRequest` for a name that is no field of an entry.
fn listed_fields(asked: Option<&str>) -> Result<BTreeSet<&'static str>, Error> {
    let Some(asked) = asked else { return Ok(FIELDS.into_iter().filter(|name| *name != "embedding").collect()) };
    let mut fields = BTreeSet::from(["id"]);
    for name in asked.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = FIELDS.into_iter().find(|known| *known == name).ok_or_else(|| {
            Error::invalid(
                format!("fields: an entry has no field {name:?}"),
                format!("send some of {}", FIELDS.join(",")),
            )
        })?;
        fields.insert(known);
    }
    Ok(fields)
}

/// The JSON object of `entry` with only these fields.
fn with_fields(entry: &Entry, fields: &BTreeSet<&'static str>) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(entry).map_err(Error::internal)? {
        Value::Object(all) => Ok(all.into_iter().filter(|(name, _)| fields.contains(name.as_str())).collect()),
        _ => Err(Error::internal("an entry is a JSON object")),
    }
}

/// Separates a position from the tag of its namespace in a cursor. It needs no percent-encoding in a query.
const TAG_SEPARATOR: char = '~';

/// The cursor of a page that ends at `position`.
///
/// A position in order of use belongs to the listing of one namespace, so the cursor gets a tag of that namespace. A
/// position in order of ids is valid for every namespace.
fn cursor(position: Position, namespace: Option<&Namespace>) -> String {
    let text = position.to_cursor();
    match (position, namespace) {
        (Position::Lru(_), Some(namespace)) => format!("{text}{TAG_SEPARATOR}{}", tag(namespace)),
        _ => text,
    }
}

/// The position in `cursor`. Errors: `InvalidRequest` for a cursor of another listing.
fn position(cursor: &str, order: Order, namespace: Option<&Namespace>) -> Result<Position, Error> {
    let (text, sent_tag) = match cursor.split_once(TAG_SEPARATOR) {
        Some((text, tag)) => (text, Some(tag)),
        None => (cursor, None),
    };
    let position = Position::from_cursor(text, order)?;
    let own_tag = namespace.filter(|_| order == Order::Lru).map(tag);
    if sent_tag != own_tag.as_deref() {
        return Err(Error::invalid(
            "cursor: it belongs to the listing of another namespace",
            "send the last page's `cursor` with the same `namespace` and `order`",
        ));
    }
    Ok(position)
}

/// 64 bits of the name's hash, in hexadecimal digits.
fn tag(namespace: &Namespace) -> String {
    let [a, b, c, d, e, f, g, h, ..] = namespace.hash();
    format!("{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

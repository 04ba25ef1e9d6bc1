//! `list`: lists entries page by page, by id or least recently used first.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::page::{Order, Page, Position, page};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// The number of entries in a page of a request without `limit`.
const DEFAULT_LIMIT: usize = 100;
/// The largest number of entries in a page.
const MAX_LIMIT: usize = 1000;

/// A request to list entries.
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
}

/// A page of entries.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Live entries. A page may hold fewer than `limit`, even none, before the last page.
    pub entries: Vec<Entry>,
    /// The cursor of the next page. Null: this is the last page.
    pub cursor: Option<String>,
}

/// Lists entries.
#[derive(Debug)]
pub struct List;

impl Operation for List {
    const SPEC: &'static OperationSpec = &operations::LIST;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
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
        let Page { entries, next } = page(cache, &scope, after, limit).await?;
        Ok(Reply::ok(Response { entries, cursor: next.map(|next| cursor(next, namespace)) }))
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

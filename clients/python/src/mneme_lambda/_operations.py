"""Every operation on entries, namespaces and values, written once for both clients.

The first parameter becomes the client. What all of them raise: `MnemeError`, with the name, the fact and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypedDict

from ._core import Core, Steps, exchange
from ._reading import read, read_list, read_nested
from ._request import Guard, Query, Request, Ttl, Vector, present, question, vector, whole_seconds
from .errors import InvalidRequest, NotFound
from .results import Entry, Hit, Miss, NamespaceCount, Page, Stored, Usage, read_entry, read_outcome

# An operation that reads much of the table may take as long as API Gateway waits, which is 30 s.
SLOW_SECS = 35.0


class Filters(TypedDict, total=False):
    """Which entries `page` and `entries` read. Times are seconds since 1970."""

    text: str | None
    """A part of the stored question, in upper or lower case."""
    tag: str | None
    metadata: Mapping[str, str] | None
    """Values that the metadata has under these keys."""
    created_since: int | None
    created_before: int | None
    used_since: int | None
    used_before: int | None


def lookup_fields(
    query: Query,
    *,
    namespace: str | None = None,
    context: Mapping[str, Any] | None = None,
    embedding: Vector | None = None,
    threshold: float | None = None,
    guard: Guard | None = None,
    bypass: bool | None = None,
    lease: Ttl | None = None,
    tags: Sequence[str] | None = None,
    explain: bool = False,
) -> dict[str, Any]:
    """The fields of a lookup."""
    seconds = whole_seconds("lease", lease)
    return question(query, context) | present(
        namespace=namespace,
        embedding=vector(embedding),
        threshold=threshold,
        guard=guard,
        bypass=bypass or None,
        lease=None if seconds is None else {"seconds": seconds},
        tags=_listed("tags", tags),
        explain=explain or None,
    )


def _listed(name: str, texts: Sequence[str] | None) -> list[str] | None:
    """A list of texts. Raises `InvalidRequest` for one text, which Python takes for a list of its characters."""
    if isinstance(texts, str):
        raise InvalidRequest(f"{name}: {texts!r} is one text", f"pass a list: [{texts!r}]")
    return None if texts is None else list(texts)


def _tokens(usage: Usage | Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if usage is None else present(**(asdict(usage) if isinstance(usage, Usage) else usage))


def entry_fields(
    query: Query,
    response: str,
    *,
    namespace: str | None = None,
    context: Mapping[str, Any] | None = None,
    embedding: Vector | None = None,
    metadata: Mapping[str, Any] | None = None,
    ttl: Ttl | None = None,
    confidence_score: float | None = None,
    idempotency_key: str | None = None,
    finish_reason: str | None = None,
    if_absent: bool = False,
    lease_token: str | None = None,
    tags: Sequence[str] | None = None,
    usage: Usage | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields of a put."""
    return question(query, context) | present(
        response=response,
        namespace=namespace,
        embedding=vector(embedding),
        metadata=metadata,
        ttl_seconds=whole_seconds("ttl", ttl),
        confidence_score=confidence_score,
        idempotency_key=idempotency_key,
        finish_reason=finish_reason,
        if_absent=if_absent or None,
        lease_token=lease_token,
        tags=_listed("tags", tags),
        usage=_tokens(usage),
    )


def lookup(
    core: Core,
    query: Query,
    *,
    namespace: str | None = None,
    context: Mapping[str, Any] | None = None,
    embedding: Vector | None = None,
    threshold: float | None = None,
    guard: Guard | None = None,
    bypass: bool = False,
    lease: Ttl | None = None,
    tags: Sequence[str] | None = None,
    explain: bool = False,
) -> Steps[Hit | Miss]:
    """Finds the answer to a question, or says why there is none.

    `query`: a text, or the messages of a conversation. `context`: everything else that decides the answer, such as the
    model; it is matched exactly. `embedding`: without it the cache's embedder makes one, if it has one.
    `threshold`: the least similarity of a semantic hit; it can only raise the configured one. `bypass`: makes the
    lookup a miss. `lease`: asks for the lease after a miss, for so many seconds; `Miss.lease` says who makes the
    answer. `tags`: the tags that an entry must have to answer. `explain`: whether the outcome has an `explanation`,
    which takes reads of its own.
    """
    fields = lookup_fields(
        query,
        namespace=namespace or core.namespace,
        context=context,
        embedding=embedding,
        threshold=threshold,
        guard=guard,
        bypass=bypass,
        lease=lease,
        tags=tags,
        explain=explain,
    )
    reply = yield from exchange(core, Request("lookup", "POST", "/v1/lookup", body=fields))
    return read_outcome(reply)


def get(
    core: Core,
    query: Query,
    *,
    embedding: Vector | None = None,
    namespace: str | None = None,
    bypass: bool = False,
    context: Mapping[str, Any] | None = None,
    threshold: float | None = None,
    guard: Guard | None = None,
    tags: Sequence[str] | None = None,
) -> Steps[Hit | None]:
    """The hit, or None, as `mneme-cache` returns it. `lookup` also says why there is none."""
    outcome = yield from lookup(
        core,
        query,
        namespace=namespace,
        context=context,
        embedding=embedding,
        threshold=threshold,
        guard=guard,
        bypass=bypass,
        tags=tags,
    )
    return outcome if isinstance(outcome, Hit) else None


def put(
    core: Core,
    query: Query,
    response: str,
    *,
    embedding: Vector | None = None,
    namespace: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    ttl: Ttl | None = None,
    context: Mapping[str, Any] | None = None,
    confidence_score: float | None = None,
    idempotency_key: str | None = None,
    finish_reason: str | None = None,
    if_absent: bool = False,
    lease_token: str | None = None,
    tags: Sequence[str] | None = None,
    usage: Usage | Mapping[str, Any] | None = None,
) -> Steps[Stored]:
    """Stores an answer. An entry for the same question is replaced.

    `ttl`: without it the configured default applies, or the entry does not expire. `metadata`: what comes back with a
    hit. `confidence_score`: from 0 to 1, a factor of the confidence. `idempotency_key`: the same key within 24 hours
    returns the first result and stores nothing. `finish_reason`: why the model stopped; an unfinished answer is not
    stored. `if_absent`: keeps the entry that exists. `lease_token`: the lease under which the answer was made; it ends.
    `tags`: up to 16, by which the entry is found and deleted, such as its source. `usage`: what the answer cost;
    `stats_by` sums up what hits save.
    """
    fields = entry_fields(
        query,
        response,
        namespace=namespace or core.namespace,
        context=context,
        embedding=embedding,
        metadata=metadata,
        ttl=ttl,
        confidence_score=confidence_score,
        idempotency_key=idempotency_key,
        finish_reason=finish_reason,
        if_absent=if_absent,
        lease_token=lease_token,
        tags=tags,
        usage=usage,
    )
    reply = yield from exchange(core, Request("put", "POST", "/v1/entries", body=fields))
    return read(Stored, reply)


def release(
    core: Core, query: Query, token: str, *, namespace: str | None = None, context: Mapping[str, Any] | None = None
) -> Steps[bool]:
    """Releases the lease that a lookup granted, so that others need not wait for its end. Returns whether it held."""
    fields = question(query, context) | {"namespace": namespace or core.namespace, "lease_token": token}
    request = Request("lookup", "POST", "/v1/lookup/release", body=fields, action="release")
    reply = yield from exchange(core, request)
    return read_nested(lambda: bool(reply["released"]))


def feedback(
    core: Core,
    query: Query,
    id: int,
    right: bool,
    *,
    namespace: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Steps[str]:
    """Says whether the answer of the entry with this id is right for a question. Raises `NotFound`.

    Returns the effect: `barred` (the entry is not served for the question any more), `aliased` (the exact layer finds
    it for the question), or `none` (the question has an entry of its own).
    """
    fields = question(query, context) | {"namespace": namespace or core.namespace, "id": id, "right": right}
    reply = yield from exchange(core, Request("feedback", "POST", "/v1/feedback", body=fields))
    return read_nested(lambda: str(reply["effect"]))


def delete(
    core: Core, query: Query, *, namespace: str | None = None, context: Mapping[str, Any] | None = None
) -> Steps[bool]:
    """Deletes the entry for a question. Returns whether there was one."""
    fields = question(query, context) | {"namespace": namespace or core.namespace}
    return (yield from deleted(core, Request("delete", "POST", "/v1/entries/delete", body=fields, repeatable=False)))


def delete_tagged(core: Core, tag: str, *, namespace: str | None = None) -> Steps[int]:
    """Deletes the entries of a namespace that have this tag. Returns their number.

    Entries that are put meanwhile stay. If a request fails, the cache's scheduled `vacuum` finishes the deletion.
    """
    total, cursor = yield from _delete_some(core, namespace or core.namespace, tag, None)
    while cursor is not None:
        count, cursor = yield from _delete_some(core, namespace or core.namespace, tag, cursor)
        total += count
    return total


def _delete_some(core: Core, namespace: str, tag: str, cursor: str | None) -> Steps[tuple[int, str | None]]:
    """One call of a deletion by tag. Returns the number of deleted entries, and where to continue."""
    fields = present(namespace=namespace, tag=tag, cursor=cursor)
    # Sent twice, a call with a cursor has the same effect as once. Without one, it begins a second deletion.
    repeatable = cursor is not None
    path = "/v1/entries/delete"
    reply = yield from exchange(
        core, Request("delete", "POST", path, body=fields, repeatable=repeatable, seconds=SLOW_SECS)
    )
    return read_nested(lambda: (int(reply["deleted_entries"]), reply["cursor"]))


def delete_entry(core: Core, id: int) -> Steps[bool]:
    """Deletes the entry with this id. Returns whether there was one."""
    return (
        yield from deleted(core, Request("delete", "DELETE", "/v1/entries/{id}", path={"id": id}, repeatable=False))
    )


def deleted(core: Core, request: Request) -> Steps[bool]:
    """Sends a request to delete one thing. Returns whether there was one."""
    try:
        yield from exchange(core, request)
    except NotFound:
        return False
    return True


def update(
    core: Core,
    id: int,
    *,
    response: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    confidence_score: float | None = None,
    ttl: Ttl | None = None,
    never_expires: bool = False,
    tags: Sequence[str] | None = None,
) -> Steps[Entry]:
    """Changes parts of the entry with this id, and returns it. What is None stays. Raises `NotFound`.

    `metadata`, `tags`: in place of all of the old; an empty list removes the tags. `ttl`: how long the entry still
    lives, from now on. `never_expires`: whether it is to live for ever.
    """
    body = present(
        response=response,
        metadata=metadata,
        confidence_score=confidence_score,
        ttl_seconds=whole_seconds("ttl", ttl),
        never_expires=never_expires or None,
        tags=_listed("tags", tags),
    )
    reply = yield from exchange(core, Request("update", "PATCH", "/v1/entries/{id}", path={"id": id}, body=body))
    return read_entry(reply)


def entry(core: Core, id: int) -> Steps[Entry]:
    """The entry with this id. Raises `NotFound`."""
    reply = yield from exchange(core, Request("get", "GET", "/v1/entries/{id}", path={"id": id}))
    return read_entry(reply)


def find(core: Core, query_hash: str, *, namespace: str | None = None) -> Steps[Entry]:
    """The entry with this hash of its question, as `Entry.query_hash` has it. Raises `NotFound`."""
    path = {"namespace": namespace or core.namespace, "query_hash": query_hash}
    reply = yield from exchange(core, Request("find", "GET", "/v1/namespaces/{namespace}/entries/{query_hash}", path))
    return read_entry(reply)


def page(
    core: Core,
    *,
    namespace: str | None = None,
    after_id: int | None = None,
    order: Literal["id", "lru"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    text: str | None = None,
    tag: str | None = None,
    metadata: Mapping[str, str] | None = None,
    created_since: int | None = None,
    created_before: int | None = None,
    used_since: int | None = None,
    used_before: int | None = None,
) -> Steps[Page]:
    """One page of entries, of every namespace that the caller may use unless one is named. `entries` reads all pages.

    `order`: `id`, or `lru` for the least recently used first. `limit`: up to 1,000 entries; 100 without it. `cursor`:
    that of the page before. `text`: only entries whose question has this part. `tag`: only entries that have it.
    `metadata`: only entries whose metadata has these values. The other filters are seconds since 1970 between which
    entries were put or last used.
    """
    fields = present(
        namespace=namespace,
        after_id=after_id,
        order=order,
        limit=limit,
        cursor=cursor,
        text=text,
        tag=tag,
        created_since=created_since,
        created_before=created_before,
        used_since=used_since,
        used_before=used_before,
        **{f"metadata.{key}": value for key, value in (metadata or {}).items()},
    )
    reply = yield from exchange(core, Request("list", "GET", "/v1/entries", query=fields, seconds=SLOW_SECS))
    return read_nested(lambda: Page([read_entry(one) for one in reply["entries"]], reply["cursor"]))


def touch(core: Core, id: int) -> Steps[None]:
    """Records an access to the entry with this id. A hit does this by itself. Raises `NotFound`."""
    yield from exchange(core, Request("touch", "POST", "/v1/entries/{id}/touch", path={"id": id}))


def namespaces(core: Core) -> Steps[list[NamespaceCount]]:
    """The namespaces that have live entries and that the caller may use, sorted by name. Reads the whole table."""
    reply = yield from exchange(core, Request("namespaces", "GET", "/v1/namespaces", seconds=SLOW_SECS))
    return read_nested(lambda: read_list(NamespaceCount, reply["namespaces"]))


def clear(core: Core, namespace: str | None = None, *, purge: bool = False) -> Steps[int]:
    """Deletes every entry of a namespace: of the client's, if none is named. Returns their number.

    `purge`: whether everything else that the cache keeps of the namespace is deleted, too, such as its settings.
    """
    path = {"namespace": namespace or core.namespace}
    query: dict[str, Any] = {"purge": True} if purge else {}
    request = Request("clear", "DELETE", "/v1/namespaces/{namespace}", path, query, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return read_nested(lambda: int(reply["deleted"]))


def clear_all(core: Core) -> Steps[int]:
    """Deletes every entry of every namespace. Returns their number."""
    request = Request("clear", "DELETE", "/v1/namespaces", query={"confirm": "all"}, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return read_nested(lambda: int(reply["deleted"]))

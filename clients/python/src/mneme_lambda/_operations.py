"""Every operation on entries, namespaces and values, written once for both clients.

The first parameter becomes the client. What all of them raise: `MnemeError`, with the name, the fact and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ._core import Core, Steps, exchange
from ._request import Guard, Query, Request, Ttl, Vector, present, question, vector, whole_seconds
from .errors import NotFound
from .results import Entry, Hit, Miss, NamespaceCount, Page, Stored, read, read_list, read_nested, read_outcome

# An operation that reads much of the table may take as long as API Gateway waits, which is 30 s.
SLOW_SECS = 35.0


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
    )


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
) -> Steps[Hit | Miss]:
    """Finds the answer to a question, or says why there is none.

    `query`: a text, or the messages of a conversation. `context`: everything else that decides the answer, such as the
    model; it is matched exactly. `embedding`: without it the cache's embedder makes one, if it has one.
    `threshold`: the least similarity of a semantic hit; it can only raise the configured one. `bypass`: makes the
    lookup a miss. `lease`: asks for the lease after a miss, for so many seconds; `Miss.lease` says who makes the
    answer.
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
) -> Steps[Stored]:
    """Stores an answer. An entry for the same question is replaced.

    `ttl`: without it the configured default applies, or the entry does not expire. `metadata`: what comes back with a
    hit. `confidence_score`: from 0 to 1, a factor of the confidence. `idempotency_key`: the same key within 24 hours
    returns the first result and stores nothing. `finish_reason`: why the model stopped; an unfinished answer is not
    stored. `if_absent`: keeps the entry that exists. `lease_token`: the lease under which the answer was made; it ends.
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


def delete(
    core: Core, query: Query, *, namespace: str | None = None, context: Mapping[str, Any] | None = None
) -> Steps[bool]:
    """Deletes the entry for a question. Returns whether there was one."""
    fields = question(query, context) | {"namespace": namespace or core.namespace}
    return (yield from _delete(core, Request("delete", "POST", "/v1/entries/delete", body=fields, repeatable=False)))


def delete_entry(core: Core, id: int) -> Steps[bool]:
    """Deletes the entry with this id. Returns whether there was one."""
    return (
        yield from _delete(core, Request("delete", "DELETE", "/v1/entries/{id}", path={"id": id}, repeatable=False))
    )


def _delete(core: Core, request: Request) -> Steps[bool]:
    try:
        yield from exchange(core, request)
    except NotFound:
        return False
    return True


def entry(core: Core, id: int) -> Steps[Entry]:
    """The entry with this id. Raises `NotFound`."""
    reply = yield from exchange(core, Request("get", "GET", "/v1/entries/{id}", path={"id": id}))
    return read(Entry, reply)


def find(core: Core, query_hash: str, *, namespace: str | None = None) -> Steps[Entry]:
    """The entry with this hash of its question, as `Entry.query_hash` has it. Raises `NotFound`."""
    path = {"namespace": namespace or core.namespace, "query_hash": query_hash}
    reply = yield from exchange(core, Request("find", "GET", "/v1/namespaces/{namespace}/entries/{query_hash}", path))
    return read(Entry, reply)


def page(
    core: Core,
    *,
    namespace: str | None = None,
    after_id: int | None = None,
    order: Literal["id", "lru"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Steps[Page]:
    """One page of entries, of every namespace that the caller may use unless one is named. `entries` reads all pages.

    `order`: `id`, or `lru` for the least recently used first. `limit`: up to 1,000 entries; 100 without it. `cursor`:
    that of the page before.
    """
    fields = present(namespace=namespace, after_id=after_id, order=order, limit=limit, cursor=cursor)
    reply = yield from exchange(core, Request("list", "GET", "/v1/entries", query=fields, seconds=SLOW_SECS))
    return read_nested(lambda: Page(read_list(Entry, reply["entries"]), reply["cursor"]))


def touch(core: Core, id: int) -> Steps[None]:
    """Records an access to the entry with this id. A hit does this by itself. Raises `NotFound`."""
    yield from exchange(core, Request("touch", "POST", "/v1/entries/{id}/touch", path={"id": id}))


def namespaces(core: Core) -> Steps[list[NamespaceCount]]:
    """The namespaces that have live entries and that the caller may use, sorted by name. Reads the whole table."""
    reply = yield from exchange(core, Request("namespaces", "GET", "/v1/namespaces", seconds=SLOW_SECS))
    return read_nested(lambda: read_list(NamespaceCount, reply["namespaces"]))


def clear(core: Core, namespace: str | None = None) -> Steps[int]:
    """Deletes every entry of a namespace: of the client's, if none is named. Returns their number."""
    path = {"namespace": namespace or core.namespace}
    request = Request("clear", "DELETE", "/v1/namespaces/{namespace}", path, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return read_nested(lambda: int(reply["deleted"]))


def clear_all(core: Core) -> Steps[int]:
    """Deletes every entry of every namespace. Returns their number."""
    request = Request("clear", "DELETE", "/v1/namespaces", query={"confirm": "all"}, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return read_nested(lambda: int(reply["deleted"]))


_QUOTA = "/v1/namespaces/{namespace}/quota"


def quota(core: Core, namespace: str | None = None) -> Steps[int]:
    """The largest number of entries of a namespace. Raises `NotFound` if it has no quota."""
    path = {"namespace": namespace or core.namespace}
    reply = yield from exchange(core, Request("quota", "GET", _QUOTA, path, action="get"))
    return read_nested(lambda: int(reply["max_entries"]))


def set_quota(core: Core, max_entries: int, *, namespace: str | None = None) -> Steps[None]:
    """Sets the largest number of entries of a namespace. It takes effect with the namespace's next put."""
    path, body = {"namespace": namespace or core.namespace}, {"max_entries": max_entries}
    yield from exchange(core, Request("quota", "PUT", _QUOTA, path, body=body, action="set"))


def delete_quota(core: Core, namespace: str | None = None) -> Steps[bool]:
    """Removes the quota of a namespace. Returns whether there was one."""
    path = {"namespace": namespace or core.namespace}
    return (yield from _delete(core, Request("quota", "DELETE", _QUOTA, path, action="delete", repeatable=False)))


def meta(core: Core, key: str) -> Steps[str]:
    """A value that the users of the cache keep. Raises `NotFound`."""
    reply = yield from exchange(core, Request("meta", "GET", "/v1/meta/{key}", {"key": key}, action="get"))
    return read_nested(lambda: str(reply["value"]))


def set_meta(core: Core, key: str, value: str) -> Steps[None]:
    """Sets a value that the users of the cache keep."""
    request = Request("meta", "PUT", "/v1/meta/{key}", {"key": key}, body={"value": value}, action="set")
    yield from exchange(core, request)

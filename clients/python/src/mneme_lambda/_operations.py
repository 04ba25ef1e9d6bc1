"""Every operation of the cache, written once for both clients.

The first parameter becomes the client. What all of them raise: `MnemeError`, with the name, the fact and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from . import results
from ._core import Core, Steps, exchange
from ._request import Query, Request, Ttl, Vector, present, question, ttl_seconds, vector
from .errors import NotFound
from .results import (
    Calibration,
    CurvePoint,
    EmbedderStamp,
    Entry,
    Health,
    Hit,
    Labels,
    Miss,
    NamespaceCount,
    Page,
    Provisioned,
    Reembedding,
    Stats,
    Stored,
    VacuumResult,
    VisitedEntries,
    Yield,
    read,
    read_list,
)

T = TypeVar("T")

Guard = Literal["on", "off"]

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
) -> dict[str, Any]:
    """The fields of a lookup."""
    return question(query, context) | present(
        namespace=namespace, embedding=vector(embedding), threshold=threshold, guard=guard, bypass=bypass or None
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
) -> dict[str, Any]:
    """The fields of a put."""
    return question(query, context) | present(
        response=response,
        namespace=namespace,
        embedding=vector(embedding),
        metadata=metadata,
        ttl_seconds=ttl_seconds(ttl),
        confidence_score=confidence_score,
        idempotency_key=idempotency_key,
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
) -> Steps[Hit | Miss]:
    """Finds the answer to a question, or says why there is none.

    `query`: a text, or the messages of a conversation. `context`: everything else that decides the answer, such as the
    model; it is matched exactly. `embedding`: without it the cache's embedder makes one, if it has one.
    `threshold`: the least similarity of a semantic hit; it can only raise the configured one. `bypass`: makes the
    lookup a miss.
    """
    fields = lookup_fields(
        query,
        namespace=namespace or core.namespace,
        context=context,
        embedding=embedding,
        threshold=threshold,
        guard=guard,
        bypass=bypass,
    )
    reply = yield from exchange(core, Request("lookup", "POST", "/v1/lookup", body=fields))
    return results.read_outcome(reply)


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
) -> Steps[Stored]:
    """Stores an answer. An entry for the same question is replaced.

    `ttl`: without it the configured default applies, or the entry does not expire. `metadata`: what comes back with a
    hit. `confidence_score`: from 0 to 1, a factor of the confidence. `idempotency_key`: the same key within 24 hours
    returns the first result and stores nothing.
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
    )
    reply = yield from exchange(core, Request("put", "POST", "/v1/entries", body=fields))
    return read(Stored, reply)


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
    return _nested(lambda: Page(read_list(Entry, reply["entries"]), reply["cursor"]))


def touch(core: Core, id: int) -> Steps[None]:
    """Records an access to the entry with this id. A hit does this by itself. Raises `NotFound`."""
    yield from exchange(core, Request("touch", "POST", "/v1/entries/{id}/touch", path={"id": id}))


def namespaces(core: Core) -> Steps[list[NamespaceCount]]:
    """The namespaces that have live entries and that the caller may use, sorted by name. Reads the whole table."""
    reply = yield from exchange(core, Request("namespaces", "GET", "/v1/namespaces", seconds=SLOW_SECS))
    return _nested(lambda: read_list(NamespaceCount, reply["namespaces"]))


def clear(core: Core, namespace: str | None = None) -> Steps[int]:
    """Deletes every entry of a namespace: of the client's, if none is named. Returns their number."""
    path = {"namespace": namespace or core.namespace}
    request = Request("clear", "DELETE", "/v1/namespaces/{namespace}", path, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return _nested(lambda: int(reply["deleted"]))


def clear_all(core: Core) -> Steps[int]:
    """Deletes every entry of every namespace. Returns their number."""
    request = Request("clear", "DELETE", "/v1/namespaces", query={"confirm": "all"}, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return _nested(lambda: int(reply["deleted"]))


_QUOTA = "/v1/namespaces/{namespace}/quota"


def quota(core: Core, namespace: str | None = None) -> Steps[int]:
    """The largest number of entries of a namespace. Raises `NotFound` if it has no quota."""
    path = {"namespace": namespace or core.namespace}
    reply = yield from exchange(core, Request("quota", "GET", _QUOTA, path, action="get"))
    return _nested(lambda: int(reply["max_entries"]))


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
    return _nested(lambda: str(reply["value"]))


def set_meta(core: Core, key: str, value: str) -> Steps[None]:
    """Sets a value that the users of the cache keep."""
    request = Request("meta", "PUT", "/v1/meta/{key}", {"key": key}, body={"value": value}, action="set")
    yield from exchange(core, request)


def stats(core: Core, *, namespace: str | None = None) -> Steps[Stats]:
    """Counts of one namespace, or of all that the caller may use. Reads the whole table."""
    query = present(namespace=namespace)
    return read(
        Stats, (yield from exchange(core, Request("stats", "GET", "/v1/stats", query=query, seconds=SLOW_SECS)))
    )


def health(core: Core) -> Steps[Health]:
    """Whether the cache can serve. A cache that cannot serve is no error: `problems` says why."""
    return read(Health, (yield from exchange(core, Request("health", "GET", "/v1/health"))))


def vacuum(
    core: Core, *, namespace: str | None = None, cursor: str | None = None, resume: bool = False
) -> Steps[VacuumResult]:
    """Removes expired entries, enforces quotas and repairs derived items, until its time is nearly over.

    `cursor`: where to continue, from the result before. `resume`: continue where the last call with `resume` ended.
    """
    body = present(namespace=namespace, cursor=cursor, resume=resume or None)
    request = Request("vacuum", "POST", "/v1/vacuum", body=body, seconds=SLOW_SECS)
    return read(VacuumResult, (yield from exchange(core, request)))


def calibrate(
    core: Core,
    pairs: Sequence[Mapping[str, Any]],
    *,
    max_wrong: float | None = None,
    guard: Guard | None = None,
    cutoff: float | None = None,
) -> Steps[Calibration]:
    """Finds the best similarity threshold for labelled pairs of questions.

    `pairs`: 20 to 10,000 objects with `a`, `b`, `same` and, without embeddings, `similarity`; docs/calibration.md has
    the form. `max_wrong`: the largest share of different pairs that may be served; without it the best F1 is chosen.
    """
    target = None if max_wrong is None else {"max_wrong": max_wrong}
    body = present(pairs=[_pair(pair) for pair in pairs], target=target, guard=guard, cutoff=cutoff)
    request = Request("calibrate", "POST", "/v1/calibrate", body=body, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return _nested(
        lambda: Calibration(
            threshold=reply["threshold"],
            fitted=read(Yield, reply["fitted"]),
            held_back=read(Yield, reply["held_back"]),
            curve=read_list(CurvePoint, reply["curve"]),
            pairs=read(Labels, reply["pairs"]),
            vetoed={kind: read(Labels, labels) for kind, labels in reply["vetoed"].items()},
            guard=reply["guard"],
            cutoff=reply["cutoff"],
        )
    )


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    def side(value: Any) -> Any:
        if isinstance(value, Mapping) and "embedding" in value:
            return {**value, "embedding": vector(value["embedding"])}
        return value

    return {name: side(value) for name, value in pair.items()}


def reembed(
    core: Core,
    action: Literal["status", "start", "step", "switch", "switch_back", "finish", "abort"],
    *,
    seconds: int | None = None,
    ids: int | None = None,
    leave_behind: bool = False,
) -> Steps[Reembedding]:
    """One step of a move to another embedder; docs/moving-embedders.md has the order of the actions.

    `seconds`: after which nothing further is begun; 20 without it. `ids`: the largest number of ids to visit.
    `leave_behind`: for `switch` and `switch_back`, whether entries without a vector may be left behind.
    """
    body = present(action=action, seconds=seconds, ids=ids, leave_behind=leave_behind or None)
    # A call may take six seconds longer than `seconds`, to finish what it began.
    request = Request("reembed", "POST", "/v1/reembed", body=body, seconds=max(SLOW_SECS, (seconds or 0) + 10))
    reply = yield from exchange(core, request)
    return _nested(
        lambda: read(
            Reembedding,
            {
                **reply,
                "active": read(EmbedderStamp, reply["active"]),
                "other": None if reply["other"] is None else read(EmbedderStamp, reply["other"]),
                "entries": None if reply["entries"] is None else read(VisitedEntries, reply["entries"]),
            },
        )
    )


def snapshot(core: Core) -> Steps[None]:
    """Always raises `CheckpointError`, which names AWS's own tools."""
    yield from exchange(core, Request("snapshot", "POST", "/v1/snapshot", body={}))


def restore(core: Core) -> Steps[None]:
    """Always raises `CheckpointError`, which names AWS's own tools."""
    yield from exchange(core, Request("snapshot", "POST", "/v1/restore", body={}))


def provision(core: Core) -> Steps[Provisioned]:
    """Creates the table if that is allowed, and stamps the embedder. It needs an `Invoke` target."""
    return read(Provisioned, (yield from exchange(core, Request("provision", "", "", seconds=SLOW_SECS))))


def _nested(make: Callable[[], T]) -> T:
    """What `make` returns; a reply without what it reads is a `GatewayError`."""
    try:
        return make()
    except (AttributeError, KeyError, TypeError, ValueError):
        raise results.unexpected_reply("a reply lacks a field") from None

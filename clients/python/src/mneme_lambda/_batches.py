"""Lookups and puts of many questions, in requests that keep the limits of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from . import _request
from ._core import Core, Steps, exchange
from ._operations import SLOW_SECS, entry_fields, lookup_fields
from ._reading import read, unexpected_reply
from ._request import Guard, Query, Request, Ttl, Vector
from .errors import EntryTooLarge, InvalidRequest, MnemeError, TransportError
from .results import Hit, Miss, Stored, Usage, read_outcome
from .target import problem

T = TypeVar("T")

MAX_QUERIES = 100
MAX_ENTRIES = 1000
# Lambda takes an event of 6 MB. Over HTTP the body is a JSON string in it.
MAX_BODY_BYTES = 5_000_000


@dataclass(frozen=True)
class Lookup:
    """One question of `lookup_many`. The fields are those of `lookup`."""

    query: Query
    namespace: str | None = None
    context: Mapping[str, Any] | None = None
    embedding: Vector | None = None
    threshold: float | None = None
    guard: Guard | None = None
    bypass: bool = False
    lease: Ttl | None = None
    tags: Sequence[str] | None = None
    explain: bool = False


@dataclass(frozen=True)
class Put:
    """One entry of `put_many`. The fields are those of `put`."""

    query: Query
    response: str
    namespace: str | None = None
    context: Mapping[str, Any] | None = None
    embedding: Vector | None = None
    metadata: Mapping[str, Any] | None = None
    ttl: Ttl | None = None
    confidence_score: float | None = None
    idempotency_key: str | None = None
    finish_reason: str | None = None
    if_absent: bool = False
    lease_token: str | None = None
    tags: Sequence[str] | None = None
    usage: Usage | Mapping[str, Any] | None = None


def lookup_many(core: Core, queries: Iterable[Query | Lookup]) -> Steps[list[Hit | Miss | MnemeError]]:
    """Looks up any number of questions. The results have the order of the questions.

    A question that fails has its error in the list and does not fail the others. Raises `MnemeError` if no question
    has a result.
    """
    lookups = [query if isinstance(query, Lookup) else Lookup(query) for query in queries]
    items = [_encode(core, one, lookup_fields) for one in lookups]
    outcomes: list[Hit | Miss | MnemeError | None] = [None] * len(items)
    waiting = list(range(len(items)))
    while waiting:
        results = yield from _in_chunks(core, [items[at] for at in waiting], "lookup", "queries", MAX_QUERIES)
        for at, result in zip(waiting, results, strict=True):
            outcomes[at] = result if isinstance(result, MnemeError) else _read(read_outcome, result)
        # An answer that did not fit in the reply is an EntryTooLarge. So is a question that is too large itself.
        too_large = [at for at in waiting if isinstance(outcomes[at], EntryTooLarge)]
        waiting = too_large if len(too_large) < len(waiting) else []
    return [outcome for outcome in outcomes if outcome is not None]


def put_many(core: Core, entries: Iterable[Put | tuple[Query, str]]) -> Steps[list[Stored | MnemeError]]:
    """Stores any number of answers, each a `Put` or a pair of question and answer. The results have their order.

    An entry that fails has its error in the list and does not fail the others. Raises `MnemeError` if nothing was
    stored.
    """
    puts = [entry if isinstance(entry, Put) else Put(*entry) for entry in entries]
    items = [_encode(core, one, entry_fields) for one in puts]
    results = yield from _in_chunks(core, items, "put", "entries", MAX_ENTRIES)
    return [
        result if isinstance(result, MnemeError) else _read(lambda reply: read(Stored, reply), result)
        for result in results
    ]


@dataclass(frozen=True)
class _Item:
    """An item of a batch, with its size in the request."""

    fields: dict[str, Any]
    size: int


def _encode(core: Core, one: Lookup | Put, fields: Callable[..., dict[str, Any]]) -> _Item | InvalidRequest:
    """The item, or why it cannot be sent."""
    try:
        item = fields(**{**vars(one), "namespace": one.namespace or core.namespace})
        return _Item(item, _size(_request.encode(item)))
    except InvalidRequest as error:
        return error


def _size(item: bytes) -> int:
    """The bytes of `item` inside a JSON string, with the comma after it."""
    return len(item) + item.count(b'"') + item.count(b"\\") + 1


def _chunks(items: list[_Item], most: int) -> Iterator[list[_Item]]:
    """Cuts `items` into lists that fit one request. An item that is too large by itself is alone."""
    chunk: list[_Item] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == most or size + item.size > MAX_BODY_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk


def _in_chunks(
    core: Core, items: list[_Item | InvalidRequest], function: str, name: str, most: int
) -> Steps[list[Any | MnemeError]]:
    """The JSON value or the error of each item, in order. Raises the error of a request if no request succeeded."""
    path = "/v1/lookup" if function == "lookup" else "/v1/entries"
    results: list[Any | MnemeError] = []
    failure: MnemeError | None = None
    succeeded = False
    for chunk in _chunks([item for item in items if isinstance(item, _Item)], most):
        # What was not reached once is not tried again with each further chunk.
        if not isinstance(failure, TransportError):
            body = {name: [item.fields for item in chunk]}
            try:
                reply = yield from exchange(core, Request(function, "POST", path, body=body, seconds=SLOW_SECS))
                results += _results(reply, len(chunk))
                succeeded = True
                continue
            except MnemeError as error:
                failure = error
        results += [failure] * len(chunk)
    if failure is not None and not succeeded:
        raise failure
    replies = iter(results)
    return [next(replies) if isinstance(item, _Item) else item for item in items]


def _results(reply: Any, count: int) -> list[Any | MnemeError]:
    """The items of a batch's reply. Raises `GatewayError` if it is no reply to `count` items."""
    results = reply.get("results") if isinstance(reply, dict) else None
    if not isinstance(results, list) or len(results) != count:
        raise unexpected_reply(f"a reply has no {count} results")
    return [
        problem(result["error"]) if isinstance(result, dict) and isinstance(result.get("error"), dict) else result
        for result in results
    ]


def _read(read_one: Callable[[Any], T], result: Any) -> T | MnemeError:
    try:
        return read_one(result)
    except MnemeError as error:
        return error

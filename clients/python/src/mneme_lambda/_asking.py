"""The loop around a model call: look up, on a miss call the model, then put. Nothing here raises.

The call itself is made by the client, between `look` and `keep`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar

from . import _operations
from ._core import Core, Steps, logger
from ._request import Guard, Query, Ttl, Vector
from .answer import Answer, Completion
from .results import Hit, Miss

P = ParamSpec("P")
T = TypeVar("T")
Read = Callable[[T], Completion]


class Options(TypedDict, total=False):
    """What `get_or_call` passes on to `lookup` and `put`."""

    context: Mapping[str, Any] | None
    namespace: str | None
    embedding: Vector | None
    threshold: float | None
    guard: Guard | None
    bypass: bool
    metadata: Mapping[str, Any] | None
    ttl: Ttl | None


_LOOKUP = ("context", "namespace", "embedding", "threshold", "guard", "bypass")
_PUT = ("context", "namespace", "embedding", "metadata", "ttl")


def _some(options: Options, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def look(core: Core, query: Query, options: Options) -> Steps[Hit | Miss | Exception]:
    """The outcome of the lookup, or its error. It is counted, and an error is logged."""
    try:
        outcome = yield from _operations.lookup(core, query, **_some(options, _LOOKUP))
    except Exception as error:
        core.record.failed("lookup", error)
        return error
    core.record.succeeded()
    core.record.count("hits" if isinstance(outcome, Hit) else "misses")
    return outcome


def keep(
    core: Core, query: Query, options: Options, found: Miss | Exception, result: T, read: Read[T]
) -> Steps[Answer[T]]:
    """Stores what the model returned, if it may be stored and the cache answered the lookup."""
    miss = found if isinstance(found, Miss) else None
    error = found if isinstance(found, Exception) else None
    completion = stored = None
    try:
        completion = read(result)
    except Exception as unreadable:
        refused: str | None = f"the result could not be read: {unreadable}"
        logger.warning("an answer was not stored: %s. Remediation: pass read=", refused)
    else:
        refused = completion.refused
    if refused is None and error is not None:
        # A second request would make the caller wait for a cache that has just failed.
        refused = "the lookup failed"
    if refused is None and completion is not None:
        try:
            stored = yield from _operations.put(core, query, completion.text, **_some(options, _PUT))
        except Exception as failed:
            core.record.failed("put", failed)
            refused, error = "the put failed", failed
    core.record.count("not_stored" if stored is None else "stored")
    return Answer("model", result, completion, miss=miss, stored=stored, not_stored=refused, error=error)


def from_cache(hit: Hit) -> Answer[Any]:
    """The answer of a hit."""
    return Answer("cache", None, Completion(hit.response), hit=hit)


class Arguments(Generic[P]):
    """What the arguments of a decorated function mean: the first one is the question, the others decide the answer."""

    def __init__(self, function: Callable[P, Any], options: Options) -> None:
        self._signature = inspect.signature(function)
        self._options = options
        self._name = f"{function.__module__}.{function.__qualname__}"
        first = next(iter(self._signature.parameters), None)
        if first in (None, "self", "cls"):
            raise TypeError(
                f"{self._name} has no question as its first argument. "
                "Remediation: decorate a function whose first argument is the question; in a method, use get_or_call"
            )

    def split(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Query, Options]:
        """The question and the options of one call. Raises `TypeError` as the function itself would."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        (_, query), *others = bound.arguments.items()
        # Two functions may give different answers to one question.
        own = {"function": self._name, "arguments": dict(others)}
        options: Options = {**self._options, "context": {**(self._options.get("context") or {}), **own}}
        return query, options

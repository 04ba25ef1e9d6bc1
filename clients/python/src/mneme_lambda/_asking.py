"""The loop around a model call: look up, on a miss call the model, then put. Nothing here raises.

The call itself is made by the client, between `look` and `keep`, or before `give_up` if it fails. Of several callers
who miss the same question at once, one has the lease and calls the model. The others look up again until it has stored
the answer.
"""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar

from . import _operations
from ._core import Core, Pause, Steps, logger
from ._request import Guard, Query, Ttl, Vector, whole_seconds
from .answer import Answer, Completion
from .errors import InvalidRequest, TransportError
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
    lease: Ttl | None


LEASE_SECS = 30.0
_FIRST_PAUSE_SECS = 0.05
_LONGEST_PAUSE_SECS = 1.0

_LOOKUP = ("context", "namespace", "embedding", "threshold", "guard", "bypass")
_QUESTION = ("context", "namespace")
_PUT = ("context", "namespace", "embedding", "metadata", "ttl")


def _some(options: Options, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


@dataclass(frozen=True)
class Looked:
    """What the cache said."""

    outcome: Hit | Miss | Exception
    """The outcome of the last lookup, or its error."""
    waited: bool = False

    @property
    def token(self) -> str | None:
        """The token of the lease, if this caller has it."""
        lease = self.outcome.lease if isinstance(self.outcome, Miss) else None
        return lease.token if lease is not None else None


def look(core: Core, query: Query, options: Options) -> Steps[Looked]:
    """Looks up, and waits while another caller makes the answer: as long as the lease that it finds, at most.

    The outcome is counted once, and an error is logged.
    """
    try:
        lease = whole_seconds("lease", options.get("lease", LEASE_SECS))
    except InvalidRequest as error:
        core.record.failed("lookup", error)
        return Looked(error)
    asked = {**_some(options, _LOOKUP), "lease": None if options.get("bypass") else lease}
    looked = yield from look_or_wait(core, query, asked)
    if not isinstance(looked.outcome, Exception):
        core.record.count("hits" if isinstance(looked.outcome, Hit) else "misses")
    return looked


def look_or_wait(core: Core, query: Query, asked: dict[str, Any]) -> Steps[Looked]:
    """Looks up with the arguments `asked`, and waits while another caller makes the answer: as long as the lease that
    it finds, at most.

    An error is logged. What is counted is whether it waited, and an error.
    """
    waited, pause, end = False, _FIRST_PAUSE_SECS, None
    try:
        outcome = yield from _operations.lookup(core, query, **asked)
        while isinstance(outcome, Miss) and outcome.lease is not None and outcome.lease.state == "held":
            end = end if end is not None else time.monotonic() + outcome.lease.seconds
            # Callers that began to wait at one time should not ask at one time.
            wait = random.uniform(pause / 2, pause)  # noqa: S311
            if time.monotonic() + wait > end:
                break
            waited = True
            yield Pause(wait)
            pause = min(_LONGEST_PAUSE_SECS, pause * 1.5)
            outcome = yield from _operations.lookup(core, query, **asked)
    except Exception as error:
        core.record.failed("lookup", error)
        return Looked(error, waited)
    core.record.succeeded()
    if waited:
        core.record.count("waited")
    return Looked(outcome, waited)


def give_up(core: Core, query: Query, options: Options, found: Looked) -> Steps[None]:
    """Releases the lease, if this caller has it and puts no answer."""
    if found.token is not None:
        yield from try_release(core, query, found.token, **_some(options, _QUESTION))


def try_release(core: Core, query: Query, token: str, **question: Any) -> Steps[None]:
    """Releases a lease. An error is logged and counted: the lease then ends by itself."""
    try:
        yield from _operations.release(core, query, token, **question)
    except Exception as error:
        core.record.failed("release", error)


def keep(core: Core, query: Query, options: Options, found: Looked, result: T, read: Read[T]) -> Steps[Answer[T]]:
    """Stores what the model returned, if it may be stored and the cache answered the lookup."""
    miss = found.outcome if isinstance(found.outcome, Miss) else None
    error = found.outcome if isinstance(found.outcome, Exception) else None
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
            fields = {**_some(options, _PUT), "lease_token": found.token}
            stored = yield from _operations.put(core, query, completion.text, **fields)
        except Exception as failed:
            core.record.failed("put", failed)
            refused, error = "the put failed", failed
    if stored is None and not isinstance(error, TransportError):
        yield from give_up(core, query, options, found)
    core.record.count("not_stored" if stored is None else "stored")
    return Answer(
        "model", result, completion, miss=miss, stored=stored, not_stored=refused, error=error, waited=found.waited
    )


def from_cache(hit: Hit, *, waited: bool) -> Answer[Any]:
    """The answer of a hit."""
    return Answer("cache", None, Completion(hit.response), hit=hit, waited=waited)


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

"""What a client is apart from its input and output.

An operation is a generator: it yields what has to be done (a `Step`), gets the result, and returns the
operation's result. `Mneme` does these steps in the calling thread, `AsyncMneme` in the event loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from ._request import Request
from .auth import Auth
from .errors import MnemeError
from .retry import RetryBudget
from .target import Message, Reply, Target

T = TypeVar("T")

logger = logging.getLogger("mneme_lambda")


@dataclass(frozen=True)
class Sign:
    """Add credentials to the message. The result is the headers."""

    auth: Auth
    message: Message


@dataclass(frozen=True)
class Send:
    """Send the message. The result is a `Reply`. Errors: `Unreachable`, `ConnectionLost`, `TimedOut`."""

    message: Message
    headers: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class Pause:
    """Wait. There is no result."""

    seconds: float


@dataclass(frozen=True)
class Either:
    """Call `block` in a thread, or await `wait()` in an event loop. The result is that of the call."""

    block: Callable[[], Any]
    wait: Callable[[], Awaitable[Any]]


Step: TypeAlias = Sign | Send | Pause | Either
Steps: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True)
class Counts:
    """What `get_or_call`, decorated functions and adapters have done with one client so far."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    not_stored: int = 0
    """Answers of the model that were not stored, for any reason."""
    errors: int = 0
    """Failed lookups, puts and releases."""
    waited: int = 0
    """Questions that waited for the answer of another caller."""


class Record:
    """Counts what happens, and logs errors: the first one of each kind, until the cache answers again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()
        self._logged: set[tuple[str, str]] = set()

    @property
    def counts(self) -> Counts:
        return self._counts

    def count(self, name: str) -> None:
        with self._lock:
            self._counts = replace(self._counts, **{name: getattr(self._counts, name) + 1})

    def succeeded(self) -> None:
        """Records that the cache answered."""
        if self._logged:
            self._logged = set()

    def failed(self, what: str, error: Exception) -> None:
        """Records that `what`, such as "lookup", failed. The message has no question and no answer."""
        self.count("errors")
        name = getattr(error, "name", type(error).__name__)
        level = logging.DEBUG if (what, name) in self._logged else logging.WARNING
        self._logged.add((what, name))
        logger.log(level, "%s of the %s; the application goes on without the cache: %s", name, what, error)


@dataclass(frozen=True)
class Core:
    """The settings and the shared state of a client. Threads and event loops may share it."""

    target: Target
    namespace: str
    timeout: float
    max_connections: int
    budget: RetryBudget
    record: Record


def exchange(core: Core, request: Request) -> Steps[Any]:
    """Sends the request, again where that may help, and returns the JSON value of the reply."""
    message = core.target.write(request)
    deadline = time.monotonic() + max(core.timeout, request.seconds or 0)
    sent = 0
    while True:
        try:
            headers = message.headers
            if core.target.auth is not None:
                headers = yield Sign(core.target.auth, message)
            sent += 1
            reply: Reply = yield Send(message, headers, max(0.001, deadline - time.monotonic()))
            value = core.target.read(request, reply)
        except MnemeError as error:
            time_left = deadline - time.monotonic()
            pause = core.budget.pause(error, sent=sent, repeatable=request.repeatable, time_left=time_left)
            if pause is None:
                raise
            yield Pause(pause)
        else:
            core.budget.refund()
            return value

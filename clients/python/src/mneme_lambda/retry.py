"""When a request is sent again.

A request is sent again only if that can help, and only within its time-out. A budget limits the retries of a client, so
that a cache in trouble does not get a multiple of the usual requests.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from .errors import (
    ConnectionLost,
    EmbedderError,
    GatewayError,
    Internal,
    MnemeError,
    StoreBackendError,
    Throttled,
    Unreachable,
)

_FIRST_PAUSE_SECS = 0.05
_LONGEST_PAUSE_SECS = 1.0
# A retry costs as much as this number of successful requests pay back.
_COST = 10


@dataclass(frozen=True)
class Retry:
    """The limits of retries.

    `attempts`: how often one request is sent at most; 1 never sends it again.
    `budget`: how many retries a client may make in a row. Ten requests that succeed allow one more, up to this number.
    """

    attempts: int = 3
    budget: int = 10


class RetryBudget:
    """The retries that a client has left. Threads may share it."""

    def __init__(self, limits: Retry) -> None:
        self._limits = limits
        self._full = limits.budget * _COST
        self._left = self._full
        self._lock = threading.Lock()

    def refund(self) -> None:
        """Records a request that succeeded."""
        # Reading without the lock is safe: a full budget stays as it is, and the next success refunds a missed one.
        if self._left < self._full:
            with self._lock:
                self._left = min(self._full, self._left + 1)

    def pause(self, error: MnemeError, *, sent: int, repeatable: bool, time_left: float) -> float | None:
        """The seconds to wait before the request is sent again, or None if `error` is final.

        `sent`: how often the request was sent. `time_left`: the seconds that remain of its time-out.
        """
        if sent >= self._limits.attempts or not _may_help(error, repeatable):
            return None
        backoff = min(_LONGEST_PAUSE_SECS, _FIRST_PAUSE_SECS * 2 ** (sent - 1))
        # Clients that failed together should not come back together.
        pause = random.uniform(0, backoff)  # noqa: S311
        if error.retry_after is not None:
            pause += error.retry_after
        if pause >= time_left:
            return None
        with self._lock:
            if self._left < _COST:
                return None
            self._left -= _COST
        return pause


def _may_help(error: MnemeError, repeatable: bool) -> bool:
    if isinstance(error, (Unreachable, Throttled)):
        return True
    if isinstance(error, (StoreBackendError, EmbedderError)):
        # The cache sends `Retry-After` only if trying again makes sense.
        return error.retry_after is not None
    if isinstance(error, GatewayError):
        return repeatable and error.status is not None and error.status >= 500
    return repeatable and isinstance(error, (ConnectionLost, Internal))

"""The leases that callers have while they make an answer, for frameworks that pass nothing from lookup to update."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Hashable

from .results import Lease


class Leases:
    """The tokens of granted leases, by question and by caller: the task that asks, or else the thread.

    A caller makes one answer after the other. So if it asks the same question again while it has the lease, its model
    has failed. Threads may share this.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[tuple[Hashable, int], tuple[str, float]] = {}

    def keep(self, question: Hashable, lease: Lease | None) -> None:
        """Keeps the token of `lease`, if it was granted, until the lease ends."""
        if lease is None or lease.token is None:
            return
        now = time.monotonic()
        with self._lock:
            self._tokens = {caller: token for caller, token in self._tokens.items() if token[1] > now}
            self._tokens[question, _caller()] = (lease.token, now + lease.seconds)

    def take(self, question: Hashable) -> str | None:
        """The token of this caller's lease, which is forgotten; None if it has none."""
        with self._lock:
            token, _ = self._tokens.pop((question, _caller()), (None, 0.0))
        return token


def _caller() -> int:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident() if task is None else id(task)

"""The leases that callers have while they make an answer, for frameworks that pass nothing from lookup to update."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from .results import Lease


@dataclass(frozen=True)
class _Granted:
    token: str
    end: float
    """When it ends, by `time.monotonic`."""
    holder: weakref.ref[asyncio.Task[Any] | threading.Thread]
    """The task that asked, or else the thread."""

    def is_own(self) -> bool:
        return self.holder() is _caller()

    def is_abandoned(self) -> bool:
        """Whether no answer comes of it. A caller makes one answer after the other, so if it asks again, or has ended,
        while it has the lease, its model has failed."""
        holder = self.holder()
        if holder is None or holder is _caller():
            return True
        return holder.done() if isinstance(holder, asyncio.Task) else not holder.is_alive()


class Leases:
    """The tokens of granted leases by question. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._granted: dict[Hashable, list[_Granted]] = {}

    def keep(self, question: Hashable, lease: Lease | None) -> None:
        """Keeps the token of `lease`, if it was granted, until the lease ends."""
        if lease is None or lease.token is None:
            return
        now = time.monotonic()
        with self._lock:
            for other, granted in list(self._granted.items()):
                self._keep_those(other, [one for one in granted if one.end > now])
            one = _Granted(lease.token, now + lease.seconds, weakref.ref(_caller()))
            self._granted.setdefault(question, []).append(one)

    def take_own(self, question: Hashable) -> str | None:
        """The token of this caller's lease, which is forgotten; None if it has none."""
        return self._take(question, _Granted.is_own)

    def take_abandoned(self, question: Hashable) -> str | None:
        """The token of a lease whose model has failed, which is forgotten; None if there is none."""
        return self._take(question, _Granted.is_abandoned)

    def _take(self, question: Hashable, fits: Callable[[_Granted], bool]) -> str | None:
        with self._lock:
            granted = self._granted.get(question, [])
            taken = next(filter(fits, granted), None)
            self._keep_those(question, [one for one in granted if one is not taken])
        return None if taken is None else taken.token

    def _keep_those(self, question: Hashable, granted: list[_Granted]) -> None:
        if granted:
            self._granted[question] = granted
        else:
            self._granted.pop(question, None)


def _caller() -> asyncio.Task[Any] | threading.Thread:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.current_thread() if task is None else task

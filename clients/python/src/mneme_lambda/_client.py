"""What both clients have in common apart from input and output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, TypeVar

from ._core import Core, Counts, Record
from .auth import Auth
from .errors import InvalidRequest
from .retry import Retry, RetryBudget
from .target import HttpApi, Invoke, Target

C = TypeVar("C", bound="Client")

DEFAULT_TIMEOUT_SECS = 5.0
DEFAULT_RETRY = Retry()


class Client(ABC):
    """The settings of a client.

    `target`: the URL of the HTTP API, or an `Invoke`. `auth`: `Iam()` or `Bearer(…)` for a URL; None for a cache that
    asks for no credentials, as `mneme-local`. `namespace`: the one that operations use if none is named. `timeout`: the
    seconds of one operation with all its retries; maintenance and batches take up to 35 s. `retry`: the limits of
    retries. `max_connections`: the most requests at one time.
    """

    _core: Core

    def __init__(
        self,
        target: str | Invoke,
        *,
        auth: Auth | None = None,
        namespace: str = "default",
        timeout: float = DEFAULT_TIMEOUT_SECS,
        retry: Retry = DEFAULT_RETRY,
        max_connections: int = 100,
    ) -> None:
        way: Target
        if isinstance(target, str):
            way = HttpApi(target, auth)
        elif auth is None:
            way = target
        else:
            raise InvalidRequest("both Invoke and auth", "pass the credentials as Invoke.stack(…, auth=Iam(…))")
        self._open(Core(way, namespace, timeout, max_connections, RetryBudget(retry), Record()))

    @abstractmethod
    def _open(self, core: Core) -> None:
        """Makes the connections of `core`."""

    @property
    def counts(self) -> Counts:
        """What `get_or_call`, decorated functions and adapters have done so far."""
        return self._core.record.counts

    def with_options(self: C, *, namespace: str | None = None, timeout: float | None = None) -> C:
        """The same client with other settings. It has the same connections, counts and budget of retries."""
        changes: dict[str, Any] = {"namespace": namespace, "timeout": timeout}
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._core = replace(self._core, **{name: value for name, value in changes.items() if value is not None})
        return other

    def _twin(self, kind: type[C]) -> C:
        """A client of the other kind with the same settings, counts and budget of retries."""
        twin = object.__new__(kind)
        twin._open(self._core)
        return twin

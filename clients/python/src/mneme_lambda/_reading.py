"""How a reply becomes one of the dataclasses that the operations return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from .errors import GatewayError

R = TypeVar("R")
T = TypeVar("T")


def read(kind: type[R], reply: Any) -> R:
    """A `kind`, a dataclass without nested ones, from a JSON object. Fields that it does not have are left out.

    Raises `GatewayError` if `reply` is not such an object.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{name: value for name, value in reply.items() if name in names})
    except (AttributeError, TypeError):
        raise unexpected_reply(f"a reply is no {kind.__name__}") from None


def read_list(kind: type[R], replies: Any) -> list[R]:
    """A list of `kind`. Raises `GatewayError`, as `read` does."""
    if not isinstance(replies, list):
        raise unexpected_reply(f"a reply has no list of {kind.__name__}")
    return [read(kind, reply) for reply in replies]


def read_optional(kind: type[R], reply: Any) -> R | None:
    """A `kind`, or None for None. Raises `GatewayError`, as `read` does."""
    return None if reply is None else read(kind, reply)


def read_nested(make: Callable[[], T]) -> T:
    """What `make` returns. Raises `GatewayError` if the reply lacks what `make` reads."""
    try:
        return make()
    except (AttributeError, KeyError, TypeError, ValueError):
        raise unexpected_reply("a reply lacks a field") from None


def unexpected_reply(fact: str) -> GatewayError:
    """The error for a reply that no version of the cache sends."""
    return GatewayError(fact, "check that the address is that of a cache, and that client and cache are of one version")

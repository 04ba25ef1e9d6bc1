"""The lookups of a range of time, and what their hits saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ._reading import read, read_nested


@dataclass(frozen=True)
class Saved:
    """What hits saved, according to the `usage` of their entries."""

    hits_with_usage: int
    """Hits whose entries have a `usage`. Only these count here."""
    hits_with_cost: int
    """Hits whose entries name a model that had prices. Only these count in `cost`."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """The time of the calls of the model."""
    cost: float
    """The price of the tokens, in the currency of `MNEME_PRICES`."""


@dataclass(frozen=True)
class Lookups:
    """The lookups of a period."""

    hits: int
    hits_exact: int
    hits_semantic: int
    misses: int
    misses_by_reason: dict[str, int]
    """A reason without misses is left out."""
    hit_rate: float | None
    """Hits divided by lookups; None without lookups."""
    saved: Saved
    start: int | None = None
    """The first second of the period; None for the total."""


@dataclass(frozen=True)
class StatsSeries:
    """The lookups of a range of time, by hour or by day of UTC."""

    namespace: str | None
    start: int
    """The first second of the first period."""
    end: int
    """The second after the last period."""
    by: Literal["hour", "day"]
    total: Lookups
    periods: list[Lookups]
    """The periods with lookups, ascending."""


def read_series(reply: Any) -> StatsSeries:
    """The series of a reply. Raises `GatewayError` for what is no series."""
    return read_nested(
        lambda: StatsSeries(
            namespace=reply["namespace"],
            start=reply["from"],
            end=reply["to"],
            by=reply["by"],
            total=_read_lookups(reply["total"]),
            periods=[_read_lookups(period) for period in reply["periods"]],
        )
    )


def _read_lookups(reply: Any) -> Lookups:
    return read(Lookups, {**reply, "saved": read(Saved, reply["saved"])})

"""What a namespace does differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ._reading import read, read_nested


@dataclass(frozen=True)
class Settings:
    """The settings of a namespace. What is None is as configured for the whole cache."""

    threshold: float | None = None
    """The least similarity of a semantic hit, from -1 to 1."""
    cutoff: float | None = None
    """The least confidence of a hit, from 0 to 1."""
    guard: Literal["on", "off"] | None = None
    """Whether the guard compares the questions."""
    layers: Literal["exact", "all"] | None = None
    """Which layers may answer. With `exact` only equal questions are answered, and none is embedded."""
    default_ttl_seconds: int | None = None
    """The seconds that an entry lives whose put names no `ttl`."""
    max_entries: int | None = None
    """The quota. `quota` and `set_quota` read and change it alone."""
    cross_language: bool | None = None
    """Whether a question may get the answer to a question in another language."""
    max_answer_age: int | None = None
    """The age in seconds above which an answer is not served."""


@dataclass(frozen=True)
class EffectiveSettings:
    """What applies in a namespace: its settings, or else the configuration."""

    threshold: float
    cutoff: float
    guard: Literal["on", "off"]
    layers: Literal["exact", "all"]
    default_ttl_seconds: int | None
    """None if entries do not expire."""
    max_entries: int | None
    """None if the namespace has no quota."""
    cross_language: bool
    max_answer_age: int | None
    """None if no answer is too old."""


@dataclass(frozen=True)
class NamespaceSettings:
    """The settings of a namespace, and what applies in it."""

    namespace: str
    settings: Settings
    effective: EffectiveSettings


def read_settings(reply: Any) -> NamespaceSettings:
    """The settings of a reply. Raises `GatewayError` for what are no settings."""
    return read_nested(
        lambda: NamespaceSettings(
            namespace=reply["namespace"],
            settings=read(Settings, reply["settings"]),
            effective=read(EffectiveSettings, reply["effective"]),
        )
    )

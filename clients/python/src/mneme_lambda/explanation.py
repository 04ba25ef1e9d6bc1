"""Why a lookup has its outcome: what `lookup(…, explain=True)` adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ._reading import read, read_list, read_nested, read_optional


@dataclass(frozen=True)
class ExplainedQuestion:
    """The question as it was compared."""

    text: str
    """The normalised text, or its first 1,000 characters."""
    context_key: str | None
    """The hash of system messages, context and items; None for a plain question."""
    follow_up: bool
    """Whether what was said before must agree."""


@dataclass(frozen=True)
class Rules:
    """The rules by which the entries were judged."""

    threshold: float
    """The least similarity of a semantic hit."""
    cutoff: float
    """The least confidence of a hit."""
    guard: Literal["on", "off"]
    layers: Literal["exact", "all"]
    cross_language: bool
    """Whether the languages of the questions may differ."""
    max_answer_age: int | None
    """The age in seconds above which no answer is served."""
    half_life: float | None
    """The age in seconds at which the confidence has halved."""


@dataclass(frozen=True)
class Candidate:
    """An entry that was compared with the question."""

    id: int
    query: str | None
    """The stored question, or its first 1,000 characters; None if only its hash is stored."""
    layer: Literal["exact", "semantic"]
    similarity: float
    probability: float
    """The probability that the answer is right; 0 for an entry that contradicts the question."""
    confidence_score: float
    confidence: float
    age_seconds: int
    served: bool
    """Whether it is the entry of the hit."""
    reason: str | None
    """Why it cannot be served, as `Miss.reason`; None if it can."""
    veto: str | None
    """What it contradicts the question in."""
    features: dict[str, float]
    """What the guard measured, by name. A feature that is 0 is left out."""


@dataclass(frozen=True)
class OtherContext:
    """An entry of an equal question that has another context or other system messages."""

    id: int
    query: str | None
    context_key: str | None


@dataclass(frozen=True)
class Explanation:
    """Why a lookup has its outcome."""

    question: ExplainedQuestion
    rules: Rules
    candidates: list[Candidate]
    """The exact match, then the nearest entries, most similar first."""
    complete: bool
    """False if a nearer entry may be missing among the candidates."""
    other_context: OtherContext | None
    """On a miss: an entry that only its context kept from answering."""


def read_explanation(reply: Any) -> Explanation | None:
    """The explanation of a lookup's reply, or None for None. Raises `GatewayError` for what is no explanation."""
    if reply is None:
        return None
    return read_nested(
        lambda: Explanation(
            question=read(ExplainedQuestion, reply["question"]),
            rules=read(Rules, reply["rules"]),
            candidates=read_list(Candidate, reply["candidates"]),
            complete=reply["complete"],
            other_context=read_optional(OtherContext, reply["other_context"]),
        )
    )

"""What the operations return.

The fields have the names of the HTTP API. Times are seconds since 1970, UTC. A reply with fields that this version
does not know is read without them.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ._reading import read, read_nested, read_optional, unexpected_reply
from .explanation import Explanation, read_explanation


@dataclass(frozen=True)
class Hit:
    """A stored answer. It is true in a condition."""

    response: str
    """The answer."""
    similarity: float
    """The cosine similarity of the questions; 1 for the exact layer."""
    confidence: float
    """From 0 to 1: how probably the answer is right, with its age and its `confidence_score`."""
    age_seconds: int
    """The seconds since the answer was put."""
    layer: Literal["exact", "semantic"]
    """`exact` if the questions are the same, `semantic` if their embeddings are similar."""
    namespace: str
    metadata: dict[str, Any]
    """What the caller kept with the answer."""
    id: int
    """The id of the entry."""
    volatile: bool = False
    """Whether the right answer depends on the time of asking."""
    query: str | None = None
    """The stored question; None if only its hash is stored."""
    tags: list[str] = field(default_factory=list)
    """The tags of the entry."""
    scaled_similarity: float | None = None
    """The similarity on the scale of all-MiniLM-L6-v2, with which the threshold is compared. None for the exact layer,
    and if the embedder's similarities are compared as they are."""
    explanation: Explanation | None = None
    """Why this entry answers; None unless the lookup asked for it."""
    threshold: float | None = None
    """The threshold that was used, if the request asked for a lower one."""

    def __bool__(self) -> Literal[True]:
        return True


@dataclass(frozen=True)
class Lease:
    """Who is to make the answer after a miss."""

    state: Literal["granted", "held"]
    """`granted`: the caller is. `held`: another caller is."""
    seconds: int
    """For how long it holds; with `held`, for how long at most."""
    token: str | None = None
    """What `put` and `release` take; None with `held`."""


@dataclass(frozen=True)
class Miss:
    """No stored answer. It is false in a condition."""

    reason: str
    """Why: `no_entry`, `below_threshold`, `low_confidence`, `vetoed`, `rejected`, `no_embedding`, `embedder_failure`,
    `not_embeddable`, `barred`, `missing_tag`, `not_loaded`, `unavailable`, `personal`, `exact_only`, `too_old` or
    `bypass`. A newer cache may have other reasons."""
    best_similarity: float | None
    """The similarity of the nearest entry, or None."""
    veto: str | None = None
    """What the nearest entry contradicts the question in, with the reason `vetoed`."""
    lease: Lease | None = None
    """Who is to make the answer; None if no lease was asked for, or none is to be had."""
    explanation: Explanation | None = None
    """Why no entry answers; None unless the lookup asked for it."""
    threshold: float | None = None
    """The threshold that was used, if the request asked for a lower one."""

    def __bool__(self) -> Literal[False]:
        return False


@dataclass(frozen=True)
class Stored:
    """The result of a put."""

    id: int | None = None
    """The id of the entry; None if it was not stored."""
    created: bool = False
    """False if the entry replaced one for the same question, or was not stored."""
    skipped: str | None = None
    """Why the entry was not stored: `truncated`, `refusal`, `error`, `empty`, `pattern` or `personal`."""
    semantic: bool = True
    """False if the embedder cannot read the question, so that only an equal question finds the entry."""
    kept: bool = False
    """Whether `if_absent` kept the entry of this id and stored nothing."""


@dataclass(frozen=True)
class Usage:
    """What the call of the model used that an answer comes from. `stats_by` sums up what hits saved by it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    """The name by which the variable `MNEME_PRICES` knows the model."""
    latency_ms: int | None = None
    """The time of the call, in milliseconds."""


@dataclass(frozen=True)
class Entry:
    """A stored entry."""

    id: int
    namespace: str
    query_hash: str
    """SHA-256 of the normalised question, in hexadecimal digits."""
    query: str | None
    """The question; None if the cache does not store its text."""
    response: str
    metadata: dict[str, Any]
    confidence_score: float
    created_at: int
    last_accessed_at: int
    expires_at: int | None
    """When it expires; None for never."""
    access_count: int
    embedding: str | None = field(default=None, repr=False)
    """Base64 of little-endian float32 of length 1; None if there is none. A listing has none."""
    stored_by: str | None = None
    """Who put it over HTTP: the subject of the token, or the ARN of the IAM user or role. None if it is not known."""
    tags: list[str] = field(default_factory=list)
    """Its tags, in ascending order."""
    usage: Usage | None = None
    """What the answer cost; None if the put did not say."""

    def vector(self) -> list[float] | None:
        """The embedding as numbers, or None if there is none."""
        if self.embedding is None:
            return None
        raw = base64.b64decode(self.embedding)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))


@dataclass(frozen=True)
class Page:
    """A page of entries. A page before the last one may be short or empty."""

    entries: list[Entry]
    cursor: str | None
    """The value that requests the next page; None after the last one."""


@dataclass(frozen=True)
class NamespaceCount:
    """A namespace and its number of live entries."""

    namespace: str
    entries: int


@dataclass(frozen=True)
class Stats:
    """The counts of a namespace, or of all that the caller may use."""

    namespace: str | None
    entries: int
    namespaces: int
    hits: int
    hits_exact: int
    hits_semantic: int
    misses: int
    evictions: int
    expirations: int
    version_counter: int
    embedder_fingerprint: str | None
    embedder_dim: int | None
    version: str | None = None
    """The version of the function; None if it is older than this field."""


@dataclass(frozen=True)
class Health:
    """Whether the cache can serve. It is true in a condition if the cache is healthy."""

    healthy: bool
    table_reachable: bool
    schema_ok: bool
    embedder_match: bool
    embedder_fingerprint: str | None
    embedder_dim: int | None
    problems: list[str]
    """What is wrong, and what to do about it."""
    embedder_works: bool | None = None
    """Whether the configured embedder embedded a text at most a minute ago; None if none is configured."""
    version: str | None = None
    """The version of the function; None if it is older than this field."""

    def __bool__(self) -> bool:
        return self.healthy


@dataclass(frozen=True)
class VacuumResult:
    """What a vacuum did."""

    expired: int
    evicted: int
    examined: int
    pointers_set: int
    derived_removed: int
    duplicates: int
    counter_moved: bool
    ranges_packed: int
    ranges_thinned: int
    basis_learned: bool
    cursor: str | None
    """Where to continue; None if everything was examined."""
    answers_moved: int = 0
    """Long answers of an older version that got items of their own."""
    tag_blocks_set: int = 0
    """Tag blocks to which missing entries were added."""
    deleted_by_tag: int = 0
    """Entries removed for a deletion by tag that its caller did not finish."""


@dataclass(frozen=True)
class Yield:
    """What a threshold yields."""

    precision: float
    """The share of pairs with the same answer among the pairs served."""
    recall: float
    """The share of the pairs with the same answer that is served."""
    wrong: float
    """The share of the different pairs that is served."""
    f1: float


@dataclass(frozen=True)
class CurvePoint(Yield):
    """What one threshold of the curve yields."""

    threshold: float


@dataclass(frozen=True)
class Labels:
    """Numbers of pairs by label."""

    same: int
    different: int


@dataclass(frozen=True)
class Calibration:
    """The best threshold for labelled pairs, and what it yields."""

    threshold: float | None
    """None if no threshold meets the target with a hit."""
    fitted: Yield
    """On the half of the pairs that the threshold was chosen on."""
    held_back: Yield
    """On the other half: the figures to believe."""
    curve: list[CurvePoint]
    pairs: Labels
    vetoed: dict[str, Labels]
    """The pairs that are served at no threshold, by the kind of difference."""
    guard: Literal["on", "off"]
    cutoff: float
    wrong_hits_at_most: float | None = None
    """With a certainty of 95 %, at most this share of the hits is wrong; None if the function is older than this
    field."""


@dataclass(frozen=True)
class EmbedderStamp:
    """An embedder of the cache."""

    fingerprint: str | None
    dim: int | None


@dataclass(frozen=True)
class VisitedEntries:
    """The entries that a move to another embedder has visited, by result."""

    ready: int
    without_query: int
    refused: int
    too_large: int
    without_vector: int
    not_embeddable: int = 0
    """The embedder cannot read their text."""


@dataclass(frozen=True)
class Reembedding:
    """The progress of a move to another embedder."""

    phase: Literal["none", "adding", "removing"]
    active: EmbedderStamp
    side: Literal["source", "target"] | None
    other: EmbedderStamp | None
    complete: bool
    done: int | None
    total: int | None
    entries: VisitedEntries | None
    ids_per_second: float | None
    seconds_left: float | None
    cursor: int | None


@dataclass(frozen=True)
class Provisioned:
    """The state of the table after `provision`."""

    created: bool
    embedder_fingerprint: str | None
    embedder_dim: int | None


def read_outcome(reply: Any) -> Hit | Miss:
    """The outcome of a lookup. Raises `GatewayError`, as `read` does."""
    if isinstance(reply, Mapping):
        fields = {**reply, "explanation": read_explanation(reply.get("explanation"))}
        if reply.get("outcome") == "hit":
            return read(Hit, fields)
        if reply.get("outcome") == "miss":
            return read(Miss, {**fields, "lease": read_optional(Lease, reply.get("lease"))})
    raise unexpected_reply("a reply is neither a hit nor a miss")


def read_entry(reply: Any) -> Entry:
    """The entry of a reply. Raises `GatewayError`, as `read` does."""
    return read_nested(lambda: read(Entry, {**reply, "usage": read_optional(Usage, reply.get("usage"))}))

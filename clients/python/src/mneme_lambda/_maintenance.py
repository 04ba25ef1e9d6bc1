"""The operations of those who operate a cache, written once for both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ._core import Core, Steps, exchange
from ._operations import SLOW_SECS
from ._reading import read, read_list, read_nested, read_optional
from ._request import Guard, Request, present, vector
from .results import (
    Calibration,
    CurvePoint,
    EmbedderStamp,
    Health,
    Labels,
    Provisioned,
    Reembedding,
    Stats,
    VacuumResult,
    VisitedEntries,
    Yield,
)
from .series import StatsSeries, read_series


def stats(core: Core, *, namespace: str | None = None) -> Steps[Stats]:
    """Counts of one namespace, or of all that the caller may use. Reads the whole table."""
    query = present(namespace=namespace)
    return read(
        Stats, (yield from exchange(core, Request("stats", "GET", "/v1/stats", query=query, seconds=SLOW_SECS)))
    )


def stats_by(
    core: Core,
    by: Literal["hour", "day"],
    *,
    start: int | None = None,
    end: int | None = None,
    namespace: str | None = None,
) -> Steps[StatsSeries]:
    """The lookups by hour or by day of UTC, and what hits saved, of one namespace or of all that the caller may use.

    `start`, `end`: the range in seconds since 1970; without them, the day before now by hour, and 30 days by day. A
    range has at most 31 days by hour and 400 days by day.
    """
    query = present(namespace=namespace, by=by, to=end, **{"from": start})
    return read_series(
        (yield from exchange(core, Request("stats", "GET", "/v1/stats", query=query, seconds=SLOW_SECS)))
    )


def health(core: Core) -> Steps[Health]:
    """Whether the cache can serve. A cache that cannot serve is no error: `problems` says why."""
    return read(Health, (yield from exchange(core, Request("health", "GET", "/v1/health"))))


def vacuum(
    core: Core, *, namespace: str | None = None, cursor: str | None = None, resume: bool = False
) -> Steps[VacuumResult]:
    """Removes expired entries, enforces quotas and repairs derived items, until its time is nearly over.

    `cursor`: where to continue, from the result before. `resume`: continue where the last call with `resume` ended.
    """
    body = present(namespace=namespace, cursor=cursor, resume=resume or None)
    request = Request("vacuum", "POST", "/v1/vacuum", body=body, seconds=SLOW_SECS)
    return read(VacuumResult, (yield from exchange(core, request)))


def calibrate(
    core: Core,
    pairs: Sequence[Mapping[str, Any]],
    *,
    max_wrong: float | None = None,
    guard: Guard | None = None,
    cutoff: float | None = None,
    fit_cutoff: bool = False,
) -> Steps[Calibration]:
    """Finds the best similarity threshold for labelled pairs of questions.

    `pairs`: 20 to 10,000 objects with `a`, `b`, `same` and, without embeddings, `similarity`; docs/calibration.md has
    the form. `max_wrong`: the largest share of different pairs that may be served; without it the best F1 is chosen.
    `fit_cutoff`: whether the least confidence is chosen with the threshold; not together with `cutoff`.
    """
    target = None if max_wrong is None else {"max_wrong": max_wrong}
    body = present(
        pairs=[_pair(pair) for pair in pairs],
        target=target,
        guard=guard,
        cutoff=cutoff,
        fit_cutoff=fit_cutoff or None,
    )
    request = Request("calibrate", "POST", "/v1/calibrate", body=body, seconds=SLOW_SECS)
    reply = yield from exchange(core, request)
    return read_nested(
        lambda: Calibration(
            threshold=reply["threshold"],
            fitted=read(Yield, reply["fitted"]),
            held_back=read(Yield, reply["held_back"]),
            curve=read_list(CurvePoint, reply["curve"]),
            pairs=read(Labels, reply["pairs"]),
            vetoed={kind: read(Labels, labels) for kind, labels in reply["vetoed"].items()},
            guard=reply["guard"],
            cutoff=reply["cutoff"],
            wrong_hits_at_most=reply.get("wrong_hits_at_most"),
        )
    )


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    def side(value: Any) -> Any:
        if isinstance(value, Mapping) and "embedding" in value:
            return {**value, "embedding": vector(value["embedding"])}
        return value

    return {name: side(value) for name, value in pair.items()}


def reembed(
    core: Core,
    action: Literal["status", "start", "step", "switch", "switch_back", "finish", "abort"],
    *,
    seconds: int | None = None,
    ids: int | None = None,
    leave_behind: bool = False,
) -> Steps[Reembedding]:
    """One step of a move to another embedder; docs/moving-embedders.md has the order of the actions.

    `seconds`: after which nothing further is begun; 20 without it. `ids`: the largest number of ids to visit.
    `leave_behind`: for `switch` and `switch_back`, whether entries without a vector may be left behind.
    """
    body = present(action=action, seconds=seconds, ids=ids, leave_behind=leave_behind or None)
    # A call may take six seconds longer than `seconds`, to finish what it began.
    request = Request("reembed", "POST", "/v1/reembed", body=body, seconds=max(SLOW_SECS, (seconds or 0) + 10))
    reply = yield from exchange(core, request)
    return read_nested(
        lambda: read(
            Reembedding,
            {
                **reply,
                "active": read(EmbedderStamp, reply["active"]),
                "other": read_optional(EmbedderStamp, reply["other"]),
                "entries": read_optional(VisitedEntries, reply["entries"]),
            },
        )
    )


def snapshot(core: Core) -> Steps[None]:
    """Always raises `CheckpointError`, which names AWS's own tools."""
    yield from exchange(core, Request("snapshot", "POST", "/v1/snapshot", body={}))


def restore(core: Core) -> Steps[None]:
    """Always raises `CheckpointError`, which names AWS's own tools."""
    yield from exchange(core, Request("snapshot", "POST", "/v1/restore", body={}))


def provision(core: Core, *, restamp: bool = False) -> Steps[Provisioned]:
    """Creates the table if that is allowed, and stamps the embedder. It needs an `Invoke` target.

    `restamp`: whether the configured embedder replaces another stamp. No entry may have an embedding then.
    """
    request = Request("provision", "", "", body=present(restamp=restamp or None), seconds=SLOW_SECS)
    return read(Provisioned, (yield from exchange(core, request)))

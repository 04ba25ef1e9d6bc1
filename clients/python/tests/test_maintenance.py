"""The operations of those who operate a cache, by both clients and over both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import invoke
from servers import Answer, Proxy

from mneme_lambda import (
    CheckpointError,
    InvalidRequest,
    Saved,
)

PASSWORD = "How do I reset my password?"


def test_stats_by_counts_the_lookups_of_a_range(client: Any, namespace: str) -> None:
    series = client.stats_by("day", start=86_400, end=3 * 86_400, namespace=namespace)
    assert (series.namespace, series.start, series.end, series.by) == (namespace, 86_400, 3 * 86_400, "day")
    assert (series.total.hits, series.total.hit_rate, series.periods) == (0, None, [])
    assert series.total.saved == Saved(0, 0, 0, 0, 0, 0)
    assert client.stats_by("hour").by == "hour"


def test_stats_by_shows_hits_and_what_they_saved(make_client: Callable[..., Any], proxy: Proxy) -> None:
    saved = {"hits_with_usage": 1, "hits_with_cost": 0, "prompt_tokens": 5, "completion_tokens": 7, "seconds": 0.5}
    counts = {"hits": 2, "hits_exact": 1, "hits_semantic": 1, "misses": 1, "misses_by_reason": {"vetoed": 1}}
    period = {**counts, "hit_rate": 2 / 3, "saved": {**saved, "cost": 0.0}}
    reply = {
        "namespace": None,
        "from": 0,
        "to": 3600,
        "by": "hour",
        "total": period,
        "periods": [{"start": 0, **period}],
    }
    proxy.first(Answer(200, json.dumps(reply).encode()))
    series = make_client(proxy.url).stats_by("hour", end=3600)
    assert series.total.saved.completion_tokens == 7
    assert (series.periods[0].start, series.periods[0].misses_by_reason) == (0, {"vetoed": 1})


def test_health_of_a_cache_that_serves_is_true(client: Any) -> None:
    health = client.health()
    assert health
    assert (health.healthy, health.embedder_dim, health.embedder_works, health.problems) == (True, 3, None, [])


def test_vacuum_reports_what_it_did(client: Any) -> None:
    client.put(PASSWORD, "answer")
    assert client.vacuum().examined >= 1


def test_calibrate_finds_a_threshold(client: Any) -> None:
    vectors = [np.array([1.0, 0.01 * n, 0]) for n in range(20)]
    pairs = [
        {"a": {"embedding": vector}, "b": {"embedding": vector if n % 2 else -vector}, "same": bool(n % 2)}
        for n, vector in enumerate(vectors)
    ]
    found = client.calibrate(pairs, guard="off", cutoff=0)
    assert found.held_back.precision == 1
    assert (found.pairs.same, found.pairs.different, found.guard) == (10, 10, "off")
    assert found.curve[0].recall > 0
    assert 0 < found.wrong_hits_at_most < 1
    assert client.calibrate(pairs, max_wrong=0.1, fit_cutoff=True).threshold is not None


def test_reembed_reports_that_there_is_no_move(client: Any) -> None:
    assert client.reembed("status").phase == "none"


def test_snapshot_and_restore_name_the_tools_of_aws(client: Any) -> None:
    for operation in (client.snapshot, client.restore):
        with pytest.raises(CheckpointError, match="AWS Backup"):
            operation()


def test_provision_needs_the_invoke_api(make_client: Callable[..., Any], api: str) -> None:
    client = make_client(invoke(api))
    assert client.provision().created is False
    assert client.provision(restamp=True).created is False
    with pytest.raises(InvalidRequest, match="Invoke"):
        make_client(api).provision()

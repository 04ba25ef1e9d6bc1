"""A cache that is down, slow, throttled, cut off, or refuses the credentials."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from servers import Answer, Drop, Hang, Proxy

from mneme_lambda import (
    ConnectionLost,
    CredentialsRefused,
    GatewayError,
    Retry,
    StoreBackendError,
    Throttled,
    TimedOut,
    Unreachable,
)

THROTTLED = Answer(429, b'{"message":"Too Many Requests"}')
FAILED = Answer(503, b'{"message":"Service Unavailable"}')
HIT_FIELDS = {
    "similarity": 1.0,
    "confidence": 1.0,
    "age_seconds": 0,
    "layer": "exact",
    "namespace": "n",
    "metadata": {},
}
HIT = json.dumps({"outcome": "hit", "response": "a" * 60, "id": 1, **HIT_FIELDS}).encode()


def lost_race(seconds: int | None) -> Answer:
    problem = {
        "type": "urn:mneme:error:StoreBackendError",
        "title": "t",
        "status": 503,
        "detail": "d",
        "remediation": "r",
    }
    retry_after = {} if seconds is None else {"retry-after": str(seconds)}
    return Answer(503, json.dumps(problem).encode(), {"content-type": "application/problem+json", **retry_after})


@pytest.mark.parametrize("fault", [THROTTLED, FAILED, Drop()])
def test_request_after_a_passing_fault_is_sent_again(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str, fault: Any
) -> None:
    client = make_client(proxy.url, namespace=namespace)
    proxy.first(fault, fault)
    assert client.put("question", "answer").created is True
    assert len(proxy.seen) == 3
    assert len({seen.body for seen in proxy.seen}) == 1


def test_request_with_retry_after_is_sent_again_after_that_time(make_client: Callable[..., Any], proxy: Proxy) -> None:
    client = make_client(proxy.url, timeout=30)
    proxy.first(lost_race(1))
    began = time.monotonic()
    client.lookup("question")
    assert time.monotonic() - began >= 1
    assert len(proxy.seen) == 2


def test_request_with_a_retry_after_beyond_the_time_out_is_final(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(lost_race(60))
    with pytest.raises(StoreBackendError) as caught:
        make_client(proxy.url, timeout=30).lookup("question")
    assert caught.value.retry_after == 60
    assert len(proxy.seen) == 1


def test_error_without_retry_after_is_final(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(lost_race(None))
    with pytest.raises(StoreBackendError):
        make_client(proxy.url).lookup("question")
    assert len(proxy.seen) == 1


def test_refused_credentials_are_final(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(Answer(403, b'{"message":"Forbidden"}'))
    with pytest.raises(CredentialsRefused):
        make_client(proxy.url).lookup("question")
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(("fault", "kind"), [(Drop(), ConnectionLost), (FAILED, GatewayError)])
def test_delete_with_an_unknown_outcome_is_not_sent_again(
    make_client: Callable[..., Any], proxy: Proxy, fault: Any, kind: type[Exception]
) -> None:
    proxy.first(fault)
    with pytest.raises(kind):
        make_client(proxy.url).delete("question")
    assert len(proxy.seen) == 1


def test_throttled_delete_is_sent_again(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(THROTTLED)
    assert make_client(proxy.url).delete("question") is False
    assert len(proxy.seen) == 2


def test_attempts_limit_one_request_and_the_budget_all_requests(make_client: Callable[..., Any], proxy: Proxy) -> None:
    client = make_client(proxy.url, retry=Retry(attempts=3, budget=3))
    proxy.rule = lambda seen: THROTTLED
    sent = []
    for _ in range(3):
        with pytest.raises(Throttled):
            client.lookup("question")
        sent.append(len(proxy.seen))
    assert sent == [3, 5, 6]
    proxy.rule = lambda seen: None
    for _ in range(10):
        client.lookup("question")
    proxy.first(THROTTLED)
    client.lookup("question")


def test_cache_that_does_not_answer_is_timed_out(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.rule = lambda seen: Hang()
    with pytest.raises(TimedOut):
        make_client(proxy.url, timeout=0.2).lookup("question")
    assert len(proxy.seen) == 1


def test_cache_that_answers_byte_by_byte_is_timed_out(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.rule = lambda seen: Answer(200, HIT, trickle=0.1)
    with pytest.raises(TimedOut):
        make_client(proxy.url, timeout=0.5).lookup("question")


def test_requests_one_after_the_other_share_a_connection(make_client: Callable[..., Any], proxy: Proxy) -> None:
    client = make_client(proxy.url)
    for _ in range(10):
        client.lookup("question")
    assert len({seen.connection for seen in proxy.seen}) == 1


FAULTS = {
    "down": None,
    "slow": Hang(),
    "throttled": THROTTLED,
    "failing": FAILED,
    "cut off": Drop(),
    "refusing": Answer(403, b'{"message":"Forbidden"}'),
    "no cache": Answer(200, b"<html>"),
}
KINDS = {
    "down": Unreachable,
    "slow": TimedOut,
    "throttled": Throttled,
    "failing": GatewayError,
    "cut off": ConnectionLost,
    "refusing": CredentialsRefused,
    "no cache": GatewayError,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_get_or_call_with_a_failing_cache_answers_from_the_model(
    make_client: Callable[..., Any], proxy: Proxy, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="mneme_lambda")
    proxy.rule = lambda seen: FAULTS[fault]
    # Only the slow cache is to reach the time-out, also on a busy machine.
    timeout = 0.3 if fault == "slow" else 30
    client = make_client("http://127.0.0.1:9" if fault == "down" else proxy.url, timeout=timeout)
    for _ in range(2):
        answer = client.get_or_call("a secret question", lambda: "a secret answer")
        assert (answer.text, answer.source, answer.not_stored) == ("a secret answer", "model", "the lookup failed")
        assert type(answer.error) is KINDS[fault]
    assert (client.counts.errors, client.counts.not_stored, client.counts.hits) == (2, 2, 0)
    # The second failure of a kind is no warning, and no record has the question or the answer.
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"]
    assert "secret" not in caplog.text
    assert KINDS[fault].__name__ in caplog.text


def test_get_or_call_with_a_failing_put_answers_from_the_model(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.rule = lambda seen: lost_race(None) if seen.target == "/v1/entries" else None
    client = make_client(proxy.url)
    answer = client.get_or_call("question", lambda: "answer")
    assert (answer.text, answer.not_stored, answer.stored) == ("answer", "the put failed", None)
    assert isinstance(answer.error, StoreBackendError)
    assert (client.counts.errors, client.counts.misses, client.counts.not_stored) == (1, 1, 1)


def test_failure_after_a_success_is_a_warning_again(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(proxy.url, namespace=namespace)
    # The lookup fails, then the lookup and the put succeed, then the lookup fails again.
    faults = iter([FAILED] * 3 + [None] * 2 + [FAILED] * 3)
    proxy.rule = lambda seen: next(faults)
    for _ in range(3):
        client.get_or_call("question", lambda: "answer")
    assert next(faults, "none left") == "none left"
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]

"""Batches above the limits of one request, large answers and texts of all kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import invoke
from servers import Answer, Drop, Proxy, Seen

from mneme_lambda import EntryTooLarge, Hit, InvalidRequest, Miss, MnemeError, Put, Stored, Unreachable

TEXTS = [
    "日本語の質問",
    "🙂👩‍👩‍👧‍👦",
    "e\u0301 and é",
    'line\nbreak\ttab "quote" \\ back',
    "\u2028\u2029",
    "שלום عليكم",
    "x" * 10_000,
    "\x7f\x01 control",
    "ﬁ ß İ ı",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text_of_any_kind_comes_back_as_it_was(client: Any, text: str) -> None:
    client.put(f"q {text}", f"a {text}", metadata={text[:50]: text}, context={"k": text})
    hit = client.get(f"q {text}", context={"k": text})
    assert (hit.response, hit.metadata) == (f"a {text}", {text[:50]: text})
    assert client.entry(hit.id).query == f"q {text}"


def test_answer_of_nearly_400_kb_comes_back(client: Any) -> None:
    response = "“ß” \n" * 39_000
    assert len(response.encode()) == 390_000
    client.put("question", response)
    assert client.get("question").response == response


def test_1000_entries_are_one_request(make_client: Callable[..., Any], proxy: Proxy, namespace: str) -> None:
    client = make_client(proxy.url, namespace=namespace)
    results = client.put_many([(f"question {n}", f"answer {n}") for n in range(1000)])
    assert len(proxy.seen) == 1
    assert all(isinstance(result, Stored) and result.created for result in results)
    hits = client.lookup_many([f"question {n}" for n in range(1000)])
    assert [hit.response for hit in hits] == [f"answer {n}" for n in range(1000)]
    assert len(proxy.seen) == 1 + 10


def stored(seen: Seen) -> Answer:
    """What the cache answers if it stores every entry."""
    results = [{"id": int(entry["query"].split()[-1]), "created": True} for entry in json.loads(seen.body)["entries"]]
    return Answer(200, json.dumps({"results": results}).encode())


def test_more_entries_than_one_request_takes_are_split(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.rule = stored
    results = make_client(proxy.url).put_many((f"question {n}", "answer") for n in range(2203))
    assert [len(json.loads(seen.body)["entries"]) for seen in proxy.seen] == [1000, 1000, 203]
    assert [result.id for result in results] == list(range(2203))


def test_more_bytes_than_one_request_takes_are_split(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str
) -> None:
    client = make_client(proxy.url, namespace=namespace)
    # Quotes take two bytes in the event that Lambda gets.
    answers = ["q" + '"' * 390_000 for _ in range(9)]
    results = client.put_many([(f"question {n}", answer) for n, answer in enumerate(answers)])
    assert all(isinstance(result, Stored) for result in results), results
    assert [len(json.loads(seen.body)["entries"]) for seen in proxy.seen] == [3, 3, 3]
    # A reply takes some 3 MB of answers, so the client asks for the rest again.
    outcomes = client.lookup_many([f"question {n}" for n in range(9)])
    assert [outcome.response for outcome in outcomes] == answers
    assert len(proxy.seen) > 4


def test_bad_entries_have_their_errors_in_place(client: Any) -> None:
    results = client.put_many(
        [
            ("one", "1"),
            Put("two", "2", embedding=["x"]),  # type: ignore[list-item]
            (" ", "3"),
            ("four", "4" * 2_200_000),
            Put("five", "5", metadata={"x": float("inf")}),
            Put([{"role": "user", "content": "six"}], "6", ttl=60),
        ]
    )
    kinds = [type(result) for result in results]
    assert kinds == [Stored, InvalidRequest, InvalidRequest, EntryTooLarge, InvalidRequest, Stored]
    assert all(result.remediation for result in results if isinstance(result, MnemeError))
    assert [type(outcome) for outcome in client.lookup_many(["one", "two", "six"])] == [Hit, Miss, Hit]


def test_question_that_is_too_large_itself_is_asked_twice_at_most(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str
) -> None:
    client = make_client(proxy.url, namespace=namespace)
    large, small = client.lookup_many(["x" * 300_000, "small"])
    assert isinstance(large, EntryTooLarge)
    assert isinstance(small, Miss)
    assert len(proxy.seen) == 2


def test_no_items_are_no_request(make_client: Callable[..., Any], proxy: Proxy) -> None:
    client = make_client(proxy.url)
    assert (client.put_many([]), client.lookup_many([])) == ([], [])
    assert proxy.seen == []


def test_batch_that_fails_altogether_raises(make_client: Callable[..., Any]) -> None:
    for target in ("http://127.0.0.1:9", invoke("http://127.0.0.1:9")):
        client = make_client(target)
        with pytest.raises(Unreachable):
            client.put_many([("question", "answer")] * 1500)
        with pytest.raises(Unreachable):
            client.lookup_many(["question"])


def test_batch_that_fails_halfway_says_what_was_stored(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str
) -> None:
    client = make_client(proxy.url, namespace=namespace)
    proxy.rule = lambda seen: stored(seen) if len(proxy.seen) == 1 else Drop()
    results = client.put_many([(f"question {n}", "answer") for n in range(2500)])
    assert [type(result).__name__ for result in results] == ["Stored"] * 1000 + ["ConnectionLost"] * 1500
    # The third chunk was not sent: the second one had no connection, with its retries.
    assert len(proxy.seen) == 1 + 3


def test_reply_with_a_wrong_number_of_results_is_refused(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.rule = lambda seen: Answer(200, json.dumps({"results": []}).encode())
    with pytest.raises(MnemeError, match="results"):
        make_client(proxy.url).lookup_many(["question"])

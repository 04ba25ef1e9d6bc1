"""Every operation, by both clients and over both ways."""

from __future__ import annotations

import base64
import inspect
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from anthropic.types import ToolUseBlock
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from openai.types.chat import ChatCompletionMessage
from servers import Answer, Proxy

from mneme_lambda import (
    Hit,
    IdempotentParameterMismatch,
    InvalidRequest,
    Lookup,
    Miss,
    Mneme,
    NotFound,
    Put,
    Stored,
    Usage,
)

PASSWORD = "How do I reset my password?"
NEAR, FAR = [0.85, 0.15, 0.2], [-0.2, 0.9, 0.1]


def test_lookup_after_put_returns_exact_and_semantic_hits(client: Any, namespace: str) -> None:
    stored = client.put(PASSWORD, "Choose “Forgot password”.", embedding=[0.9, 0.1, 0.2], metadata={"source": "faq"})
    exact = client.lookup("how do i  RESET my password?")
    assert exact == Hit(
        "Choose “Forgot password”.",
        1.0,
        1.0,
        exact.age_seconds,
        "exact",
        namespace,
        {"source": "faq"},
        stored.id,
        query=PASSWORD,
    )
    semantic = client.lookup("I forgot my password", embedding=NEAR)
    assert isinstance(semantic, Hit)
    assert (semantic.layer, semantic.id) == ("semantic", stored.id)
    assert 0.99 < semantic.similarity < 1


def test_lookup_without_a_match_says_why(client: Any) -> None:
    assert client.lookup("What is the weather?", embedding=FAR) == Miss("no_entry", None)
    client.put(PASSWORD, "answer", embedding=[0.9, 0.1, 0.2])
    miss = client.lookup("What is the weather?", embedding=FAR)
    assert (miss.reason, bool(miss)) == ("below_threshold", False)
    assert miss.best_similarity < 0
    assert client.lookup(PASSWORD, bypass=True).reason == "bypass"
    assert client.lookup("I forgot my password", embedding=NEAR, threshold=1).reason == "below_threshold"


def test_lookup_of_messages_matches_system_message_and_context_exactly(client: Any) -> None:
    system = {"role": "system", "content": "Answer in one sentence."}
    messages = [system, {"role": "user", "content": PASSWORD}]
    client.put(messages, "answer", context={"model": "small"})
    assert client.lookup(messages, context={"model": "small"}).response == "answer"
    assert not client.lookup(messages, context={"model": "large"})
    assert not client.lookup(messages[1:], context={"model": "small"})
    assert client.delete(messages, context={"model": "small"}) is True
    assert client.delete(messages, context={"model": "small"}) is False


def test_messages_of_sdks_are_the_same_as_dicts(client: Any) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ghent"}'}}
    block = {"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Ghent"}}
    user, result = {"role": "user", "content": PASSWORD}, {"role": "tool", "tool_call_id": "1", "content": "sun"}
    forms = [
        [user, {"role": "assistant", "tool_calls": [call]}, result],
        [
            user,
            ChatCompletionMessage.model_validate({"role": "assistant", "content": None, "tool_calls": [call]}),
            result,
        ],
        [user, {"role": "assistant", "content": [ToolUseBlock.model_validate(block)]}, result],
        [
            HumanMessage(PASSWORD),
            AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Ghent"}, "id": "1"}]),
            ToolMessage("sun", tool_call_id="1"),
        ],
    ]
    client.put(forms[0], "answer")
    assert [client.get(form).response for form in forms] == ["answer"] * 4


def test_put_with_if_absent_keeps_the_entry(client: Any) -> None:
    first = client.put(PASSWORD, "answer")
    assert client.put(PASSWORD, "other", if_absent=True) == Stored(first.id, created=False, kept=True)
    assert client.put("another", "other", if_absent=True).kept is False
    assert client.put("unfinished", "The", finish_reason="length") == Stored(skipped="truncated")
    assert client.get(PASSWORD).response == "answer"


def test_lookup_with_tags_is_answered_by_entries_that_have_them(client: Any) -> None:
    stored = client.put(PASSWORD, "answer", tags=["doc:handbook", "de"])
    assert client.get(PASSWORD, tags=["de"]).tags == ["de", "doc:handbook"]
    assert client.entry(stored.id).tags == ["de", "doc:handbook"]
    assert client.lookup(PASSWORD, tags=["fr"]).reason == "missing_tag"
    tagged, untagged = client.lookup_many([Lookup(PASSWORD, tags=["doc:handbook"]), Lookup(PASSWORD, tags=["fr"])])
    assert (tagged.response, untagged.reason) == ("answer", "missing_tag")


@pytest.mark.parametrize("call", ["lookup", "put"])
def test_one_text_as_tags_is_refused(mneme: Mneme, call: str) -> None:
    with pytest.raises(InvalidRequest, match="tags"):
        mneme.lookup(PASSWORD, tags="de") if call == "lookup" else mneme.put(PASSWORD, "answer", tags="de")


def test_delete_tagged_deletes_the_entries_of_the_tag_alone(client: Any, namespace: str) -> None:
    client.put_many([Put(f"question {n}", "answer", tags=["old"] if n % 2 else ["new"]) for n in range(6)])
    client.put("elsewhere", "answer", tags=["old"], namespace=f"{namespace} b")
    assert client.delete_tagged("old") == 3
    assert client.delete_tagged("old") == 0
    assert [one.tags for one in client.entries(namespace=namespace)] == [["new"]] * 3
    assert client.delete_tagged("old", namespace=f"{namespace} b") == 1


def test_delete_tagged_continues_until_nothing_is_left(make_client: Callable[..., Any], proxy: Proxy) -> None:
    replies = [{"deleted_entries": 2000, "cursor": "1.2.3"}, {"deleted_entries": 5, "cursor": None}]
    proxy.first(*(Answer(200, json.dumps(reply).encode()) for reply in replies))
    assert make_client(proxy.url).delete_tagged("old") == 2005
    first, second = (seen.json() for seen in proxy.seen)
    assert (first, second) == (
        {"namespace": "default", "tag": "old"},
        {"namespace": "default", "tag": "old", "cursor": "1.2.3"},
    )


def test_put_keeps_what_the_answer_cost(client: Any) -> None:
    usage = Usage(prompt_tokens=12, completion_tokens=34, model="small", latency_ms=560)
    assert client.entry(client.put(PASSWORD, "answer", usage=usage).id).usage == usage
    (stored,) = client.put_many([Put("another", "answer", usage={"prompt_tokens": 1})])
    assert client.entry(stored.id).usage.prompt_tokens == 1


def test_lookup_with_explain_says_why(client: Any) -> None:
    stored = client.put(PASSWORD, "answer", embedding=[0.9, 0.1, 0.2])
    hit = client.lookup("I forgot my password", embedding=NEAR, explain=True)
    candidate = hit.explanation.candidates[0]
    assert (candidate.id, candidate.layer, candidate.served, candidate.reason) == (stored.id, "semantic", True, None)
    assert (hit.explanation.question.text, hit.explanation.rules.guard) == ("i forgot my password", "on")
    miss = client.lookup(PASSWORD, context={"model": "other"}, embedding=FAR, explain=True)
    assert miss.explanation.other_context.id == stored.id
    assert client.lookup(PASSWORD).explanation is None


def test_hit_has_the_similarity_that_the_threshold_is_compared_with(
    make_client: Callable[..., Any], proxy: Proxy
) -> None:
    reply = {"similarity": 0.6, "confidence": 0.9, "age_seconds": 1, "layer": "semantic", "namespace": "n", "id": 7}
    reply |= {"outcome": "hit", "response": "r", "metadata": {}, "query": "q", "scaled_similarity": 0.91}
    proxy.first(Answer(200, json.dumps(reply).encode()))
    hit = make_client(proxy.url).get(PASSWORD)
    assert (hit.query, hit.similarity, hit.scaled_similarity) == ("q", 0.6, 0.91)


def test_update_changes_what_is_named_alone(client: Any) -> None:
    id = client.put(PASSWORD, "old", ttl=90, metadata={"a": 1}, tags=["de"]).id
    before = client.entry(id)
    changed = client.update(id, response="new", metadata={"b": 2}, confidence_score=0.5)
    assert changed == replace(before, response="new", metadata={"b": 2}, confidence_score=0.5)
    assert client.entry(id) == changed
    assert client.update(id, tags=["b", "a"]).tags == ["a", "b"]
    assert client.update(id, tags=[]).tags == []
    assert client.update(id, never_expires=True).expires_at is None
    assert client.update(id, ttl=timedelta(days=1)).expires_at > before.expires_at
    with pytest.raises(InvalidRequest, match="blank"):
        client.update(id, response=" ")
    with pytest.raises(NotFound):
        client.update(10**15, response="new")


def test_hit_says_that_the_answer_depends_on_the_time(client: Any) -> None:
    for question, volatile in ((PASSWORD, False), ("What is the weather today?", True)):
        client.put(question, "answer")
        assert client.get(question).volatile is volatile


def test_entry_says_who_stored_it_if_that_is_known(client: Any) -> None:
    # mneme-local has no token and no IAM identity.
    assert client.entry(client.put(PASSWORD, "answer").id).stored_by is None


def test_lease_is_granted_once_and_ends_with_the_put(client: Any) -> None:
    granted = client.lookup(PASSWORD, lease=timedelta(minutes=15)).lease
    assert (granted.state, granted.seconds) == ("granted", 900)
    held = client.lookup(PASSWORD.upper(), lease=900).lease
    assert (held.state, held.token) == ("held", None)
    assert 0 < held.seconds <= 900
    assert client.lookup(PASSWORD).lease is None
    client.put(PASSWORD, "answer", lease_token=granted.token)
    assert client.lookup(PASSWORD, lease=900).response == "answer"
    with pytest.raises(InvalidRequest, match="lease"):
        client.lookup(PASSWORD, lease=901)
    with pytest.raises(InvalidRequest, match="lease: 0 is no length of time"):
        client.lookup(PASSWORD, lease=0)


def test_released_lease_is_anybodys(client: Any) -> None:
    messages = [{"role": "user", "content": PASSWORD}]
    token = client.lookup(messages, context={"model": "small"}, lease=900).lease.token
    assert client.release(messages, "of nobody", context={"model": "small"}) is False
    assert client.release(messages, token) is False
    assert client.release(messages, token, context={"model": "small"}) is True
    both = client.lookup_many([Lookup(messages, context={"model": "small"}, lease=900)] * 2)
    granted, held = sorted((miss.lease for miss in both), key=lambda lease: lease.state)
    assert (granted.state, held.state) == ("granted", "held")
    client.put_many([Put(messages, "answer", context={"model": "small"}, lease_token=granted.token)])
    assert client.get(messages, context={"model": "small"}).response == "answer"


def test_feedback_bars_an_entry_from_a_question_or_makes_it_the_answer(client: Any) -> None:
    stored = client.put(PASSWORD, "answer", context={"model": "small"})
    messages = [{"role": "user", "content": "Which bakeries are open?"}]
    assert client.feedback(messages, stored.id, True, context={"model": "small"}) == "aliased"
    assert client.lookup(messages, context={"model": "small"}).layer == "exact"
    assert client.feedback(messages, stored.id, False, context={"model": "small"}) == "barred"
    assert client.get(messages, context={"model": "small"}) is None
    assert client.feedback(PASSWORD, stored.id, True, context={"model": "small"}) == "none"
    with pytest.raises(NotFound):
        client.feedback(messages, 999, True, context={"model": "small"})


def test_get_returns_a_hit_or_none(client: Any) -> None:
    assert client.get(PASSWORD) is None
    client.put(PASSWORD, "answer")
    assert client.get(PASSWORD).response == "answer"
    assert client.get(PASSWORD, bypass=True) is None


def test_put_of_a_known_question_replaces_its_entry(client: Any) -> None:
    first = client.put(PASSWORD, "old")
    assert first.created is True
    assert client.put(PASSWORD, "new") == Stored(first.id, created=False)
    assert client.get(PASSWORD).response == "new"


def test_put_with_an_idempotency_key_answers_as_the_first_time(client: Any, namespace: str) -> None:
    first = client.put(PASSWORD, "one", idempotency_key=namespace)
    assert first.created is True
    # Without the key the second put would replace the entry.
    assert client.put(PASSWORD, "one", idempotency_key=namespace) == first
    with pytest.raises(IdempotentParameterMismatch):
        client.put(PASSWORD, "two", idempotency_key=namespace)
    assert client.get(PASSWORD).response == "one"


@pytest.mark.parametrize("ttl", [90, 90.7, timedelta(minutes=1.5)])
def test_put_with_ttl_sets_when_the_entry_expires(client: Any, ttl: Any) -> None:
    entry = client.entry(client.put(PASSWORD, "answer", ttl=ttl).id)
    assert entry.expires_at - entry.created_at == 90


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), "60", timedelta(0)])
def test_put_with_what_is_no_ttl_is_refused(mneme: Mneme, ttl: Any) -> None:
    with pytest.raises(InvalidRequest, match="ttl"):
        mneme.put(PASSWORD, "answer", ttl=ttl)


VECTORS = [
    [0.6, 0.8, 0.0],
    (0.6, 0.8, 0),
    np.array([0.6, 0.8, 0.0]),
    np.array([0.6, 0.8, 0.0], dtype=np.float32),
    np.array([0.6, 0.8, 0.0], dtype=np.float16),
    np.array([9.0, 0.6, 9.0, 0.8, 9.0, 0.0])[1::2],
    struct.pack("<3f", 0.6, 0.8, 0.0),
    base64.b64encode(struct.pack("<3f", 0.6, 0.8, 0.0)).decode(),
]


@pytest.mark.parametrize("embedding", VECTORS, ids=lambda vector: type(vector).__name__)
def test_embedding_in_each_form_is_stored(mneme: Mneme, embedding: Any) -> None:
    entry_id = mneme.put(PASSWORD, "answer", embedding=embedding).id
    assert entry_id is not None
    vector = mneme.entry(entry_id).vector()
    assert vector == pytest.approx([0.6, 0.8, 0.0], abs=1e-3)


@pytest.mark.parametrize("embedding", [["a"], np.zeros((2, 3)), 7, [1e39, 0, 0], [None]])
def test_embedding_that_is_no_vector_is_refused(mneme: Mneme, embedding: Any) -> None:
    with pytest.raises(InvalidRequest, match="embedding"):
        mneme.lookup(PASSWORD, embedding=embedding)


@pytest.mark.parametrize(
    ("query", "context"),
    [(PASSWORD, {"x": float("nan")}), (PASSWORD, {"x": object()}), ("\ud800", None), (None, None), (b"bytes", None)],
)
def test_request_that_json_cannot_express_is_refused(mneme: Mneme, query: Any, context: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        mneme.lookup(query, context=context)
    assert refused.value.remediation


def test_entry_find_touch_and_delete_entry_use_ids_and_hashes(client: Any, namespace: str) -> None:
    id = client.put(PASSWORD, "answer", confidence_score=0.5, metadata={"a": [1, None]}).id
    entry = client.entry(id)
    assert (entry.query, entry.response, entry.confidence_score) == (PASSWORD, "answer", 0.5)
    assert (entry.metadata, entry.vector()) == ({"a": [1, None]}, None)
    assert client.find(entry.query_hash) == entry
    assert client.find(entry.query_hash, namespace=namespace) == entry
    client.touch(id)
    assert client.entry(id).access_count == entry.access_count + 1
    assert client.delete_entry(id) is True
    assert client.delete_entry(id) is False
    with pytest.raises(NotFound):
        client.touch(id)


def test_entries_reads_all_pages(client: Any, namespace: str) -> None:
    ids = [client.put(f"question number {n}", "answer").id for n in range(7)]
    client.touch(ids[0])
    assert [entry.id for entry in client.entries(namespace=namespace, page_size=3)] == ids
    by_use = [entry.id for entry in client.entries(namespace=namespace, order="lru", page_size=2)]
    assert sorted(by_use) == ids
    page = client.page(namespace=namespace, after_id=ids[3], limit=2)
    assert [entry.id for entry in page.entries] == ids[4:6]
    assert client.page(namespace=namespace, cursor=page.cursor).entries[0].id == ids[6]


def test_entries_with_filters_are_those_that_pass_them(client: Any, namespace: str) -> None:
    client.put("How do I pay?", "answer", metadata={"source": "faq"})
    id = client.put(PASSWORD, "answer", metadata={"source": "chat & co"}, tags=["doc:a b&c"]).id
    for filters in ({"text": "RESET my"}, {"tag": "doc:a b&c"}, {"metadata": {"source": "chat & co"}}):
        assert [entry.id for entry in client.entries(namespace=namespace, page_size=1, **filters)] == [id]
    created = client.entry(id).created_at
    assert client.page(namespace=namespace, created_before=created - 60, used_since=0).entries == []
    assert len(client.page(namespace=namespace, created_since=created - 60, used_before=created + 60).entries) == 2


def test_namespaces_and_clear_count_entries(client: Any, namespace: str) -> None:
    client.put("one", "answer")
    client.put("two", "answer")
    client.put("three", "answer", namespace=f"{namespace}/other ß")
    counts = {count.namespace: count.entries for count in client.namespaces()}
    assert (counts[namespace], counts[f"{namespace}/other ß"]) == (2, 1)
    assert client.stats(namespace=namespace).entries == 2
    assert client.stats().entries >= 3
    assert client.clear() == 2
    assert client.clear(f"{namespace}/other ß") == 1
    assert client.clear() == 0


def test_clear_all_deletes_every_namespace(make_client: Callable[..., Any], own_api: str) -> None:
    client = make_client(own_api)
    client.put_many([Put("a", "1", namespace="x"), Put("b", "2", namespace="y")])
    assert client.clear_all() == 2
    assert client.namespaces() == []


def test_lookup_many_keeps_the_order_and_the_errors(client: Any) -> None:
    client.put_many([("one", "1"), Put("two", "2", context={"model": "small"})])
    one, other, blank, two = client.lookup_many(["one", "three", " ", Lookup("two", context={"model": "small"})])
    assert (one.response, two.response) == ("1", "2")
    assert isinstance(other, Miss)
    assert isinstance(blank, InvalidRequest)


def test_with_options_changes_the_namespace_alone(client: Any, namespace: str) -> None:
    other = client.with_options(namespace=f"{namespace} b")
    other.put(PASSWORD, "b")
    client.put(PASSWORD, "a")
    assert (client.get(PASSWORD).response, other.get(PASSWORD).response) == ("a", "b")


def test_method_shows_the_signature_of_its_operation() -> None:
    signature = inspect.signature(Mneme.lookup)
    assert list(signature.parameters)[:2] == ["self", "query"]
    assert signature.return_annotation == "Hit | Miss"
    assert Mneme.lookup.__doc__

"""Of several callers of a model of LangChain who ask the same new question at once, one calls the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage
from servers import Proxy
from stand import QUESTION, model, says

from mneme_lambda import InvalidRequest, Mneme
from mneme_lambda._leases import Leases
from mneme_lambda.langchain import MnemeCache
from mneme_lambda.results import Lease

TEXT = "Choose “Forgot password”."


@pytest.fixture
def leasing(mneme: Mneme) -> MnemeCache:
    return MnemeCache(mneme, lease=600)


def in_a_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as other:
        return other.submit(call).result()


def slowly(messages: Any) -> AIMessage:
    time.sleep(0.3)
    return says(TEXT)(messages)


def test_threads_with_one_question_call_the_model_once(leasing: MnemeCache, mneme: Mneme) -> None:
    chat = model(leasing, slowly)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: chat.invoke(QUESTION).content, range(8)))
    assert answers == [TEXT] * 8
    assert len(chat.calls) == 1
    assert (mneme.counts.waited, mneme.counts.hits, mneme.counts.misses) == (7, 7, 1)


async def test_tasks_with_one_question_call_the_model_once(leasing: MnemeCache) -> None:
    chat = model(leasing, slowly)
    answers = await asyncio.gather(*(chat.ainvoke(QUESTION) for _ in range(8)))
    await leasing.aclose()
    assert [answer.content for answer in answers] == [TEXT] * 8
    assert len(chat.calls) == 1


def test_without_a_lease_nobody_waits(proxy: Proxy, namespace: str) -> None:
    with Mneme(proxy.url, namespace=namespace) as client:
        model(MnemeCache(client)).invoke(QUESTION)
    lookup, put = (seen.json() for seen in proxy.seen)
    assert "lease" not in lookup
    assert "lease_token" not in put


def test_put_of_the_answer_ends_the_lease(leasing: MnemeCache, mneme: Mneme) -> None:
    chat = model(leasing)
    chat.invoke(QUESTION)
    mneme.clear()
    # The put lets the lease end a moment later. Without it, this call would wait for ten minutes.
    chat.invoke(QUESTION)
    assert len(chat.calls) == 2


def test_answer_that_is_not_stored_releases_the_lease(leasing: MnemeCache, mneme: Mneme) -> None:
    chat = model(leasing, lambda _: AIMessage("The", response_metadata={"finish_reason": "length"}))
    chat.invoke(QUESTION)
    in_a_thread(lambda: chat.invoke(QUESTION))
    assert (len(chat.calls), mneme.counts.not_stored, mneme.counts.waited) == (2, 2, 0)


def failing_once() -> Callable[[Any], AIMessage]:
    calls = []

    def reply(messages: Any) -> AIMessage:
        calls.append(messages)
        if len(calls) == 1:
            raise ConnectionError("the model failed")
        return says(TEXT)(messages)

    return reply


def test_retry_after_a_failure_of_the_model_does_not_wait_for_itself(leasing: MnemeCache, mneme: Mneme) -> None:
    chat = model(leasing, failing_once()).with_retry(wait_exponential_jitter=False)
    assert chat.invoke(QUESTION).content == TEXT
    assert (mneme.counts.waited, mneme.counts.errors, mneme.counts.stored) == (0, 0, 1)


async def test_async_retry_after_a_failure_of_the_model_does_not_wait_for_itself(
    leasing: MnemeCache, mneme: Mneme
) -> None:
    chat = model(leasing, failing_once()).with_retry(wait_exponential_jitter=False)
    assert (await chat.ainvoke(QUESTION)).content == TEXT
    await leasing.aclose()
    assert (mneme.counts.waited, mneme.counts.errors, mneme.counts.stored) == (0, 0, 1)


def test_batch_that_is_tried_again_does_not_wait_for_itself(leasing: MnemeCache, mneme: Mneme) -> None:
    chat = model(leasing, failing_once()).with_retry(wait_exponential_jitter=False)
    assert {answer.content for answer in chat.batch([QUESTION, "Where is my invoice?"])} == {TEXT}
    assert (mneme.counts.waited, mneme.counts.errors) == (0, 0)


def test_one_call_with_the_same_prompt_twice_does_not_wait_for_itself(leasing: MnemeCache, mneme: Mneme) -> None:
    llm = FakeListLLM(responses=["one", "two"], cache=leasing)
    assert len(llm.generate([QUESTION, QUESTION]).generations) == 2
    assert (mneme.counts.waited, mneme.counts.errors) == (0, 0)


def test_lease_that_is_no_time_is_refused(mneme: Mneme) -> None:
    with pytest.raises(InvalidRequest, match="lease"):
        MnemeCache(mneme, lease=0)


def test_leases_are_their_callers_and_end() -> None:
    leases = Leases()
    leases.keep("a", Lease("granted", 600, "token"))
    leases.keep("b", Lease("held", 600))
    leases.keep("c", Lease("granted", 0, "ended"))
    leases.keep("d", None)
    assert in_a_thread(lambda: (leases.take_own("a"), leases.take_abandoned("a"))) == (None, None)
    leases.keep("e", Lease("granted", 600, "later"))
    assert [leases.take_own(question) for question in "bcdae"] == [None, None, None, "token", "later"]
    assert leases.take_own("a") is None
    leases.keep("a", Lease("granted", 600, "again"))
    assert leases.take_abandoned("a") == "again"


def test_lease_of_a_thread_that_ended_is_abandoned() -> None:
    leases = Leases()
    in_a_thread(lambda: leases.keep("a", Lease("granted", 600, "token")))
    assert leases.take_own("a") is None
    assert [leases.take_abandoned("a") for _ in range(2)] == ["token", None]


async def test_lease_of_a_task_that_ended_is_abandoned() -> None:
    leases = Leases()
    go = asyncio.Event()

    async def hold() -> None:
        leases.keep("a", Lease("granted", 600, "token"))
        await go.wait()

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    assert leases.take_abandoned("a") is None
    go.set()
    await task
    assert (leases.take_own("a"), leases.take_abandoned("a")) == (None, "token")

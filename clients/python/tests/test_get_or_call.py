"""The loop around a model call, its decorator, and what may be stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from servers import Answer as Reply
from servers import Proxy

from mneme_lambda import AsyncMneme, Completion, InvalidRequest, Mneme, Stored, read_completion

QUESTION = "How do I reset my password?"


def test_answer_says_what_happened(client: Any) -> None:
    first = client.get_or_call(QUESTION, lambda: "Choose “Forgot password”.")
    assert (first.text, str(first), first.source, first.result) == (
        *["Choose “Forgot password”."] * 2,
        "model",
        first.text,
    )
    assert isinstance(first.stored, Stored)
    assert (first.miss.reason, first.hit, first.not_stored, first.error) == ("no_embedding", None, None, None)
    again = client.get_or_call(QUESTION.upper(), lambda: pytest.fail("the model was called"))
    assert (again.text, again.source, again.result) == (first.text, "cache", None)
    assert again.hit.id == first.stored.id
    assert (client.counts.hits, client.counts.misses, client.counts.stored) == (1, 1, 1)


def test_options_reach_the_lookup_and_the_put(client: Any, namespace: str) -> None:
    options = {
        "context": {"model": "small"},
        "namespace": f"{namespace} b",
        "embedding": [0.9, 0.1, 0.2],
        "threshold": 0.9,
        "metadata": {"source": "model"},
        "ttl": timedelta(minutes=1),
    }
    id = client.get_or_call(QUESTION, lambda: "answer", **options).stored.id
    entry = client.entry(id)
    assert (entry.namespace, entry.metadata, entry.expires_at - entry.created_at) == (
        f"{namespace} b",
        {"source": "model"},
        60,
    )
    near = {**options, "embedding": [0.85, 0.15, 0.2]}
    assert client.get_or_call("I forgot my password", lambda: "other", **near).source == "cache"
    assert client.get_or_call(QUESTION, lambda: "other", **{**options, "context": {}}).source == "model"
    assert client.get_or_call(QUESTION, lambda: "newer", bypass=True, **options).text == "newer"
    assert client.get_or_call(QUESTION, lambda: "other", **options).text == "newer"


def test_conversation_is_a_question(client: Any) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    assert client.get_or_call(messages, lambda: "answer").source == "model"
    assert client.get_or_call(messages, lambda: "other").source == "cache"


def test_error_of_the_model_is_raised_and_nothing_is_stored(client: Any) -> None:
    def call() -> str:
        raise StopIteration("the model failed") if isinstance(client, Mneme) else RuntimeError("the model failed")

    with pytest.raises((StopIteration, RuntimeError), match="the model failed"):
        client.get_or_call(QUESTION, call)
    assert client.get(QUESTION) is None


def test_request_that_cannot_be_sent_does_not_stop_the_model(client: Any) -> None:
    answer = client.get_or_call(QUESTION, lambda: "answer", context={"x": object()})
    assert (answer.text, type(answer.error)) == ("answer", InvalidRequest)


def test_result_of_an_unknown_kind_is_returned_and_not_stored(client: Any) -> None:
    answer = client.get_or_call(QUESTION, lambda: {"unknown": 1})
    assert answer.result == {"unknown": 1}
    assert "read=" not in answer.not_stored
    assert "unknown type dict" in answer.not_stored
    with pytest.raises(TypeError, match="read="):
        _ = answer.text


def test_read_tells_the_text_of_results_of_ones_own(client: Any) -> None:
    def read(result: dict[str, str]) -> Completion:
        return Completion(result["text"], None if result["done"] else "it is not done")

    assert client.get_or_call(QUESTION, lambda: {"text": "a", "done": ""}, read=read).not_stored == "it is not done"
    answer = client.get_or_call(QUESTION, lambda: {"text": "b", "done": "yes"}, read=read)
    assert (answer.text, answer.result["done"]) == ("b", "yes")
    assert client.get(QUESTION).response == "b"


def test_one_of_many_threads_calls_the_model_and_the_others_get_its_answer(mneme: Mneme) -> None:
    called = []

    def call() -> str:
        called.append(1)
        time.sleep(0.3)
        return "answer"

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: mneme.get_or_call(QUESTION, call), range(10)))
    assert (len(called), {answer.text for answer in answers}) == (1, {"answer"})
    assert sum(answer.source == "model" for answer in answers) == 1
    assert (mneme.counts.hits, mneme.counts.misses, mneme.counts.stored) == (9, 1, 1)
    assert mneme.counts.waited == sum(answer.waited for answer in answers) > 0


async def test_one_of_many_tasks_calls_the_model(api: str, namespace: str) -> None:
    called = []

    async def call() -> str:
        called.append(1)
        await asyncio.sleep(0.3)
        return "answer"

    async with AsyncMneme(api, namespace=namespace) as client:
        answers = await asyncio.gather(*[client.get_or_call(QUESTION, call) for _ in range(10)])
    assert (len(called), {answer.text for answer in answers}) == (1, {"answer"})


def test_lease_is_released_after_an_answer_that_is_not_stored(client: Any) -> None:
    assert client.get_or_call(QUESTION, lambda: "").stored is None
    assert client.lookup(QUESTION, lease=900).lease.state == "granted"


def test_lease_is_released_after_an_error_of_the_model(mneme: Mneme) -> None:
    def call() -> str:
        raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError, match="the model failed"):
        mneme.get_or_call(QUESTION, call)
    assert mneme.get_or_call(QUESTION, lambda: "answer").waited is False


async def test_lease_is_released_after_a_task_was_cancelled(api: str, namespace: str) -> None:
    async with AsyncMneme(api, namespace=namespace) as client:
        started = asyncio.Event()

        async def call() -> str:
            started.set()
            await asyncio.sleep(60)
            return "never"

        task = asyncio.create_task(client.get_or_call(QUESTION, call, lease=900))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.get_or_call(QUESTION, lambda: asyncio.sleep(0, "answer"))).text == "answer"


def test_caller_calls_the_model_when_the_lease_of_a_killed_caller_ends(client: Any) -> None:
    assert client.lookup(QUESTION, lease=1).lease.state == "granted"
    answer = client.get_or_call(QUESTION, lambda: "answer")
    assert (answer.source, answer.waited, answer.stored.created) == ("model", True, True)


def test_without_a_lease_nobody_waits(client: Any) -> None:
    assert client.lookup(QUESTION, lease=900).lease.state == "granted"
    assert client.get_or_call(QUESTION, lambda: "answer", lease=None).waited is False


def test_cache_that_fails_during_the_wait_does_not_stop_the_model(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str
) -> None:
    client = make_client(proxy.url, namespace=namespace)
    assert client.lookup(QUESTION, lease=900).lease.state == "granted"
    first = len(proxy.seen) + 1
    problem = b'{"type": "urn:mneme:error:Internal", "status": 500, "detail": "d", "remediation": "r"}'
    proxy.rule = lambda seen: Reply(400, problem) if len(proxy.seen) > first else None
    answer = client.get_or_call(QUESTION, lambda: "answer")
    assert (answer.text, answer.waited, answer.not_stored) == ("answer", True, "the lookup failed")


def chat(message: dict[str, Any] | None = None, finish: str = "stop", choices: int = 1) -> ChatCompletion:
    choice = {"finish_reason": finish, "message": {"role": "assistant", "content": "text", **(message or {})}}
    return ChatCompletion.model_validate(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{**choice, "index": n, "logprobs": None} for n in range(choices)],
        }
    )


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def response(status: str = "completed", part: dict[str, Any] | None = None, more: list[Any] | None = None) -> Response:
    part = part or {"type": "output_text", "text": "text", "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return Response.model_construct(
        id="1",
        object="response",
        status=status,
        output=Response.model_validate(
            {
                "id": "1",
                "object": "response",
                "created_at": 0,
                "model": "m",
                "status": status,
                "output": [message, *(more or [])],
                "parallel_tool_calls": False,
                "tool_choice": "auto",
                "tools": [],
            }
        ).output,
    )


def anthropic(reason: str = "end_turn", blocks: list[Any] | None = None) -> Message:
    return Message.model_validate(
        {
            "id": "1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": blocks or [{"type": "text", "text": "text"}],
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )


def converse(reason: str = "end_turn", blocks: list[Any] | None = None) -> dict[str, Any]:
    return {"stopReason": reason, "output": {"message": {"role": "assistant", "content": blocks or [{"text": "text"}]}}}


THINKING = {"type": "thinking", "thinking": "…", "signature": "s"}
TOOL_USE = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
FUNCTION_CALL = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
MAY = [
    "text",
    Completion("text"),
    chat(),
    chat().model_dump(),
    response(),
    response(more=[{"type": "reasoning", "id": "r", "summary": []}]),
    response().model_dump(),
    anthropic(),
    anthropic("stop_sequence"),
    anthropic(blocks=[THINKING, {"type": "text", "text": "te"}, {"type": "text", "text": "xt"}]),
    anthropic().model_dump(),
    converse(),
]
MAY_NOT = [
    ("", "blank"),
    (" \n", "blank"),
    ("[LLM Error] no", "failure"),
    ("[ERROR] no", "failure"),
    (Completion("text", "personal"), "personal"),
    (chat(finish="length"), "length"),
    (chat(finish="content_filter"), "content_filter"),
    (chat({"content": None}), "blank"),
    (chat({"refusal": "no"}), "refused"),
    (chat({"tool_calls": [CALL]}, "tool_calls"), "tool"),
    (chat({"tool_calls": [CALL]}, "stop"), "tool"),
    (chat(choices=2), "2 choices"),
    (chat(choices=0), "0 choices"),
    (response("incomplete"), "incomplete"),
    (response("failed"), "failed"),
    (response(part={"type": "refusal", "refusal": "no"}), "refused"),
    (response(more=[FUNCTION_CALL]), "tool"),
    (anthropic("max_tokens"), "max_tokens"),
    (anthropic("refusal"), "refusal"),
    (anthropic("pause_turn"), "pause_turn"),
    (anthropic("tool_use", [TOOL_USE]), "tool_use"),
    (anthropic("end_turn", [TOOL_USE]), "tool"),
    (converse("guardrail_intervened"), "guardrail"),
    (converse("end_turn", [{"toolUse": {"name": "f"}}]), "tool"),
    (converse("tool_use"), "tool_use"),
]


@pytest.mark.parametrize("result", MAY, ids=range(len(MAY)))
def test_finished_answer_may_be_stored(result: Any) -> None:
    assert read_completion(result) == Completion("text")


@pytest.mark.parametrize(("result", "why"), MAY_NOT, ids=range(len(MAY_NOT)))
def test_unfinished_answer_may_not_be_stored(mneme: Mneme, result: Any, why: str) -> None:
    answer = mneme.get_or_call(QUESTION, lambda: result)
    assert why in (answer.not_stored or "")
    assert answer.result is result
    assert mneme.get(QUESTION) is None


@pytest.mark.parametrize("result", [None, 7, object(), iter("text"), {"choices": 3}, [1]])
def test_result_that_cannot_be_read_is_a_type_error(result: Any) -> None:
    with pytest.raises(TypeError):
        read_completion(result)


def test_decorated_function_returns_texts(mneme: Mneme) -> None:
    called = []

    @mneme.cached(ttl=60, context={"model": "small"})
    def ask(question: str, language: str = "en") -> str:
        """Asks."""
        called.append((question, language))
        return f"{question} in {language}"

    assert ask("a question") == ask("A question", language="en") == "a question in en"
    assert ask("a question", "de") == "a question in de"
    assert called == [("a question", "en"), ("a question", "de")]
    assert ask.answer("a question").source == "cache"
    assert (vars(ask)["__name__"], ask.__doc__) == ("ask", "Asks.")
    with pytest.raises(TypeError, match="missing"):
        ask()  # type: ignore[call-arg]


def test_two_decorated_functions_share_no_answer(mneme: Mneme) -> None:
    @mneme.cached()
    def one(question: str) -> str:
        return "one"

    @mneme.cached()
    def two(question: str) -> ChatCompletion:
        return chat()

    assert (one("q"), two("q"), one("q"), two("q")) == ("one", "text", "one", "text")


def test_decorated_function_with_a_failing_cache_calls_the_model() -> None:
    with Mneme("http://127.0.0.1:9") as client:

        @client.cached()
        def ask(question: str, user: object = None) -> str:
            return "answer"

        assert ask("question") == "answer"
        assert ask("question", object()) == "answer"
        assert client.counts.errors == 2


@pytest.mark.parametrize("function", [lambda: "x", lambda self, question: "x"])
def test_function_without_a_question_cannot_be_decorated(mneme: Mneme, function: Callable[..., str]) -> None:
    with pytest.raises(TypeError, match="first argument"):
        mneme.cached()(function)


async def test_decorated_coroutine_function_returns_texts(api: str, namespace: str) -> None:
    async with AsyncMneme(api, namespace=namespace) as client:

        @client.cached(ttl=60)
        async def ask(question: str, *, user: str) -> ChatCompletion:
            return chat({"content": user})

        assert await ask("question", user="ann") == await ask("question", user="ann") == "ann"
        assert await ask("question", user="ben") == "ben"
        assert (await ask.answer("question", user="ben")).source == "cache"


def test_hit_costs_one_request_and_a_miss_two(make_client: Callable[..., Any], proxy: Proxy, namespace: str) -> None:
    client = make_client(proxy.url, namespace=namespace)
    client.get_or_call(QUESTION, lambda: "answer")
    client.get_or_call(QUESTION, lambda: "answer")
    assert [seen.target for seen in proxy.seen] == ["/v1/lookup", "/v1/entries", "/v1/lookup"]

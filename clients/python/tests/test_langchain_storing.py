"""What the cache for LangChain stores, what it does not store, and what happens when it fails."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation
from langchain_core.prompts import ChatPromptTemplate
from servers import Answer, Proxy
from stand import QUESTION, Meaning, Stand, model, says

from mneme_lambda import Mneme
from mneme_lambda.langchain import MnemeCache, _context

LLM = "a model and its parameters"


UNFINISHED = [
    AIMessage("cut", response_metadata={"finish_reason": "length"}),
    AIMessage("cut", response_metadata={"stop_reason": "max_tokens"}),
    AIMessage("cut", response_metadata={"status": "incomplete"}),
    AIMessage("no", response_metadata={"stop_reason": "refusal"}),
    AIMessage("no", additional_kwargs={"refusal": "no"}),
    AIMessage(""),
    AIMessage(" \n"),
    AIMessage("[LLM Error] no"),
    AIMessage(
        "", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": "e", "type": "invalid_tool_call"}]
    ),
]


@pytest.mark.parametrize("message", UNFINISHED, ids=range(len(UNFINISHED)))
def test_unfinished_answer_is_not_stored(cache: MnemeCache, mneme: Mneme, message: AIMessage) -> None:
    chat = model(cache, lambda messages: message)
    chat.invoke(QUESTION)
    chat.invoke(QUESTION)
    assert len(chat.calls) == 2
    assert (mneme.counts.not_stored, mneme.counts.errors) == (2, 0)


FINISHED = ["stop", "STOP", "end_turn", "stop_sequence", "completed", "eos_token"]


@pytest.mark.parametrize("reason", FINISHED)
def test_finished_answer_is_stored(cache: MnemeCache, reason: str) -> None:
    chat = model(cache, lambda messages: AIMessage("answer", response_metadata={"stop_reason": reason}))
    chat.invoke(QUESTION)
    chat.invoke(QUESTION)
    assert len(chat.calls) == 1


def test_answer_with_an_object_that_cannot_be_serialised_is_not_stored(cache: MnemeCache, mneme: Mneme) -> None:
    chat = model(cache, lambda messages: AIMessage("answer", response_metadata={"raw": object()}))
    assert chat.invoke(QUESTION).content == chat.invoke(QUESTION).content == "answer"
    assert len(chat.calls) == 2
    assert (mneme.counts.not_stored, mneme.counts.errors) == (2, 0)


def test_stored_text_that_names_other_classes_makes_nothing(cache: MnemeCache, mneme: Mneme) -> None:
    template = dumps(ChatPromptTemplate.from_messages([("human", "x")]))
    prompt = dumps([HumanMessage(QUESTION)])
    cache.update(prompt, LLM, [Generation(text="answer")])
    (entry,) = mneme.entries(namespace=mneme._core.namespace)
    for response in (template, f"[{template}]", "[]", "no JSON", "{}", '["text"]'):
        mneme.put([{"role": "user", "content": QUESTION}], response, context=_context(LLM))
        assert cache.lookup(prompt, LLM) is None
    assert entry.response.startswith("[{")


def test_ttl_and_namespace_reach_the_entry(mneme: Mneme, namespace: str) -> None:
    cache = MnemeCache(mneme, namespace=f"{namespace} chat", ttl=60)
    model(cache).invoke(QUESTION)
    (entry,) = mneme.entries(namespace=f"{namespace} chat")
    assert entry.expires_at is not None
    assert entry.expires_at - entry.created_at == 60
    mneme.put("another namespace", "answer")
    cache.clear()
    assert list(mneme.entries(namespace=f"{namespace} chat")) == []
    assert mneme.get("another namespace") is not None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "proxy"])
def test_failing_cache_does_not_stop_the_model(proxy: Proxy, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="mneme_lambda")
    proxy.rule = lambda seen: Answer(403, b'{"message":"Forbidden"}')
    with Mneme(proxy.url if url == "proxy" else url) as client:
        cache = MnemeCache(client)
        chat = model(cache)
        assert chat.invoke(QUESTION).content == chat.invoke(QUESTION).content

        async def work() -> str:
            try:
                return str((await chat.ainvoke(QUESTION)).content)
            finally:
                await cache.aclose()

        assert asyncio.run(work())
        assert len(chat.calls) == 3
        assert client.counts.errors == 6
    # The lookups and the puts are logged once each.
    assert len(caplog.records) == 2


class Broken(Meaning):
    def embed_query(self, text: str) -> list[float]:
        raise RuntimeError("no embeddings")


def test_failing_embeddings_do_not_stop_the_model(mneme: Mneme) -> None:
    chat = model(MnemeCache(mneme, embeddings=Broken()))
    assert chat.invoke(QUESTION).content
    assert mneme.counts.errors == 2


@pytest.mark.parametrize(
    "messages",
    [
        [ChatMessage(content="hello", role="wizard")],
        [SystemMessage("only a system message")],
        [HumanMessage(QUESTION), AIMessage("a beginning")],
        [HumanMessage(" ")],
    ],
    ids=range(4),
)
def test_conversation_that_the_cache_refuses_does_not_stop_the_model(
    cache: MnemeCache, messages: list[BaseMessage]
) -> None:
    chat = model(cache)
    assert chat.invoke(messages).content
    assert len(chat.calls) == 1


@pytest.mark.parametrize(
    "prompt",
    ["text", "[1]", "{}", "[]", '[{"lc": 1}]', "日本語", json.dumps([{"type": "constructor"}]), '["text"]'],
)
def test_prompt_of_a_plain_model_is_a_question(cache: MnemeCache, mneme: Mneme, prompt: str) -> None:
    cache.update(prompt, LLM, [Generation(text="answer")])
    assert cache.lookup(prompt, LLM) == [Generation(text="answer")]
    assert [entry.query for entry in mneme.entries(namespace=mneme._core.namespace)] == [prompt]


def test_hit_is_a_list_without_message_ids(cache: MnemeCache) -> None:
    prompt = dumps([HumanMessage(QUESTION)])
    generation = ChatGeneration(message=AIMessage("answer", id="run-1", name="bot"))
    cache.update(prompt, LLM, (generation,))
    found = cache.lookup(prompt, LLM)
    assert type(found) is list
    assert isinstance(found[0], ChatGeneration)
    assert (found[0].message.id, found[0].message.name, found[0].message.content) == (None, "bot", "answer")


class Streaming(Stand):
    """A model that streams by itself."""

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kw: Any) -> Iterator[Any]:
        yield ChatGenerationChunk(message=AIMessageChunk(content="ans"))
        yield ChatGenerationChunk(message=AIMessageChunk(content="wer"))


def test_stream_does_not_use_the_cache(cache: MnemeCache, mneme: Mneme) -> None:
    chat = Streaming(reply=says("answer"), cache=cache, calls=[])
    assert "".join(str(chunk.content) for chunk in chat.stream(QUESTION))
    assert (mneme.counts.hits, mneme.counts.misses) == (0, 0)

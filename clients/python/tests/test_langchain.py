"""The cache for LangChain, with real models, chains and graphs of LangChain around a stand-in for the model itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.caches import BaseCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from stand import NEAR, QUESTION, Meaning, model, says

from mneme_lambda import AsyncMneme, Mneme
from mneme_lambda.langchain import MnemeCache


class TestStandardSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, mneme: Mneme) -> BaseCache:
        return MnemeCache(mneme)


class TestStandardSyncOverAsyncMneme(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, api: str, namespace: str) -> Iterator[BaseCache]:
        cache = MnemeCache(AsyncMneme(api, namespace=namespace))
        yield cache
        cache.close()


class TestStandardAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, api: str, namespace: str) -> Any:
        async with AsyncMneme(api, namespace=namespace) as client:
            cache = MnemeCache(client)
            yield cache
            cache.close()


class TestStandardAsyncOverMneme(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, mneme: Mneme) -> Any:
        cache = MnemeCache(mneme)
        yield cache
        await cache.aclose()


def test_invoke_twice_calls_the_model_once(cache: MnemeCache, mneme: Mneme) -> None:
    chat = model(cache)
    first, again = chat.invoke(QUESTION), chat.invoke(QUESTION)
    assert len(chat.calls) == 1
    assert again.content == first.content
    assert again.response_metadata == first.response_metadata
    assert again.usage_metadata is not None
    assert again.usage_metadata["total_tokens"] == 12
    assert (mneme.counts.hits, mneme.counts.misses, mneme.counts.stored, mneme.counts.errors) == (1, 1, 1, 0)
    (entry,) = mneme.entries(namespace=mneme._core.namespace)
    assert entry.query == QUESTION
    assert entry.metadata == {"text": first.content}


async def test_ainvoke_twice_calls_the_model_once(cache: MnemeCache) -> None:
    chat = model(cache)
    first, again = await chat.ainvoke(QUESTION), await chat.ainvoke(QUESTION)
    assert (len(chat.calls), again.content) == (1, first.content)
    assert chat.invoke(QUESTION).content == first.content
    assert len(chat.calls) == 1
    await cache.aclose()


def test_asyncio_run_several_times_uses_one_cache(cache: MnemeCache) -> None:
    chat = model(cache)

    async def work() -> None:
        await chat.ainvoke(QUESTION)
        await cache.aclose()

    for _ in range(3):
        asyncio.run(work())
    assert len(chat.calls) == 1


def test_batch_looks_up_each_question(cache: MnemeCache) -> None:
    chat = model(cache, lambda messages: AIMessage(f"answer to {messages[-1].content}"))
    questions: list[LanguageModelInput] = [f"question {n}" for n in range(10)]
    first = [message.content for message in chat.batch(questions)]
    assert [message.content for message in chat.batch(questions)] == first
    assert len(chat.calls) == 10


async def test_abatch_looks_up_each_question(cache: MnemeCache) -> None:
    chat = model(cache)
    await chat.abatch(["one", "two"])
    await chat.abatch(["one", "two"])
    assert len(chat.calls) == 2
    await cache.aclose()


def test_global_cache_serves_models_and_plain_llms(cache: MnemeCache) -> None:
    set_llm_cache(cache)
    try:
        chat, llm = model(None), FakeListLLM(responses=["one", "two"])
        assert chat.invoke(QUESTION).content == chat.invoke(QUESTION).content
        assert len(chat.calls) == 1
        assert [llm.invoke("prompt"), llm.invoke("prompt"), llm.invoke("other")] == ["one", "one", "two"]
    finally:
        set_llm_cache(None)


def test_similar_question_is_a_hit_and_another_one_is_not(mneme: Mneme) -> None:
    chat = model(MnemeCache(mneme, embeddings=Meaning()))
    assert chat.invoke(QUESTION).content == chat.invoke(NEAR).content
    assert len(chat.calls) == 1
    chat.invoke("What is the weather?")
    assert len(chat.calls) == 2
    strict = model(MnemeCache(mneme, embeddings=Meaning(), threshold=1))
    strict.invoke(NEAR)
    assert len(strict.calls) == 1


async def test_similar_question_is_a_hit_for_ainvoke(api: str, namespace: str) -> None:
    async with AsyncMneme(api, namespace=namespace) as client:
        cache = MnemeCache(client, embeddings=Meaning())
        chat = model(cache)
        await chat.ainvoke(QUESTION)
        await chat.ainvoke(NEAR)
        assert len(chat.calls) == 1
        cache.close()


@pytest.mark.parametrize(
    "other",
    [
        [SystemMessage("Answer in German."), HumanMessage(QUESTION)],
        [SystemMessage("Answer briefly."), HumanMessage("What is the weather?")],
        [HumanMessage(QUESTION)],
        [
            SystemMessage("Answer briefly."),
            HumanMessage([{"type": "text", "text": QUESTION}, {"type": "image", "url": "x"}]),
        ],
        [
            SystemMessage("Answer briefly."),
            HumanMessage("I am allergic to nuts."),
            AIMessage("Noted."),
            HumanMessage(QUESTION),
        ],
    ],
    ids=range(5),
)
def test_other_messages_do_not_share_an_answer(mneme: Mneme, other: list[BaseMessage]) -> None:
    chat = model(MnemeCache(mneme, embeddings=Meaning()))
    chat.invoke([SystemMessage("Answer briefly."), HumanMessage(QUESTION)])
    chat.invoke(other)
    assert len(chat.calls) == 2


def test_other_parameters_and_tools_do_not_share_an_answer(cache: MnemeCache) -> None:
    for chat in (model(cache), model(cache, temperature=1)):
        chat.invoke(QUESTION)
        assert len(chat.calls) == 1
    chat = model(cache)
    chat.invoke(QUESTION, stop=["x"])
    chat.bind(tools=["t"]).invoke(QUESTION)
    assert len(chat.calls) == 2


def test_ids_of_messages_do_not_matter(cache: MnemeCache) -> None:
    chat = model(cache)
    chat.invoke([HumanMessage(QUESTION, id="1")])
    chat.invoke([HumanMessage(QUESTION, id="2")])
    assert len(chat.calls) == 1


CALL = {"name": "weather", "args": {"city": "Ghent", "days": [1, 2.5]}, "id": "call_1", "type": "tool_call"}


def test_answer_with_tool_calls_comes_back_whole(cache: MnemeCache) -> None:
    chat = model(cache, says("", tool_calls=[CALL]))
    first, again = chat.invoke(QUESTION), chat.invoke(QUESTION)
    assert len(chat.calls) == 1
    assert again.tool_calls == first.tool_calls == [CALL]


def test_answer_with_tool_calls_is_not_served_to_a_similar_question(mneme: Mneme) -> None:
    chat = model(MnemeCache(mneme, embeddings=Meaning()), says("", tool_calls=[CALL]))
    chat.invoke(QUESTION)
    chat.invoke(NEAR)
    assert len(chat.calls) == 2
    assert mneme.counts.hits == 0
    willing = model(MnemeCache(mneme, embeddings=Meaning(), semantic_tool_calls=True), says("", tool_calls=[CALL]))
    willing.invoke(NEAR)
    assert len(willing.calls) == 0


def test_conversation_with_tools_is_matched_by_calls_and_results(cache: MnemeCache) -> None:
    def conversation(days: int, result: str, id: str) -> list[BaseMessage]:
        calls = [{"name": "weather", "args": {"days": days}, "id": id, "type": "tool_call"}]
        return [HumanMessage(QUESTION), AIMessage("", tool_calls=calls), ToolMessage(result, tool_call_id=id)]

    chat = model(cache)
    chat.invoke(conversation(1, "sun", "a"))
    chat.invoke(conversation(1, "sun", "b"))
    assert len(chat.calls) == 1
    chat.invoke(conversation(2, "sun", "a"))
    chat.invoke(conversation(1, "rain", "a"))
    assert len(chat.calls) == 3


def test_invalid_tool_calls_in_the_history_are_matched_exactly(cache: MnemeCache) -> None:
    def conversation(arguments: str) -> list[BaseMessage]:
        call = {"name": "weather", "args": arguments, "id": "1", "error": "e", "type": "invalid_tool_call"}
        return [HumanMessage("Hi"), AIMessage("", invalid_tool_calls=[call]), HumanMessage(QUESTION)]

    chat = model(cache)
    chat.invoke(conversation("{"))
    chat.invoke(conversation("{"))
    chat.invoke(conversation("["))
    assert len(chat.calls) == 2


class Joke(BaseModel):
    """A joke."""

    setup: str
    laughs: int


def test_structured_output_comes_back_as_its_class(cache: MnemeCache) -> None:
    call = {"name": "Joke", "args": {"setup": "why", "laughs": 3}, "id": "1", "type": "tool_call"}
    chat = model(cache, says("", tool_calls=[call]))
    structured = chat.with_structured_output(Joke)
    assert structured.invoke("Tell a joke") == structured.invoke("Tell a joke") == Joke(setup="why", laughs=3)
    assert len(chat.calls) == 1


@tool
def weather(city: str) -> str:
    """The weather."""
    return f"sun in {city}"


def test_bound_tools_of_langchain_are_part_of_the_context(cache: MnemeCache) -> None:
    chat = model(cache, says("", tool_calls=[CALL]))
    chat.bind_tools([weather]).invoke(QUESTION)
    chat.bind_tools([weather]).invoke(QUESTION)
    chat.bind_tools([]).invoke(QUESTION)
    assert len(chat.calls) == 2


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def test_hits_in_langgraph_are_added_and_do_not_replace_each_other(cache: MnemeCache) -> None:
    chat = model(cache)
    graph = StateGraph(State)
    graph.add_node("model", lambda state: {"messages": [chat.invoke([state["messages"][0]])]})
    graph.add_node("again", lambda state: {"messages": [chat.invoke([state["messages"][0]])]})
    graph.add_edge(START, "model")
    graph.add_edge("model", "again")
    app = graph.compile()
    app.invoke({"messages": [HumanMessage(QUESTION)]})
    messages = app.invoke({"messages": [HumanMessage(QUESTION)]})["messages"]
    assert [message.type for message in messages] == ["human", "ai", "ai"]
    assert len({message.id for message in messages}) == 3
    assert len(chat.calls) == 1


def test_chain_with_a_prompt_template_uses_the_cache(cache: MnemeCache) -> None:
    chat = model(cache)
    prompt = ChatPromptTemplate.from_messages([("system", "You know {product}."), ("human", "{question}")])
    chain = prompt | chat
    for product in ("one", "one", "two"):
        chain.invoke({"product": product, "question": QUESTION})
    assert len(chat.calls) == 2

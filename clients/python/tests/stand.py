"""A stand-in for a model of LangChain, and embeddings that know two questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable


class Stand(BaseChatModel):
    """A stand-in for a model. It answers by a function and counts its calls."""

    reply: Callable[[list[BaseMessage]], AIMessage]
    calls: list[Any]
    temperature: float = 0

    @property
    def _llm_type(self) -> str:
        return "stand"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kw: Any
    ) -> ChatResult:
        self.calls.append(messages)
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[getattr(one, "name", str(one)) for one in tools])


def says(text: str, **fields: Any) -> Callable[[list[BaseMessage]], AIMessage]:
    metadata = {"finish_reason": "stop", "model_name": "stand"}
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    return lambda messages: AIMessage(text, response_metadata=metadata, usage_metadata=usage, **fields)


def model(cache: BaseCache | None, reply: Any = None, **fields: Any) -> Stand:
    return Stand(reply=reply or says("Choose “Forgot password”."), cache=cache, calls=[], **fields)


QUESTION = "How do I reset my password?"
NEAR = "I forgot my password"


class Meaning(Embeddings):
    """Embeds some questions alike."""

    def embed_query(self, text: str) -> list[float]:
        return {QUESTION: [0.9, 0.1, 0.2], NEAR: [0.85, 0.15, 0.2]}.get(text, [-0.2, 0.9, 0.1])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

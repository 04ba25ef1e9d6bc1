"""A cache for the models of LangChain. It needs the extra `[langchain]`.

    from langchain_core.globals import set_llm_cache
    set_llm_cache(MnemeCache(Mneme("https://…", auth=Iam())))

The prompt of a chat model becomes messages, so that questions are compared by meaning and system messages exactly. What
identifies the model and its parameters is matched exactly. Whole generations are stored, with tool calls and usage.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk

from ._asking import look_or_wait, try_release
from ._core import Core, Either, Steps, logger
from ._leases import Leases
from ._operations import put
from ._request import Ttl, whole_seconds
from .aio import AsyncMneme
from .answer import finished
from .client import Mneme
from .errors import TransportError
from .results import Hit, Miss

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

# Nothing else is made from a stored text: what is in the cache is data.
_STORED_CLASSES = [Generation, GenerationChunk, ChatGeneration, ChatGenerationChunk, AIMessage, AIMessageChunk]

_ROLES = {
    "human": "user",
    "HumanMessageChunk": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "SystemMessageChunk": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "function",
    "FunctionMessageChunk": "function",
}

# The fields in which models say why they stopped, and the reasons of a finished answer, in lower case.
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
_FINISHED = frozenset(
    ("stop", "completed", "end_turn", "stop_sequence", "eos", "eos_token", "tool_calls", "tool_use", "function_call")
)

# What `dumps` writes in place of an object that it cannot serialise. In a text the quotes would be escaped.
_NOT_SERIALISABLE = '"type": "not_implemented"'

# `loads` warns that it is in beta, once. A filter for the warning would change those of the whole process.
_loads = inspect.unwrap(loads)

# Enough for an operator to recognise an answer, and far below the limit of metadata.
_MOST_TEXT = 2000


class MnemeCache(BaseCache):
    """A semantic cache for `set_llm_cache` and for `cache=` of a model.

    An error of the cache never reaches the model's caller: it is logged and counted (`client.counts`), and the model is
    called. Only `clear` raises.

    `client`: a `Mneme` or an `AsyncMneme`. The cache serves synchronous and asynchronous models with either.
    `namespace`: without it, that of the client. `ttl`: how long answers stay right. `embeddings`: embeds the user's
    last text; without it the cache's own embedder does. `threshold`: the least similarity of a semantic hit.
    `semantic_tool_calls`: whether an answer with tool calls may be served to a question that is only similar. Its
    arguments were made for the words of another question, so the default is no. `lease`: of several callers who miss
    one question at once, one calls the model, and the others wait for its answer: for so many seconds at most, from 1
    to 900. Give somewhat more than the model takes. Without it nobody waits. LangChain does not say that a model
    failed, so after a failure the others wait until the lease ends.
    """

    def __init__(
        self,
        client: Mneme | AsyncMneme,
        *,
        namespace: str | None = None,
        ttl: Ttl | None = None,
        embeddings: Embeddings | None = None,
        threshold: float | None = None,
        semantic_tool_calls: bool = False,
        lease: Ttl | None = None,
    ) -> None:
        if isinstance(client, Mneme):
            self._sync, self._async = client, client.to_async()
        else:
            self._sync, self._async = client.to_sync(), client
        self._namespace = namespace
        self._ttl = ttl
        self._embeddings = embeddings
        self._threshold = threshold
        self._semantic_tool_calls = semantic_tool_calls
        self._lease = whole_seconds("lease", lease)
        self._leases = Leases()

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """The stored generations, or None."""
        return self._sync._run(self._look(self._sync._core, prompt, llm_string))

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """The stored generations, or None."""
        return await self._async._run(self._look(self._async._core, prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Stores the generations, if they may be stored."""
        self._sync._run(self._keep(self._sync._core, prompt, llm_string, return_val))

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Stores the generations, if they may be stored."""
        await self._async._run(self._keep(self._async._core, prompt, llm_string, return_val))

    def clear(self, **kwargs: Any) -> None:
        """Deletes every entry of the namespace. Raises `MnemeError`."""
        self._sync.clear(self._namespace)

    async def aclear(self, **kwargs: Any) -> None:
        """Deletes every entry of the namespace. Raises `MnemeError`."""
        await self._async.clear(self._namespace)

    def close(self) -> None:
        """Closes the connections of synchronous models."""
        self._sync.close()

    async def aclose(self) -> None:
        """Closes the connections that asynchronous models opened in the running event loop."""
        await self._async.close()

    def _embed(self, query: str | list[dict[str, Any]]) -> Steps[list[float] | None]:
        embeddings = self._embeddings
        if embeddings is None:
            return None
        text = _embedded_text(query)
        embedding: list[float] = yield Either(
            lambda: embeddings.embed_query(text), lambda: embeddings.aembed_query(text)
        )
        return embedding

    def _look(self, core: Core, prompt: str, llm_string: str) -> Steps[list[Generation] | None]:
        try:
            query, context = _query(prompt), _context(llm_string)
            embedding = yield from self._embed(query)
            # Nobody is to wait for a model of this process that has failed.
            if (token := self._leases.take_abandoned((prompt, llm_string))) is not None:
                yield from try_release(core, query, token, namespace=self._namespace, context=context)
            asked = {
                "namespace": self._namespace,
                "context": context,
                "embedding": embedding,
                "threshold": self._threshold,
                "lease": self._lease,
            }
            outcome = (yield from look_or_wait(core, query, asked)).outcome
            if isinstance(outcome, Exception):
                return None
            if isinstance(outcome, Miss):
                self._leases.keep((prompt, llm_string), outcome.lease)
            generations = _read(outcome.response) if isinstance(outcome, Hit) else None
        except Exception as error:
            core.record.failed("lookup", error)
            return None
        if isinstance(outcome, Hit) and outcome.layer == "semantic" and not self._semantic_tool_calls:
            # The arguments of a call were made for the words of the other question.
            generations = None if any(map(_has_calls, generations or [])) else generations
        core.record.count("misses" if generations is None else "hits")
        return generations

    def _keep(self, core: Core, prompt: str, llm_string: str, generations: RETURN_VAL_TYPE) -> Steps[None]:
        token = self._leases.take_own((prompt, llm_string))
        context = _context(llm_string)
        try:
            response = _write(generations)
            refused = _refused(generations, response)
            if refused is None:
                query = _query(prompt)
                embedding = yield from self._embed(query)
                yield from put(
                    core,
                    query,
                    response,
                    namespace=self._namespace,
                    context=context,
                    embedding=embedding,
                    metadata={"text": generations[0].text[:_MOST_TEXT]},
                    ttl=self._ttl,
                    lease_token=token,
                )
                token = None
        except Exception as error:
            core.record.failed("put", error)
            refused = "the put failed"
            # A second request would make the caller wait for a cache that has just failed.
            token = None if isinstance(error, TransportError) else token
        if token is not None:
            yield from try_release(core, _query(prompt), token, namespace=self._namespace, context=context)
        core.record.count("stored" if refused is None else "not_stored")
        if refused is not None:
            logger.debug("an answer was not stored: %s", refused)


def _context(llm_string: str) -> dict[str, str]:
    """What identifies the model and its parameters. The string has no form to rely on, so its hash is compared."""
    return {"langchain": hashlib.sha256(llm_string.encode("utf-8", "surrogatepass")).hexdigest()}


def _query(prompt: str) -> str | list[dict[str, Any]]:
    """The messages of a chat model's prompt, or the text of another model's prompt."""
    try:
        messages = json.loads(prompt)
    except ValueError:
        return prompt
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        return prompt
    return [_message(message["kwargs"], message["id"][-1]) for message in messages]


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") == "constructor"
        and isinstance(value.get("id"), list)
        and isinstance(value.get("kwargs"), dict)
        and "content" in value["kwargs"]
    )


def _message(fields: Mapping[str, Any], class_name: str) -> dict[str, Any]:
    """A message that the cache understands, from the serialised form of LangChain."""
    kind = fields.get("type", class_name)
    message = {"role": _ROLES.get(kind, fields.get("role", kind)), "content": fields["content"]}
    for name in ("tool_calls", "tool_call_id", "name"):
        if fields.get(name):
            message[name] = fields[name]
    if fields.get("invalid_tool_calls"):
        # The cache matches parts of a kind that it does not know exactly.
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        calls = [{"name": call.get("name"), "args": call.get("args")} for call in fields["invalid_tool_calls"]]
        message["content"] = [*parts, {"type": "invalid_tool_calls", "calls": calls}]
    return message


def _embedded_text(query: str | list[dict[str, Any]]) -> str:
    """The text that the cache compares by meaning: the last one of the user."""
    if isinstance(query, str):
        return query
    for message in reversed(query):
        content = message["content"]
        if message["role"] != "user":
            continue
        if isinstance(content, str):
            text = content
        else:
            parts = [part if isinstance(part, str) else str(part.get("text") or "") for part in content]
            text = "\n".join(part for part in parts if part)
        if text.strip():
            return text
    raise ValueError("the prompt has no text of a user to embed")


def _write(generations: RETURN_VAL_TYPE) -> str:
    return f"[{','.join(dumps(generation) for generation in generations)}]"


def _read(response: str) -> list[Generation]:
    """The generations of a stored response. Raises `ValueError` for a response that this module did not write."""
    stored = _loads(response, allowed_objects=_STORED_CLASSES)
    if not isinstance(stored, list) or not stored or not all(isinstance(one, Generation) for one in stored):
        raise ValueError("the stored response has no generations of LangChain")
    for generation in stored:
        if isinstance(generation, ChatGeneration):
            # LangGraph replaces a message by one with the same id, so two hits must not have one id.
            generation.message.id = None
    return stored


def _has_calls(generation: Generation) -> bool:
    message = getattr(generation, "message", None)
    return bool(getattr(message, "tool_calls", None))


def _refused(generations: RETURN_VAL_TYPE, response: str) -> str | None:
    """Why the generations may not be stored; None if they may."""
    if not generations:
        return "there is no generation"
    if _NOT_SERIALISABLE in response:
        return "a generation holds an object that cannot be serialised"
    return next(filter(None, map(_refused_one, generations)), None)


def _refused_one(generation: Generation) -> str | None:
    message = getattr(generation, "message", None)
    facts = {**(generation.generation_info or {}), **getattr(message, "response_metadata", {})}
    for name in _REASONS:
        reason = facts.get(name)
        if isinstance(reason, str) and reason.lower() not in _FINISHED:
            return f"the model did not end by itself: {reason}"
    if getattr(message, "invalid_tool_calls", None):
        return "a tool call is not valid"
    if getattr(message, "additional_kwargs", {}).get("refusal"):
        return "the model refused"
    return None if _has_calls(generation) else finished(generation.text).refused

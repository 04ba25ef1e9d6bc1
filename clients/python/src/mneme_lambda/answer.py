"""What a model returned, whether it may be stored, and what `get_or_call` did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from .results import Hit, Miss, Stored

T = TypeVar("T")

# The cache never serves a response that starts so.
_FAILURES = ("[LLM Error]", "[ERROR]")


@dataclass(frozen=True)
class Completion:
    """The text of a finished model call, and why it may not be stored."""

    text: str
    refused: str | None = None
    """Why the answer may not be stored; None if it may."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The answer to a question, and where it came from."""

    source: Literal["cache", "model"]
    result: T | None
    """What the call of the model returned; None if the cache answered."""
    completion: Completion | None
    """What was read from `result`; the stored answer if the cache answered; None if `result` could not be read."""
    hit: Hit | None = None
    miss: Miss | None = None
    """Why the cache did not answer; None after a hit or after an error."""
    stored: Stored | None = None
    not_stored: str | None = None
    """Why the answer of the model was not stored."""
    error: Exception | None = None
    """The error of the lookup or of the put."""
    waited: bool = False
    """Whether the question waited for the answer of another caller."""

    @property
    def text(self) -> str:
        """The answer. Raises `TypeError` if the model's result is of an unknown kind: then pass `read=`."""
        if self.completion is None:
            raise TypeError(
                f"no text is known of a result of the type {type(self.result).__name__}. "
                "Remediation: pass read=, a function that returns a Completion; `result` has what the model returned"
            )
        return self.completion.text

    def __str__(self) -> str:
        return self.text


def read_completion(result: Any) -> Completion:
    """Reads a text, a completion of OpenAI (Chat Completions or Responses), a message of Anthropic, or a reply of
    Bedrock Converse, each as an object of its SDK or as a dict.

    An answer may be stored if the model ended it by itself, called no tool, refused nothing, and said something.
    Raises `TypeError` for a result of another kind: then pass a function of your own as `read`.
    """
    if isinstance(result, Completion):
        return result
    if isinstance(result, str):
        return finished(result)
    if (choices := _field(result, "choices")) is not None:
        return _openai_chat(choices)
    if _field(result, "object") == "response":
        return _openai_response(result)
    if _field(result, "stop_reason") is not None and isinstance(_field(result, "content"), Sequence):
        return _blocks(result, str(_field(result, "stop_reason")), _field(result, "content"))
    if _field(result, "stopReason") is not None:
        return _blocks(result, str(_field(result, "stopReason")), _field(result, "output", "message", "content") or [])
    raise TypeError(f"a result of the unknown type {type(result).__name__}")


def _field(value: Any, *names: str) -> Any:
    """A field of an SDK's object or of a dict, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def finished(text: str) -> Completion:
    """The completion of a model that ended by itself. The cache never serves a blank text or that of a failure."""
    if not text.strip():
        return Completion(text, "the answer is blank")
    if text.startswith(_FAILURES):
        return Completion(text, "the answer is the text of a failure")
    return Completion(text)


def _openai_chat(choices: Sequence[Any]) -> Completion:
    text = str(_field(choices[0], "message", "content") or "") if choices else ""
    if len(choices) != 1:
        return Completion(text, f"the completion has {len(choices)} choices")
    message, reason = _field(choices[0], "message"), _field(choices[0], "finish_reason")
    if _field(message, "tool_calls") or _field(message, "function_call"):
        return Completion(text, "the model called a tool")
    if _field(message, "refusal"):
        return Completion(text, "the model refused")
    if reason != "stop":
        return Completion(text, f"the model did not end by itself: {reason}")
    return finished(text)


def _openai_response(response: Any) -> Completion:
    items = _field(response, "output") or []
    parts = [part for item in items if _field(item, "type") == "message" for part in _field(item, "content") or []]
    text = "".join(str(_field(part, "text") or "") for part in parts if _field(part, "type") == "output_text")
    status = _field(response, "status")
    if status != "completed":
        return Completion(text, f"the response is {status}")
    if any(_field(part, "type") == "refusal" for part in parts):
        return Completion(text, "the model refused")
    if any(_field(item, "type") not in ("message", "reasoning") for item in items):
        return Completion(text, "the model called a tool")
    return finished(text)


def _blocks(result: Any, reason: str, blocks: Sequence[Any]) -> Completion:
    """A message of Anthropic or of Bedrock Converse."""
    text = "".join(str(_field(block, "text") or "") for block in blocks)
    if reason not in ("end_turn", "stop_sequence"):
        return Completion(text, f"the model did not end by itself: {reason}")
    if any(_field(block, "type") in ("tool_use", "server_tool_use") or _field(block, "toolUse") for block in blocks):
        return Completion(text, "the model called a tool")
    return finished(text)

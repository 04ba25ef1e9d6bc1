"""One request to the cache, before it has a form on the wire."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeAlias, cast

from .errors import InvalidRequest


class ArrayLike(Protocol):
    """An array of numpy or of a library with the same methods."""

    @property
    def ndim(self) -> int: ...
    def astype(self, dtype: Any, /) -> Any: ...


class Model(Protocol):
    """A model of pydantic, such as a message that an SDK returned."""

    def model_dump(self, *, mode: str = ..., exclude_none: bool = ...) -> dict[str, Any]: ...


Message: TypeAlias = "Mapping[str, Any] | Model"
"""A message in the form of OpenAI, Anthropic, Bedrock Converse, Gemini or LangChain: a dict, or an object of an SDK."""
Query: TypeAlias = "str | Sequence[Message]"
"""A question, or a conversation whose last message of the user is the question."""
Vector: TypeAlias = "Sequence[float] | ArrayLike | bytes | str"
"""An embedding: numbers, an array of one dimension, or little-endian float32 as bytes or as base64."""
Guard: TypeAlias = Literal["on", "off"]
Ttl: TypeAlias = "float | timedelta"
"""A length of time, as seconds or as a timedelta. A fraction of a second is cut off."""


@dataclass(frozen=True)
class Request:
    """What is asked of one function."""

    function: str
    method: str
    template: str
    """The path of the HTTP API; `{name}` is one of `path`. Empty if the function has no route."""
    path: Mapping[str, str | int] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    action: str | None = None
    """What a direct invocation needs to know which method of the function is meant."""
    repeatable: bool = True
    """Whether the request may be sent again if it is unknown whether the first one was carried out."""
    seconds: float | None = None
    """The least time that the operation needs; None if the client's time-out is long enough for it."""

    def fields(self) -> dict[str, Any]:
        """The payload of a direct invocation."""
        merged = {**self.path, **self.query, **(self.body or {})}
        return merged if self.action is None else {**merged, "action": self.action}


def present(**fields: Any) -> dict[str, Any]:
    """`fields` without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def question(query: Query, context: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that say what is asked. Raises `InvalidRequest` for a `query` that is neither text nor messages."""
    if isinstance(query, str):
        fields: dict[str, Any] = {"query": query}
    elif isinstance(query, Sequence) and not isinstance(query, (bytes, bytearray)):
        fields = {"messages": list(query)}
    else:
        raise InvalidRequest(f"a query of the type {type(query).__name__}", "pass a text, or a list of messages")
    if context is not None:
        fields["context"] = dict(context)
    return fields


def vector(embedding: Vector | None) -> str | None:
    """The embedding as base64 of little-endian float32. Raises `InvalidRequest` for what is no vector."""
    if embedding is None or isinstance(embedding, str):
        return embedding
    if isinstance(embedding, (bytes, bytearray, memoryview)):
        raw = bytes(embedding)
    elif not isinstance(embedding, Sequence) and hasattr(embedding, "astype"):
        if embedding.ndim != 1:
            raise InvalidRequest(
                f"embedding: an array of {embedding.ndim} dimensions", "pass an array of one dimension"
            )
        raw = embedding.astype("<f4").tobytes()
    else:
        try:
            numbers = [float(number) for number in cast(Iterable[float], embedding)]
            raw = struct.pack(f"<{len(numbers)}f", *numbers)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidRequest(f"embedding: {error}", "pass numbers that fit float32") from None
    return base64.b64encode(raw).decode("ascii")


def whole_seconds(name: str, time: Ttl | None) -> int | None:
    """`time` in whole seconds; of less than one second, one. Raises `InvalidRequest` for what is no time.

    `name`: the argument's name.
    """
    if time is None:
        return None
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds <= 0:
        raise InvalidRequest(f"{name}: {time!r} is no length of time", f"pass more than 0 seconds, or no {name}")
    return max(1, int(seconds))


def _plain(value: Any) -> Any:
    """The JSON value of an object that `json` does not know. Raises `TypeError` if there is none.

    The SDKs of OpenAI and Anthropic and LangChain return models of pydantic, which programs put into the next request.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    raise TypeError(f"an object of the type {type(value).__name__} is no JSON value")


def encode(fields: Mapping[str, Any]) -> bytes:
    """`fields` as JSON. Raises `InvalidRequest` for what JSON or UTF-8 cannot express."""
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"the request cannot be written as JSON: {error}",
            "use texts, finite numbers, truth values, None, lists and dicts with texts as keys",
        ) from None

"""How an operation becomes a method of a client, with its signature and its documentation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

M = TypeVar("M", bound=Callable[..., Any])


def documented(method: M, operation: Callable[..., Any]) -> M:
    """`method`, so that `help` and editors show `operation` with `self` and with the type of its result."""
    functools.update_wrapper(method, operation)
    signature = inspect.signature(operation)
    _, *parameters = signature.parameters.values()
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    result = str(signature.return_annotation).removeprefix("Steps[").removesuffix("]")
    shown = signature.replace(parameters=[myself, *parameters], return_annotation=result)
    method.__signature__ = shown  # type: ignore[attr-defined]
    return method

"""What users of the library `mneme-cache` find under the same names."""

from __future__ import annotations

import dataclasses
import inspect

import mneme
import pytest

from mneme_lambda import AsyncMneme, Hit, Mneme


@pytest.mark.parametrize("client", [Mneme, AsyncMneme])
@pytest.mark.parametrize("name", ["get", "put", "delete", "stats", "health"])
def test_method_takes_the_arguments_of_mneme_cache(client: type, name: str) -> None:
    theirs = inspect.signature(getattr(mneme.SemanticCache, name)).parameters
    ours = inspect.signature(getattr(client, name)).parameters
    assert set(theirs) <= set(ours)
    positional = [parameter.name for parameter in theirs.values() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert list(ours)[: len(positional)] == positional


def test_hit_has_the_fields_of_mneme_cache_in_their_order() -> None:
    theirs = [field.name for field in dataclasses.fields(mneme.Hit)]
    assert [field.name for field in dataclasses.fields(Hit)][: len(theirs) + 1] == [*theirs, "id"]


def test_calls_of_mneme_cache_work_here(mneme: Mneme, namespace: str) -> None:
    mneme.put("question", "answer", embedding=None, namespace=namespace, metadata={"a": 1}, ttl=60)
    hit = mneme.get("question", embedding=None, namespace=namespace, bypass=False)
    assert hit is not None
    assert (hit.response, hit.layer, hit.metadata) == ("answer", "exact", {"a": 1})
    assert mneme.delete("question", namespace=namespace) is True

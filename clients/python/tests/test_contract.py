"""The clients have every operation and every field of openapi.yaml, so that a new one is not forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from servers import ROOT

from mneme_lambda import AsyncMneme, Lookup, Mneme, Put, Settings

METHODS = {"get", "put", "post", "patch", "delete"}

# The methods that send an operation.
CLIENT = {
    "lookup": ["lookup", "lookup_many", "get"],
    "releaseLease": ["release"],
    "giveFeedback": ["feedback"],
    "putEntries": ["put", "put_many"],
    "listEntries": ["page", "entries"],
    "getEntry": ["entry"],
    "updateEntry": ["update"],
    "deleteEntry": ["delete_entry"],
    "deleteEntries": ["delete", "delete_tagged"],
    "touchEntry": ["touch"],
    "listNamespaces": ["namespaces"],
    "clearAll": ["clear_all"],
    "clearNamespace": ["clear"],
    "findEntry": ["find"],
    "getQuota": ["quota"],
    "setQuota": ["set_quota"],
    "deleteQuota": ["delete_quota"],
    "getSettings": ["settings"],
    "setSettings": ["set_settings"],
    "deleteSettings": ["delete_settings"],
    "listSettings": ["list_settings"],
    "listMeta": ["list_meta"],
    "getMeta": ["meta"],
    "setMeta": ["set_meta"],
    "deleteMeta": ["delete_meta"],
    "stats": ["stats", "stats_by"],
    "health": ["health"],
    "vacuum": ["vacuum"],
    "calibrate": ["calibrate"],
    "reembed": ["reembed"],
    "snapshot": ["snapshot"],
    "restore": ["restore"],
}

# What clients of OpenAI and browsers send.
OTHER_PROGRAMS = {"createChatCompletion", "createEmbeddings", "listModels", "console"}

# Fields with another name in Python.
NAMES = {"messages": "query", "ttl_seconds": "ttl", "from": "start", "to": "end", "target": "max_wrong"}
RELEASE_NAMES = {**NAMES, "lease_token": "token"}
# Fields that are no argument. An `Entry` has all fields but the embedding, so `fields` has no use. The methods set the
# others themselves.
NO_ARGUMENTS = {
    "listEntries": {"fields"},
    "listSettings": {"limit", "cursor"},
    "deleteEntries": {"cursor"},
    "clearAll": {"confirm"},
}


# What the first argument of a method has.
ITEMS = {"lookup_many": Lookup, "put_many": Put, "set_settings": Settings}


def openapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    return document


DOCUMENT = openapi()
OPERATIONS: dict[str, Any] = {
    operation["operationId"]: {
        **operation,
        "parameters": [*path.get("parameters", []), *operation.get("parameters", [])],
    }
    for path in DOCUMENT["paths"].values()
    for method, operation in path.items()
    if method in METHODS
}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DOCUMENT["components"][schema["$ref"].split("/")[-2]][schema["$ref"].split("/")[-1]]
    return schema


def request_fields(operation: dict[str, Any]) -> Iterator[str]:
    """The names of the parameters and of the fields of the body."""
    for parameter in operation["parameters"]:
        yield resolved(parameter)["name"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = resolved(content["schema"])
        for schema in body.get("oneOf", body.get("anyOf", [body])):
            yield from resolved(schema).get("properties", {})


def arguments(client: type, method: str) -> set[str]:
    """The names of the arguments of a method, and of the items or settings that it takes."""
    names = set(inspect.signature(getattr(client, method)).parameters)
    if method in ITEMS:
        names |= set(inspect.signature(ITEMS[method]).parameters)
    return names


def test_every_operation_has_a_method() -> None:
    assert set(OPERATIONS) == set(CLIENT) | OTHER_PROGRAMS


@pytest.mark.parametrize("client", [Mneme, AsyncMneme])
@pytest.mark.parametrize("operation", CLIENT)
def test_every_field_of_an_operation_is_an_argument(client: type, operation: str) -> None:
    taken = set().union(*(arguments(client, method) for method in CLIENT[operation]))
    names = RELEASE_NAMES if operation == "releaseLease" else NAMES
    for field in set(request_fields(OPERATIONS[operation])) - NO_ARGUMENTS.get(operation, set()):
        assert names.get(field, field) in taken, f"{operation} takes `{field}`, and {CLIENT[operation]} do not"


@pytest.mark.parametrize("batch", [(Lookup, "lookup"), (Put, "put")])
def test_item_of_a_batch_has_the_fields_of_the_single_operation(batch: tuple[type, str]) -> None:
    item, method = batch
    assert set(inspect.signature(item).parameters) == set(inspect.signature(getattr(Mneme, method)).parameters) - {
        "self"
    }


def test_async_client_has_the_methods_of_the_other() -> None:
    def public(client: type) -> set[str]:
        return {name for name in vars(client) if not name.startswith("_")}

    assert public(Mneme) - {"to_async"} == public(AsyncMneme) - {"to_sync"}
    for name in public(Mneme) & {method for methods in CLIENT.values() for method in methods}:
        assert (
            inspect.signature(getattr(Mneme, name)).parameters
            == inspect.signature(getattr(AsyncMneme, name)).parameters
        )

"""Settings, quotas and meta values, by both clients and over both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from servers import Answer, Proxy

from mneme_lambda import (
    EffectiveSettings,
    InvalidRequest,
    NotFound,
    Settings,
)

PASSWORD = "How do I reset my password?"
NEAR = [0.85, 0.15, 0.2]


def test_clear_with_purge_removes_the_settings_too(client: Any) -> None:
    client.put(PASSWORD, "answer")
    client.set_settings(Settings(threshold=0.9))
    assert client.clear() == 1
    assert client.settings().settings == Settings(threshold=0.9)
    client.put(PASSWORD, "answer")
    assert client.clear(purge=True) == 1
    assert client.settings().settings == Settings()


def test_settings_are_set_read_listed_and_removed(client: Any, namespace: str) -> None:
    assert client.settings().settings == Settings()
    assert client.delete_settings() is False
    wanted = Settings(0.9, 0.6, "off", "exact", 3600, 7, True, 86_400)
    found = client.set_settings(wanted)
    assert (found.namespace, found.settings) == (namespace, wanted)
    assert vars(found.effective) == vars(wanted)
    assert client.settings(namespace) == found
    assert client.quota() == 7
    client.put(PASSWORD, "answer", embedding=[0.9, 0.1, 0.2])
    assert client.lookup("I forgot my password", embedding=NEAR).reason == "exact_only"
    # A field that is None is as configured from then on.
    assert client.set_settings(Settings(layers="all")).settings == Settings(layers="all")
    assert client.set_settings(Settings(threshold=1), namespace=f"{namespace} ß/b").effective.threshold == 1
    listed = {one.namespace: one.settings for one in client.list_settings()}
    assert (listed[namespace], listed[f"{namespace} ß/b"]) == (Settings(layers="all"), Settings(threshold=1))
    assert client.delete_settings() is True
    assert client.delete_settings(f"{namespace} ß/b") is True
    assert namespace not in [one.namespace for one in client.list_settings()]
    with pytest.raises(InvalidRequest, match="threshold"):
        client.set_settings(Settings(threshold=2))


def test_list_settings_reads_all_pages(make_client: Callable[..., Any], proxy: Proxy, namespace: str) -> None:
    effective = vars(EffectiveSettings(0.8, 0.7, "on", "all", None, None, False, None))
    pages = [
        {"namespaces": [{"namespace": "a", "settings": {}, "effective": effective}], "cursor": "a&b"},
        {"namespaces": [{"namespace": "b", "settings": {"layers": "all"}, "effective": effective}], "cursor": None},
    ]
    proxy.first(*(Answer(200, json.dumps(page).encode()) for page in pages))
    assert [one.namespace for one in make_client(proxy.url).list_settings()] == ["a", "b"]
    assert [seen.target for seen in proxy.seen] == ["/v1/settings?limit=1000", "/v1/settings?limit=1000&cursor=a%26b"]


def test_quota_is_set_read_and_removed(client: Any) -> None:
    with pytest.raises(NotFound):
        client.quota()
    client.set_quota(5)
    assert client.quota() == 5
    assert client.delete_quota() is True
    assert client.delete_quota() is False


def test_meta_is_set_and_read(client: Any, namespace: str) -> None:
    key = f"guard:{namespace}/ä b?&="
    with pytest.raises(NotFound):
        client.meta(key)
    client.set_meta(key, "off")
    assert client.meta(key) == "off"
    assert client.delete_meta(key) is True
    assert client.delete_meta(key) is False
    with pytest.raises(NotFound):
        client.meta(key)


def test_list_meta_has_the_values_that_older_versions_kept(client: Any) -> None:
    assert client.list_meta() == {}


def test_list_meta_returns_the_values_by_key(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(Answer(200, b'{"values":{"owner":"team"}}'))
    assert make_client(proxy.url).list_meta() == {"owner": "team"}

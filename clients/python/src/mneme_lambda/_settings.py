"""The operations on settings, quotas and meta values, written once for both clients."""

from __future__ import annotations

from dataclasses import asdict

from ._core import Core, Steps, exchange
from ._operations import deleted
from ._reading import read_nested
from ._request import Request, present
from .settings import NamespaceSettings, Settings, read_settings

_SETTINGS = "/v1/namespaces/{namespace}/settings"
_QUOTA = "/v1/namespaces/{namespace}/quota"
_META = "/v1/meta/{key}"
_PAGE = 1000


def settings(core: Core, namespace: str | None = None) -> Steps[NamespaceSettings]:
    """The settings of a namespace, and what applies in it."""
    path = {"namespace": namespace or core.namespace}
    return read_settings((yield from exchange(core, Request("settings", "GET", _SETTINGS, path, action="get"))))


def set_settings(core: Core, settings: Settings, *, namespace: str | None = None) -> Steps[NamespaceSettings]:
    """Replaces all settings of a namespace. What is None in `settings` is as configured from then on."""
    path = {"namespace": namespace or core.namespace}
    request = Request("settings", "PUT", _SETTINGS, path, body=present(**asdict(settings)), action="set")
    return read_settings((yield from exchange(core, request)))


def delete_settings(core: Core, namespace: str | None = None) -> Steps[bool]:
    """Removes the settings of a namespace and its quota. Returns whether there were any."""
    path = {"namespace": namespace or core.namespace}
    return (yield from deleted(core, Request("settings", "DELETE", _SETTINGS, path, action="delete", repeatable=False)))


def list_settings(core: Core) -> Steps[list[NamespaceSettings]]:
    """The settings of every namespace that has some and that the caller may use, in the order of the names."""
    found, cursor = yield from _settings_page(core, None)
    while cursor is not None:
        more, cursor = yield from _settings_page(core, cursor)
        found += more
    return found


def _settings_page(core: Core, cursor: str | None) -> Steps[tuple[list[NamespaceSettings], str | None]]:
    query = present(limit=_PAGE, cursor=cursor)
    reply = yield from exchange(core, Request("settings", "GET", "/v1/settings", query=query, action="list"))
    return read_nested(lambda: ([read_settings(one) for one in reply["namespaces"]], reply["cursor"]))


def quota(core: Core, namespace: str | None = None) -> Steps[int]:
    """The largest number of entries of a namespace. Raises `NotFound` if it has no quota."""
    path = {"namespace": namespace or core.namespace}
    reply = yield from exchange(core, Request("quota", "GET", _QUOTA, path, action="get"))
    return read_nested(lambda: int(reply["max_entries"]))


def set_quota(core: Core, max_entries: int, *, namespace: str | None = None) -> Steps[None]:
    """Sets the largest number of entries of a namespace. It takes effect with the namespace's next put."""
    path, body = {"namespace": namespace or core.namespace}, {"max_entries": max_entries}
    yield from exchange(core, Request("quota", "PUT", _QUOTA, path, body=body, action="set"))


def delete_quota(core: Core, namespace: str | None = None) -> Steps[bool]:
    """Removes the quota of a namespace. Returns whether there was one."""
    path = {"namespace": namespace or core.namespace}
    return (yield from deleted(core, Request("quota", "DELETE", _QUOTA, path, action="delete", repeatable=False)))


def meta(core: Core, key: str) -> Steps[str]:
    """A meta value: that of `guard:<namespace>`, or one that an older version kept. Raises `NotFound`."""
    reply = yield from exchange(core, Request("meta", "GET", _META, {"key": key}, action="get"))
    return read_nested(lambda: str(reply["value"]))


def set_meta(core: Core, key: str, value: str) -> Steps[None]:
    """Switches the guard of a namespace: `guard:<namespace>` is another name for its setting `guard`."""
    yield from exchange(core, Request("meta", "PUT", _META, {"key": key}, body={"value": value}, action="set"))


def delete_meta(core: Core, key: str) -> Steps[bool]:
    """Removes a meta value. Returns whether there was one."""
    return (yield from deleted(core, Request("meta", "DELETE", _META, {"key": key}, action="delete", repeatable=False)))


def list_meta(core: Core) -> Steps[dict[str, str]]:
    """All meta values by key. Switches of the guard are listed by `list_settings`."""
    reply = yield from exchange(core, Request("meta", "GET", "/v1/meta", action="list"))
    return read_nested(lambda: dict(reply["values"]))

"""The HTTP client: httpx2, and httpx on Python 3.10, which httpx2 does not support. Both have the same interface."""

from __future__ import annotations

import functools
import ssl
import sys
from typing import TYPE_CHECKING, Any

from ._core import Core, Send
from ._version import __version__
from .errors import ConnectionLost, MnemeError, TimedOut, Unreachable
from .target import Reply

# Type checkers read httpx2 for every version: its interface is the same.
if TYPE_CHECKING or sys.version_info >= (3, 11):
    import httpx2

    httpx = httpx2
else:
    import httpx

# API Gateway and Lambda keep idle connections for longer than this.
_IDLE_SECS = 30.0
_USER_AGENT = f"mneme-lambda-python/{__version__}"
_SLOWER = "see whether the cache is overloaded, or raise the client's timeout"


@functools.lru_cache(maxsize=1)
def ssl_context() -> ssl.SSLContext:
    """One context for all clients: to load the certificates takes some 20 ms."""
    return httpx.create_ssl_context()


def options(core: Core) -> dict[str, Any]:
    """The arguments of `httpx.Client` and `httpx.AsyncClient`."""
    return {
        "headers": {"user-agent": _USER_AGENT, "accept": "application/json, application/problem+json"},
        "limits": httpx.Limits(
            max_connections=core.max_connections,
            max_keepalive_connections=core.max_connections,
            keepalive_expiry=_IDLE_SECS,
        ),
        "verify": ssl_context(),
        "follow_redirects": False,
    }


def reply(response: httpx.Response, body: bytes) -> Reply:
    return Reply(response.status_code, response.headers, body)


def too_late(send: Send) -> TimedOut:
    return TimedOut(f"the cache did not answer within {send.seconds:.1f} s", _SLOWER)


def failure(error: Exception, send: Send) -> MnemeError:
    """The error of this package for an error of httpx."""
    host = httpx.URL(send.message.url).host
    if isinstance(error, (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.ProxyError)):
        return Unreachable(f"no connection to {host}: {error}", "check the address, and that the cache is running")
    if isinstance(error, httpx.ConnectTimeout):
        return Unreachable(f"no connection to {host} within {send.seconds:.1f} s", "check the address and the network")
    if isinstance(error, httpx.PoolTimeout):
        return Unreachable(
            f"no connection was free within {send.seconds:.1f} s",
            "raise max_connections, or send fewer requests at once",
        )
    if isinstance(error, httpx.TimeoutException):
        return too_late(send)
    return ConnectionLost(f"the connection to {host} ended: {error or type(error).__name__}", "try again")

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers import Proxy, mneme_local

from mneme_lambda import AsyncMneme, Iam, Invoke, Mneme
from mneme_lambda.langchain import MnemeCache

_numbers = itertools.count()


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    """A cache for all tests. Each test uses a namespace of its own."""
    with mneme_local(MNEME_EMBEDDER_DIM="3", AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local") as url:
        yield url


@pytest.fixture
def proxy(api: str) -> Iterator[Proxy]:
    proxy = Proxy(api)
    yield proxy
    proxy.close()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test {next(_numbers)}"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for signatures, which mneme-local does not check, and no configuration of this machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mneme(api: str, namespace: str) -> Iterator[Mneme]:
    with Mneme(api, namespace=namespace) as client:
        yield client


class Waiting:
    """An `AsyncMneme` with the surface of `Mneme`: each method waits for an event loop in a thread of its own."""

    def __init__(self, client: AsyncMneme) -> None:
        self._client = client
        self._others: list[Waiting] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if name == "entries":
            return lambda **options: iter(self.wait(_listed(member(**options))))
        if name == "get_or_call":
            return lambda query, call, **options: self.wait(member(query, _awaited(call), **options))
        if name == "with_options":
            return lambda **options: self._keep(Waiting(member(**options)))
        return (lambda *args, **kwargs: self.wait(member(*args, **kwargs))) if callable(member) else member

    def _keep(self, other: Waiting) -> Waiting:
        self._others.append(other)
        return other

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def end(self) -> None:
        for other in self._others:
            other.end()
        self.wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _listed(entries: Any) -> list[Any]:
    return [entry async for entry in entries]


def _awaited(call: Callable[[], Any]) -> Callable[[], Any]:
    async def awaitable() -> Any:
        return call()

    return awaitable


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a `Mneme`, and in a second run of the test an `AsyncMneme` with the same surface."""
    made: list[Any] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        client = Mneme(*args, **kwargs) if request.param == "sync" else Waiting(AsyncMneme(*args, **kwargs))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close() if isinstance(client, Mneme) else client.end()


def invoke(api: str) -> Invoke:
    """The functions of mneme-local through the Invoke API."""
    return Invoke.stack("mneme-dev", endpoint_url=api, auth=Iam(region="us-east-1"))


@pytest.fixture(params=["http", "invoke"])
def client(request: pytest.FixtureRequest, make_client: Callable[..., Any], api: str, namespace: str) -> Any:
    """Each client over each way to the cache: four runs of a test."""
    return make_client(api if request.param == "http" else invoke(api), namespace=namespace)


@pytest.fixture
def own_api() -> Iterator[str]:
    """A cache for one test alone."""
    with mneme_local(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local") as url:
        yield url


@pytest.fixture
def cache(mneme: Mneme) -> MnemeCache:
    return MnemeCache(mneme)

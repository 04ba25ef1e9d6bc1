"""The client for event loops of asyncio."""

from __future__ import annotations

import asyncio
import functools
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from . import _asking, _batches, _http, _maintenance, _operations, _settings
from ._asking import Arguments, Options, Read
from ._bind import documented
from ._client import Client
from ._core import Core, Either, Send, Sign, Step, Steps
from ._http import httpx
from ._request import Query
from .answer import Answer, read_completion
from .results import Entry, Hit
from .target import Reply

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

    from ._operations import Filters
    from .client import Mneme

P = ParamSpec("P")
T = TypeVar("T")


def _awaitable(
    operation: Callable[Concatenate[Core, P], Steps[T]],
) -> Callable[Concatenate[AsyncMneme, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncMneme, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(operation(self._core, *args, **kwargs))

    return documented(method, operation)


class AsyncMneme(Client):
    """A client of the cache for asyncio. Tasks may share it, and so may event loops: each has its own connections.

    Close it in each loop that used it, or use it in an `async with` statement.
    """

    lookup = _awaitable(_operations.lookup)
    lookup_many = _awaitable(_batches.lookup_many)
    get = _awaitable(_operations.get)
    put = _awaitable(_operations.put)
    put_many = _awaitable(_batches.put_many)
    release = _awaitable(_operations.release)
    feedback = _awaitable(_operations.feedback)
    delete = _awaitable(_operations.delete)
    delete_entry = _awaitable(_operations.delete_entry)
    delete_tagged = _awaitable(_operations.delete_tagged)
    update = _awaitable(_operations.update)
    entry = _awaitable(_operations.entry)
    find = _awaitable(_operations.find)
    page = _awaitable(_operations.page)
    touch = _awaitable(_operations.touch)
    namespaces = _awaitable(_operations.namespaces)
    clear = _awaitable(_operations.clear)
    clear_all = _awaitable(_operations.clear_all)
    settings = _awaitable(_settings.settings)
    set_settings = _awaitable(_settings.set_settings)
    delete_settings = _awaitable(_settings.delete_settings)
    list_settings = _awaitable(_settings.list_settings)
    quota = _awaitable(_settings.quota)
    set_quota = _awaitable(_settings.set_quota)
    delete_quota = _awaitable(_settings.delete_quota)
    meta = _awaitable(_settings.meta)
    set_meta = _awaitable(_settings.set_meta)
    delete_meta = _awaitable(_settings.delete_meta)
    list_meta = _awaitable(_settings.list_meta)
    stats = _awaitable(_maintenance.stats)
    stats_by = _awaitable(_maintenance.stats_by)
    health = _awaitable(_maintenance.health)
    vacuum = _awaitable(_maintenance.vacuum)
    calibrate = _awaitable(_maintenance.calibrate)
    reembed = _awaitable(_maintenance.reembed)
    snapshot = _awaitable(_maintenance.snapshot)
    restore = _awaitable(_maintenance.restore)
    provision = _awaitable(_maintenance.provision)

    async def entries(
        self,
        *,
        namespace: str | None = None,
        order: Literal["id", "lru"] = "id",
        page_size: int = 100,
        **filters: Unpack[Filters],
    ) -> AsyncIterator[Entry]:
        """All entries, page by page as they are needed, of every namespace unless one is named.

        `filters`: those of `page`, such as `text` and `created_since`.
        """
        cursor: str | None = None
        while True:
            page = await self.page(namespace=namespace, order=order, limit=page_size, cursor=cursor, **filters)
            for entry in page.entries:
                yield entry
            cursor = page.cursor
            if cursor is None:
                return

    async def get_or_call(
        self,
        query: Query,
        call: Callable[[], Awaitable[T]],
        *,
        read: Read[T] = read_completion,
        **options: Unpack[Options],
    ) -> Answer[T]:
        """The stored answer to `query`; otherwise what `call` returns, which is then stored if it may be.

        Only what `call` raises is raised: without the cache, the model answers. `options`: the arguments of `lookup`
        and `put`, such as `context` and `ttl`. `read`: tells the text of a result and whether it may be stored; without
        it, `read_completion`.

        Of several callers who miss one question at once, one calls the model, and the others wait for its answer.
        `lease`: for how many seconds at most, 30 without it; somewhat more than the model takes. None: nobody waits.
        """
        found = await self._run(_asking.look(self._core, query, options))
        if isinstance(found.outcome, Hit):
            return _asking.from_cache(found.outcome, waited=found.waited)
        try:
            result = await call()
        except BaseException:
            # A task that was cancelled ends at once, and the lease is released behind it.
            releasing = asyncio.ensure_future(self._run(_asking.give_up(self._core, query, options, found)))
            self._releasing.add(releasing)
            releasing.add_done_callback(self._releasing.discard)
            raise
        return await self._run(_asking.keep(self._core, query, options, found, result, read))

    def cached(
        self, *, read: Read[Any] = read_completion, **options: Unpack[Options]
    ) -> Callable[[Callable[P, Awaitable[T]]], AsyncCached[P, T]]:
        """A decorator that puts `get_or_call` around a coroutine function, whose first argument is the question.

        The other arguments and the function's name become part of the context, so they are matched exactly.
        """
        return lambda function: AsyncCached(self, function, read, options)

    def to_sync(self) -> Mneme:
        """A client for threads with the same settings, counts and budget of retries."""
        from .client import Mneme

        return self._twin(Mneme)

    async def close(self) -> None:
        """Closes the connections of the running event loop."""
        client = self._https.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> AsyncMneme:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self, core: Core) -> None:
        self._core = core
        # A connection belongs to the event loop that opened it, and programs may call `asyncio.run` several times.
        self._https: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._https = weakref.WeakKeyDictionary()
        # The loop holds its tasks weakly.
        self._releasing: set[asyncio.Future[None]] = set()

    async def _run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    result = await self._do(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            return await self._send(step)
        if isinstance(step, Sign):
            message = step.message
            arguments = (message.method, message.url, message.headers, message.body)
            if step.auth.may_block():
                return await asyncio.to_thread(step.auth.headers, *arguments)
            return step.auth.headers(*arguments)
        if isinstance(step, Either):
            return await step.wait()
        await asyncio.sleep(step.seconds)
        return None

    async def _send(self, send: Send) -> Reply:
        end = time.monotonic() + send.seconds
        loop = asyncio.get_running_loop()
        client = self._https.get(loop)
        if client is None:
            client = self._https[loop] = httpx.AsyncClient(**_http.options(self._core))
        try:
            message = send.message
            request = client.build_request(
                message.method, message.url, content=message.body, headers=send.headers, timeout=send.seconds
            )
            response = await client.send(request, stream=True)
            try:
                chunks = []
                async for chunk in response.aiter_bytes():
                    chunks.append(chunk)
                    if time.monotonic() > end:
                        raise _http.too_late(send)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise _http.failure(error, send) from error
        return _http.reply(response, b"".join(chunks))


class AsyncCached(Generic[P, T]):
    """A coroutine function with the cache around it. A call returns the text of the answer."""

    def __init__(
        self, client: AsyncMneme, function: Callable[P, Awaitable[T]], read: Read[Any], options: Options
    ) -> None:
        self._client = client
        self._function = function
        self._read = read
        self._arguments = Arguments(function, options)
        functools.update_wrapper(self, function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> str:
        return (await self.answer(*args, **kwargs)).text

    async def answer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """The answer, with where it came from."""
        query, options = self._arguments.split(*args, **kwargs)
        return await self._client.get_or_call(
            query, lambda: self._function(*args, **kwargs), read=self._read, **options
        )

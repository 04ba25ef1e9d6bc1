"""The client for threads."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
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
    from .aio import AsyncMneme

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(operation: Callable[Concatenate[Core, P], Steps[T]]) -> Callable[Concatenate[Mneme, P], T]:
    def method(self: Mneme, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(operation(self._core, *args, **kwargs))

    return documented(method, operation)


class Mneme(Client):
    """A client of the cache. Threads may share it. Close it, or use it in a `with` statement."""

    lookup = _blocking(_operations.lookup)
    lookup_many = _blocking(_batches.lookup_many)
    get = _blocking(_operations.get)
    put = _blocking(_operations.put)
    put_many = _blocking(_batches.put_many)
    release = _blocking(_operations.release)
    feedback = _blocking(_operations.feedback)
    delete = _blocking(_operations.delete)
    delete_entry = _blocking(_operations.delete_entry)
    delete_tagged = _blocking(_operations.delete_tagged)
    update = _blocking(_operations.update)
    entry = _blocking(_operations.entry)
    find = _blocking(_operations.find)
    page = _blocking(_operations.page)
    touch = _blocking(_operations.touch)
    namespaces = _blocking(_operations.namespaces)
    clear = _blocking(_operations.clear)
    clear_all = _blocking(_operations.clear_all)
    settings = _blocking(_settings.settings)
    set_settings = _blocking(_settings.set_settings)
    delete_settings = _blocking(_settings.delete_settings)
    list_settings = _blocking(_settings.list_settings)
    quota = _blocking(_settings.quota)
    set_quota = _blocking(_settings.set_quota)
    delete_quota = _blocking(_settings.delete_quota)
    meta = _blocking(_settings.meta)
    set_meta = _blocking(_settings.set_meta)
    delete_meta = _blocking(_settings.delete_meta)
    list_meta = _blocking(_settings.list_meta)
    stats = _blocking(_maintenance.stats)
    stats_by = _blocking(_maintenance.stats_by)
    health = _blocking(_maintenance.health)
    vacuum = _blocking(_maintenance.vacuum)
    calibrate = _blocking(_maintenance.calibrate)
    reembed = _blocking(_maintenance.reembed)
    snapshot = _blocking(_maintenance.snapshot)
    restore = _blocking(_maintenance.restore)
    provision = _blocking(_maintenance.provision)

    def entries(
        self,
        *,
        namespace: str | None = None,
        order: Literal["id", "lru"] = "id",
        page_size: int = 100,
        **filters: Unpack[Filters],
    ) -> Iterator[Entry]:
        """All entries, page by page as they are needed, of every namespace unless one is named.

        `filters`: those of `page`, such as `text` and `created_since`.
        """
        cursor: str | None = None
        while True:
            page = self.page(namespace=namespace, order=order, limit=page_size, cursor=cursor, **filters)
            yield from page.entries
            cursor = page.cursor
            if cursor is None:
                return

    def get_or_call(
        self, query: Query, call: Callable[[], T], *, read: Read[T] = read_completion, **options: Unpack[Options]
    ) -> Answer[T]:
        """The stored answer to `query`; otherwise what `call` returns, which is then stored if it may be.

        Only what `call` raises is raised: without the cache, the model answers. `options`: the arguments of `lookup`
        and `put`, such as `context` and `ttl`. `read`: tells the text of a result and whether it may be stored; without
        it, `read_completion`.

        Of several callers who miss one question at once, one calls the model, and the others wait for its answer.
        `lease`: for how many seconds at most, 30 without it; somewhat more than the model takes. None: nobody waits.
        """
        found = self._run(_asking.look(self._core, query, options))
        if isinstance(found.outcome, Hit):
            return _asking.from_cache(found.outcome, waited=found.waited)
        try:
            result = call()
        except BaseException:
            self._run(_asking.give_up(self._core, query, options, found))
            raise
        return self._run(_asking.keep(self._core, query, options, found, result, read))

    def cached(
        self, *, read: Read[Any] = read_completion, **options: Unpack[Options]
    ) -> Callable[[Callable[P, T]], Cached[P, T]]:
        """A decorator that puts `get_or_call` around a function. The function's first argument is the question.

        The other arguments and the function's name become part of the context, so they are matched exactly.
        """
        return lambda function: Cached(self, function, read, options)

    def to_async(self) -> AsyncMneme:
        """A client for event loops with the same settings, counts and budget of retries."""
        from .aio import AsyncMneme

        return self._twin(AsyncMneme)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Mneme:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, core: Core) -> None:
        self._core = core
        self._http = httpx.Client(**_http.options(core))

    def _run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    result = self._do(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            return self._send(step)
        if isinstance(step, Sign):
            message = step.message
            return step.auth.headers(message.method, message.url, message.headers, message.body)
        if isinstance(step, Either):
            return step.block()
        time.sleep(step.seconds)
        return None

    def _send(self, send: Send) -> Reply:
        end = time.monotonic() + send.seconds
        try:
            message = send.message
            request = self._http.build_request(
                message.method, message.url, content=message.body, headers=send.headers, timeout=send.seconds
            )
            response = self._http.send(request, stream=True)
            try:
                chunks = []
                for chunk in response.iter_bytes():
                    chunks.append(chunk)
                    if time.monotonic() > end:
                        raise _http.too_late(send)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise _http.failure(error, send) from error
        return _http.reply(response, b"".join(chunks))


class Cached(Generic[P, T]):
    """A function with the cache around it. A call returns the text of the answer."""

    def __init__(self, client: Mneme, function: Callable[P, T], read: Read[Any], options: Options) -> None:
        self._client = client
        self._function = function
        self._read = read
        self._arguments = Arguments(function, options)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> str:
        return self.answer(*args, **kwargs).text

    def answer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """The answer, with where it came from."""
        query, options = self._arguments.split(*args, **kwargs)
        return self._client.get_or_call(query, lambda: self._function(*args, **kwargs), read=self._read, **options)

"""Measures what the client adds to a lookup, beside a bare call with the same HTTP client and with http.client.

Usage: python bench/overhead.py URL [ROUNDS]

The calls take turns, so that each kind meets the same load. Of each kind the median time and the median processor time
of this process are printed, in milliseconds, and then the median of the differences to another kind within a round.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx2

from mneme_lambda import AsyncMneme, Mneme

QUESTION = "How do I reset my password?"
BODY = json.dumps({"query": QUESTION, "namespace": "default"}).encode()
HEADERS = {"content-type": "application/json"}


class Times:
    """The times of one kind of call, in milliseconds: on the clock, and of the processor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock: list[float] = []
        self.processor: list[float] = []

    def add(self, began: tuple[float, float]) -> None:
        self.clock.append((time.perf_counter() - began[0]) * 1000)
        self.processor.append((time.process_time() - began[1]) * 1000)

    def report(self, *others: Times) -> None:
        line = f"{self.name:12} {statistics.median(self.clock):7.3f} ms, "
        line += f"processor {statistics.median(self.processor):.3f} ms"
        for other in others:
            clock = statistics.median(a - b for a, b in zip(self.clock, other.clock, strict=True))
            processor = statistics.median(a - b for a, b in zip(self.processor, other.processor, strict=True))
            line += f"; more than {other.name}: {clock:+.3f} ms, processor {processor:+.3f} ms"
        print(line)


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def blocking(url: str, rounds: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def standard() -> object:
        connection.request("POST", "/v1/lookup", BODY, HEADERS)
        return json.loads(connection.getresponse().read())

    with Mneme(url) as client, httpx2.Client() as plain:
        client.put(QUESTION, "answer")
        calls: dict[str, Callable[[], object]] = {
            "http.client": standard,
            "httpx2": lambda: plain.post(f"{url}/v1/lookup", content=BODY, headers=HEADERS).json(),
            "Mneme": lambda: client.lookup(QUESTION),
        }
        times = [Times(name) for name in calls]
        for _ in range(rounds):
            for call, taken in zip(calls.values(), times, strict=True):
                began = now()
                call()
                taken.add(began)
    standard_times, plain_times, client_times = times
    standard_times.report()
    plain_times.report(standard_times)
    client_times.report(plain_times, standard_times)


async def awaiting(url: str, rounds: int) -> None:
    async with AsyncMneme(url) as client, httpx2.AsyncClient() as plain:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: plain.post(f"{url}/v1/lookup", content=BODY, headers=HEADERS),
            lambda: client.lookup(QUESTION),
        ]
        plain_times, client_times = Times("httpx2 async"), Times("AsyncMneme")
        for _ in range(rounds):
            for call, taken in zip(calls, (plain_times, client_times), strict=True):
                began = now()
                await call()
                taken.add(began)
    plain_times.report()
    client_times.report(plain_times)


if __name__ == "__main__":
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    blocking(sys.argv[1], rounds)
    asyncio.run(awaiting(sys.argv[1], rounds))

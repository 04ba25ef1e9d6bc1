"""Measures what the client adds to a lookup, beside a bare call with the same HTTP client and with http.client.

Usage: python bench/overhead.py URL [ROUNDS]

The calls take turns, so that each kind meets the same load. The figures are medians in milliseconds. Of the client's
overhead the medians of the differences within a round are printed.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2

from mneme_lambda import AsyncMneme, Mneme

QUESTION = "How do I reset my password?"
BODY = json.dumps({"query": QUESTION, "namespace": "default"}).encode()
HEADERS = {"content-type": "application/json"}


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def report(name: str, times: list[float], bare: list[float]) -> None:
    overhead = statistics.median(mine - other for mine, other in zip(times, bare, strict=True))
    print(f"{name:24} {statistics.median(times):7.3f} ms   overhead {overhead:+.3f} ms")


def blocking(url: str, rounds: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def standard() -> object:
        connection.request("POST", "/v1/lookup", BODY, HEADERS)
        return json.loads(connection.getresponse().read())

    with Mneme(url) as client, httpx2.Client() as plain:
        client.put(QUESTION, "answer")
        lookup_url = f"{url}/v1/lookup"
        calls: list[Callable[[], object]] = [
            standard,
            lambda: plain.post(lookup_url, content=BODY, headers=HEADERS).json(),
            lambda: client.lookup(QUESTION),
        ]
        times: list[list[float]] = [[], [], []]
        for _ in range(rounds):
            for call, taken in zip(calls, times, strict=True):
                taken.append(timed(call))
    report("http.client", times[0], times[0])
    report("httpx2.Client", times[1], times[0])
    report("Mneme, to http.client", times[2], times[0])
    report("Mneme, to httpx2", times[2], times[1])


async def awaiting(url: str, rounds: int) -> None:
    async with AsyncMneme(url) as client, httpx2.AsyncClient() as plain:
        times: list[list[float]] = [[], []]
        for _ in range(rounds):
            began = time.perf_counter()
            (await plain.post(f"{url}/v1/lookup", content=BODY, headers=HEADERS)).json()
            between = time.perf_counter()
            await client.lookup(QUESTION)
            times[0].append((between - began) * 1000)
            times[1].append((time.perf_counter() - between) * 1000)
    report("httpx2.AsyncClient", times[0], times[0])
    report("AsyncMneme, to httpx2", times[1], times[0])


if __name__ == "__main__":
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    blocking(sys.argv[1], rounds)
    asyncio.run(awaiting(sys.argv[1], rounds))

"""One client shared by threads, tasks and event loops."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from servers import Proxy

from mneme_lambda import AsyncMneme, Hit, Mneme


def test_50_threads_share_a_client(mneme: Mneme) -> None:
    with mneme.with_options(timeout=60) as client, ThreadPoolExecutor(50) as threads:
        client.put_many([(f"question {n}", f"answer {n}") for n in range(50)])

        def work(n: int) -> list[str]:
            hits = [client.get(f"question {n}") for _ in range(4)]
            return [hit.response for hit in hits if hit is not None]

        assert list(threads.map(work, range(50))) == [[f"answer {n}"] * 4 for n in range(50)]


async def test_200_tasks_share_a_client(api: str, namespace: str) -> None:
    async with AsyncMneme(api, namespace=namespace, timeout=60) as client:
        await client.put_many([(f"question {n}", f"answer {n}") for n in range(200)])
        outcomes = await asyncio.gather(*(client.lookup(f"question {n}") for n in range(200)))
        assert [outcome.response for outcome in outcomes if isinstance(outcome, Hit)] == [
            f"answer {n}" for n in range(200)
        ]


async def test_tasks_use_no_more_connections_than_allowed(proxy: Proxy, namespace: str) -> None:
    async with AsyncMneme(proxy.url, namespace=namespace, timeout=60, max_connections=3) as client:
        await asyncio.gather(*(client.lookup(f"question {n}") for n in range(30)))
    assert len(proxy.seen) == 30
    assert len({seen.connection for seen in proxy.seen}) <= 3


async def test_cancelled_task_leaves_the_client_usable(api: str, namespace: str) -> None:
    async with AsyncMneme(api, namespace=namespace) as client:
        task = asyncio.create_task(client.lookup("question"))
        await asyncio.sleep(0)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        assert not await client.lookup("question")


def test_event_loops_one_after_the_other_share_a_client(api: str, namespace: str) -> None:
    client = AsyncMneme(api, namespace=namespace)

    async def work() -> bool:
        try:
            return bool(await client.lookup("question"))
        finally:
            await client.close()

    assert [asyncio.run(work()) for _ in range(3)] == [False] * 3


def test_clients_of_both_kinds_share_counts(api: str, namespace: str) -> None:
    async def ask(client: AsyncMneme) -> str:
        async def call() -> str:
            return "other"

        async with client:
            return (await client.get_or_call("question", call)).text

    with Mneme(api, namespace=namespace) as client:
        assert client.get_or_call("question", lambda: "answer").text == "answer"
        assert asyncio.run(ask(client.to_async())) == "answer"
        assert (client.counts.hits, client.counts.misses, client.counts.stored) == (1, 1, 1)
        with AsyncMneme(api, namespace=namespace).to_sync() as other:
            assert other.get("question") is not None

"""Measures concurrent writers: through the functions, and with the Python library's DynamoDBStore.

Usage: python load.py API_URL DYNAMODB_URL WRITERS PUTS

Each writer is a process that puts one entry after the other. Prints a row per system: refused puts, acknowledged ids
that have no row or were returned twice (lost), rows whose id no reply named (doubled), stored entries per second, and
latencies. Fails if the functions refused, lost or doubled an entry.
"""

import hashlib
import json
import multiprocessing
import statistics
import sys
import time
import urllib.request

import boto3
import numpy as np
from mneme._store_dynamodb import DynamoDBStore
from mneme._types import StoredEntry

API, DYNAMODB, WRITERS, PUTS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
DIM = 768
PYTHON_TABLE = "load-python"


def vector(query):
    seed = int.from_bytes(hashlib.sha256(query.encode()).digest()[:8], "big")
    values = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return values / np.linalg.norm(values)


class Functions:
    """Puts through the functions' HTTP API."""

    def put(self, query):
        body = {"query": query, "response": "r" * 500, "embedding": vector(query).tolist()}
        request = urllib.request.Request(f"{API}/v1/entries", data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["id"]


class Library:
    """Puts with the Python library's store. The first writer creates the table."""

    def __init__(self):
        self.store = DynamoDBStore(PYTHON_TABLE, region_name="us-east-1", endpoint_url=DYNAMODB, create_table=True)
        self.store.open("load", DIM)

    def put(self, query):
        digest, now = hashlib.sha256(query.encode()).hexdigest(), int(time.time())
        entry = StoredEntry(0, "default", digest, query, "r" * 500, vector(query).tobytes(), {}, now, now, None, 0)
        return self.store.insert(entry)


def write(system, writer, start):
    """For each put its id, None if it was refused, and its duration in milliseconds."""
    client = system()
    start.wait()
    outcomes = []
    for number in range(PUTS):
        began = time.perf_counter()
        try:
            stored = client.put(f"{writer}/{number}")
        except Exception:
            stored = None
        outcomes.append((stored, (time.perf_counter() - began) * 1000))
    return outcomes


def work(system, writer, start, results):
    results.put(write(system, writer, start))


def rows(table):
    """The ids of the entries' rows in `table`."""
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=DYNAMODB)
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True, ProjectionExpression="id")
    return {int(item["id"]["N"]) for page in pages for item in page["Items"] if int(item["id"]["N"]) > 0}


def measure(name, system, table):
    """Prints the row of a system. Returns True if none of its puts was refused, lost or doubled."""
    first = system().put("first")
    start, results = multiprocessing.Barrier(WRITERS + 1), multiprocessing.Queue()
    writers = [multiprocessing.Process(target=work, args=(system, n, start, results)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    start.wait()
    began = time.perf_counter()
    outcomes = [outcome for _ in writers for outcome in results.get()]
    seconds = time.perf_counter() - began
    for writer in writers:
        writer.join()
    ids = [first, *(stored for stored, _ in outcomes if stored is not None)]
    refused = len(outcomes) + 1 - len(ids)
    stored = rows(table)
    lost = len(ids) - len(set(ids) & stored)
    doubled = len(stored - set(ids))
    times = sorted(ms for _, ms in outcomes)
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    print(
        f"{name:14} {len(outcomes):6} {refused:8} {lost:6} {doubled:8} {(len(ids) - 1) / seconds:9.1f}"
        f" {statistics.median(times):9.0f} {p99:9.0f}"
    )
    return refused == lost == doubled == 0


if __name__ == "__main__":
    print(f"{WRITERS} writers, {PUTS} puts each")
    print(f"{'':14} {'puts':>6} {'refused':>8} {'lost':>6} {'doubled':>8} {'stored/s':>9} {'p50 ms':>9} {'p99 ms':>9}")
    in_order = measure("mneme-lambda", Functions, "mneme")
    measure("mneme-cache", Library, PYTHON_TABLE)
    sys.exit(0 if in_order else "the functions refused, lost or doubled a put")

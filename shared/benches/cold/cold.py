"""Measures the first semantic lookup of a new instance of `lookup`, over the DynamoDB in mneme-local.

Usage: cold.py FOLDER ENTRIES...

FOLDER: the release binaries. ENTRIES: sizes of the cache. Each cache has vectors of 768 dimensions and responses of
0.5 KB. Without segments a new instance reads all items. After `vacuum` it reads the segments. Both are measured. Each
instance first answers a lookup without a vector, so that the figures do not include its start. CPU time is that of
the instance, user and system. Wall-clock time includes that of DynamoDB, which runs on the same processors.
"""

import base64
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
from array import array
from pathlib import Path

DIM, AT_ONCE, ROUNDS = 768, 100, 7
SCALE = [1 / (1 + at) ** 0.5 for at in range(DIM)]
DRAWS = random.Random(7)
POOL = [DRAWS.gauss(0, 1) for _ in range(100_003)]
TICKS = os.sysconf("SC_CLK_TCK")


def vector(rng):
    """Base64 of a vector whose coordinate j has the variance 1/(j + 1)."""
    floats = array("f", map(float.__mul__, rng.choices(POOL, k=DIM), SCALE))
    return base64.b64encode(floats.tobytes()).decode()


class Api:
    """The HTTP API of one mneme-local."""

    def __init__(self, folder):
        command = [f"{folder}/mneme-local", "serve", "--port=0", "--dynamodb-port=0", f"--binaries={folder}"]
        environment = {**os.environ, "MNEME_GUARD": "off"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        fields = dict(part.split("=", 1) for part in self.process.stdout.readline().split()[1:])
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(fields["api"]).netloc, timeout=120)

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = self.connection.getresponse()
        reply = json.loads(response.read())
        if response.status >= 300 and not reply["type"].endswith(":StoreBackendError"):
            raise SystemExit(f"{path}: {response.status} {reply}")
        return reply

    def instance(self):
        """The process id of the only instance of `lookup`."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name == "mneme-lookup" and int(rest.split()[1]) == self.process.pid and rest.split()[0] != "Z":
                return int(stat.parent.name)
        raise SystemExit("no instance of lookup runs")


def cpu_seconds(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(process):
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def first_questions(api, question):
    """Medians over new instances: wall-clock and CPU milliseconds of the first question, resident MB after it, and
    wall-clock milliseconds of the next question.

    Returns `None` if an instance did not answer within the timeout of the function.
    """
    found = []
    for _ in range(ROUNDS):
        api.post("/v1/lookup", {"query": "no vector"})
        process = api.instance()
        cpu, begin = cpu_seconds(process), time.perf_counter()
        first = api.post("/v1/lookup", question)
        wall, cpu = time.perf_counter() - begin, cpu_seconds(process) - cpu
        if "outcome" not in first:
            return None
        begin = time.perf_counter()
        api.post("/v1/lookup", question)
        found.append((wall * 1e3, cpu * 1e3, resident_mb(process), (time.perf_counter() - begin) * 1e3))
        os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
    return [statistics.median(column) for column in zip(*found)]


def measure(folder, entries):
    api = Api(folder)
    try:
        rng = random.Random(entries)
        for first in range(0, entries, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, entries))
            batch = [{"query": f"q{n}", "response": "r" * 500, "embedding": vector(rng)} for n in numbers]
            api.post("/v1/entries", {"entries": batch})
        question = {"query": "another", "embedding": vector(rng)}
        by_items = first_questions(api, question)
        packed, at = 0, "start"
        while at:
            reply = api.post("/v1/vacuum", {"cursor": at})
            packed, at = packed + reply["ranges_packed"], reply["cursor"]
        for name, row in ("items", by_items), (f"{packed} segments", first_questions(api, question)):
            figures = ["no answer in 30 s", "", "", ""] if row is None else [f"{figure:.1f}" for figure in row]
            print(f"| {entries:,} | {name} | {' | '.join(figures)} |", flush=True)
    finally:
        api.process.terminate()
        api.process.wait()


def main(folder, *sizes):
    print("| entries | read | first question, ms | its CPU ms | resident MB | next question, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for entries in sizes:
        measure(folder, int(entries))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Measures the time until the first byte of what `chat` replies, over the DynamoDB in mneme-local.

Usage: chat.py FOLDER ROUNDS

FOLDER: the binaries. Each round asks the same five things in turn, on connections that stay open: the upstream itself,
streamed; a lookup that hits; a hit through `chat`, streamed and as JSON; and a miss through `chat`, streamed, with a
question that is new in each round. The upstream is a server in this process that replies at once. There is no embedder,
so the exact layer answers. Prints the median, the 95th percentile and the least time of each in milliseconds, and the
medians of the differences and ratios within a round.
"""

import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "Choose Forgot password on the sign-in page."


def chunk(delta, finish_reason=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\n"


class Upstream(BaseHTTPRequestHandler):
    """Streams one answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        words = "".join(chunk({"content": word + " "}) for word in ANSWER.split())
        body = chunk({"role": "assistant", "content": ""}) + words + chunk({}, "stop") + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


class Client:
    """One connection that stays open."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path, body):
        """The milliseconds until the first byte of the body, and the header `cache-status`."""
        begun = time.perf_counter()
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        reply = self.connection.getresponse()
        first = reply.read(1)
        took = (time.perf_counter() - begun) * 1000
        text = first + reply.read()
        if reply.status != 200:
            raise SystemExit(f"{path}: {reply.status} {text}")
        return took, reply.headers.get("cache-status", ""), text


def request(question, stream=True):
    return {"model": "m", "stream": stream, "messages": [{"role": "user", "content": question}]}


def measure(api_port, upstream_port, rounds):
    direct, api = Client(upstream_port), Client(api_port)
    path, asked = "/v1/chat/completions", "How do I reset my password?"
    lookup = {"messages": request(asked)["messages"], "context": {"model": "m"}}
    times = {}
    for number in range(-5, rounds):
        replies = {
            "upstream": direct.post(path, request(asked)),
            "lookup, hit": api.post("/v1/lookup", lookup),
            "chat, hit, stream": api.post(path, request(asked)),
            "chat, hit, JSON": api.post(path, request(asked, stream=False)),
            "chat, miss, stream": api.post(path, request(f"Is {number} + {rounds} a prime?")),
        }
        # The first rounds start the instances, and store the answer.
        if number < 0:
            continue
        expected = {"chat, hit, stream": "mneme; hit", "chat, hit, JSON": "mneme; hit"}
        for name, (took, status, text) in replies.items():
            if not status.startswith(expected.get(name, "mneme; fwd=miss" if name.startswith("chat") else "")):
                raise SystemExit(f"{name}: {status}")
            if name == "lookup, hit" and b'"outcome":"hit"' not in text:
                raise SystemExit(f"{name}: {text}")
            times.setdefault(name, []).append(took)
    return times


def main():
    folder, rounds = sys.argv[1], int(sys.argv[2])
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    command = [f"{folder}/mneme-local", "serve", "--port=0", "--dynamodb-port=0", f"--binaries={folder}"]
    environment = {**os.environ, "MNEME_UPSTREAM": f"http://127.0.0.1:{upstream.server_port}/v1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(re.search(r"api=\S+:(\d+)", process.stdout.readline()).group(1))
        times = measure(port, upstream.server_port, rounds)
    finally:
        process.terminate()
        process.wait()
    for name, values in times.items():
        p95 = sorted(values)[int(0.95 * len(values))]
        print(f"{name:20} median {statistics.median(values):7.2f}  p95 {p95:7.2f}  least {min(values):7.2f}")
    for hit in ("chat, hit, stream", "chat, hit, JSON"):
        ratio = statistics.median([a / b for a, b in zip(times[hit], times["lookup, hit"])])
        more = statistics.median([a - b for a, b in zip(times[hit], times["lookup, hit"])])
        print(f"{hit} against the lookup: {ratio:.2f} times, {more:+.2f} ms")
    overhead = [a - b for a, b in zip(times["chat, miss, stream"], times["upstream"])]
    ratio = statistics.median([a / b for a, b in zip(overhead, times["lookup, hit"])])
    p95 = sorted(overhead)[int(0.95 * len(overhead))]
    print(f"what a miss adds to the upstream's own time: {statistics.median(overhead):.2f} ms, p95 {p95:.2f}; {ratio:.2f} lookups")


main()

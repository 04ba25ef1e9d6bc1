"""The product on this machine, and a proxy that observes and disturbs the requests to it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[3]
BINARIES = Path(os.environ.get("MNEME_BINARIES", ROOT / "target" / "debug"))


@contextmanager
def mneme_local(*arguments: str, **env: str) -> Iterator[str]:
    """Runs `mneme-local serve` on free ports with the variables `env`. Yields the URL of the HTTP API."""
    command = [str(BINARIES / "mneme-local"), "serve", "--port", "0", "--binaries", str(BINARIES), *arguments]
    if "--dynamodb-endpoint" not in arguments:
        command += ["--dynamodb-port", "0"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MNEME_"))}
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**clean, "AWS_LAMBDA_LOG_LEVEL": "ERROR", **env},
    )
    try:
        assert server.stdout is not None
        ready = server.stdout.readline()
        assert ready.startswith("ready "), f"mneme-local printed {ready!r}"
        yield ready.split()[1].removeprefix("api=")
    finally:
        server.terminate()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]

    def json(self) -> dict[str, object]:
        fields: dict[str, object] = json.loads(self.body)
        return fields


@dataclass
class Answer:
    """What the proxy answers in place of the product."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    trickle: float = 0
    """Seconds between the bytes of the body."""


class Drop:
    """The proxy ends the connection without an answer."""


class Hang:
    """The proxy accepts the request and answers only when the test is over."""


Rule = Callable[[Seen], "Answer | Drop | Hang | None"]
"""What happens to a request: an answer, a fault, or None to forward it."""


class Proxy:
    """A proxy before `api`. It records every request and applies `rule`."""

    def __init__(self, api: str) -> None:
        self.seen: list[Seen] = []
        self.rule: Rule = lambda seen: None
        self._upstream = urlsplit(api).netloc
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def first(self, *answers: Answer | Drop | Hang) -> None:
        """Gives the next requests these answers, and forwards the others."""
        waiting = list(answers)
        self.rule = lambda seen: waiting.pop(0) if waiting else None

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, body, self.client_address)
                proxy.seen.append(seen)
                action = proxy.rule(seen)
                if isinstance(action, Hang):
                    proxy._over.wait(60)
                    action = Drop()
                if isinstance(action, Drop):
                    self.close_connection = True
                elif isinstance(action, Answer):
                    self.answer(action)
                else:
                    self.forward(seen)

            def answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                if not answer.trickle:
                    self.wfile.write(answer.body)
                    return
                for byte in answer.body:
                    time.sleep(answer.trickle)
                    try:
                        self.wfile.write(bytes([byte]))
                    except OSError:
                        self.close_connection = True
                        return

            def forward(self, seen: Seen) -> None:
                upstream = http.client.HTTPConnection(proxy._upstream, timeout=60)
                headers = {name: value for name, value in seen.headers.items() if name != "host"}
                upstream.request(seen.method, seen.target, seen.body, headers)
                reply = upstream.getresponse()
                kept = {
                    name: value
                    for name, value in reply.getheaders()
                    if name.lower() not in ("content-length", "transfer-encoding", "date", "connection")
                }
                self.answer(Answer(reply.status, reply.read(), kept))
                upstream.close()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

"""Measures how long functions take from exec to the first `GET …/invocation/next`, and from exec to their first reply.

Usage: startup.py FOLDER WEIGHTS FUNCTION...

FOLDER: the binaries of the functions. WEIGHTS: the directory of the model minilm. All files are in the page cache.

Each function is started alternately with two sets of root certificates: the few that sign the endpoints of AWS, which
is the default, and those of the system (SSL_CERT_DIR is set). The first reply is that of `calibrate`, which reads no
table. It answers pairs with similarities, which need no model, and pairs of one text of 16 word pieces, which it
embeds with minilm. The functions access no network except the Runtime API, which this script emulates.
"""

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 40
NEXT = b"/runtime/invocation/next"
RESPONSE = b"/runtime/invocation/1/response"
ERROR = b"/runtime/invocation/1/error"
REGISTER = b"/extension/register"
REGISTERED = (
    b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 00000000-0000-0000-0000-000000000000\r\n"
    b'Content-Type: application/json\r\nContent-Length: 66\r\n\r\n{"functionName":"f","functionVersion":"$LATEST","handler":"h"}    '
)

TEXT = "How do I change the address that my next parcel goes to?"


def pairs(**fields):
    """A request to `calibrate` with the smallest number of pairs that it accepts."""
    return json.dumps({"pairs": [{"same": at % 2 == 0, **fields} for at in range(20)]}).encode()


def invocation(event):
    """The reply of the Runtime API to a function that asks for work."""
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 1\r\n"
        f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1e3) + 20_000}\r\n"
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:f\r\n"
        f"Content-Length: {len(event)}\r\n\r\n"
    )
    return head.encode() + event


def started(program, environment, event=None):
    """The seconds until `program` asks for work, or with an `event` until it has replied to that."""
    with socket.create_server(("127.0.0.1", 0)) as server, selectors.DefaultSelector() as ready:
        server.setblocking(False)
        ready.register(server, selectors.EVENT_READ)
        port = server.getsockname()[1]
        begin = time.perf_counter()
        child = subprocess.Popen(
            [program], env={**environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"}, stdout=subprocess.DEVNULL
        )
        connections = []
        try:
            while time.perf_counter() - begin < 10:
                for key, _ in ready.select(1):
                    if key.fileobj is server:
                        connection, _ = server.accept()
                        connection.setblocking(False)
                        connections.append(connection)
                        ready.register(connection, selectors.EVENT_READ)
                        continue
                    request = key.fileobj.recv(65536)
                    if RESPONSE in request or NEXT in request and event is None:
                        return time.perf_counter() - begin
                    if ERROR in request:
                        raise SystemExit(f"{program} failed: {request.decode(errors='replace')}")
                    if NEXT in request:
                        key.fileobj.sendall(invocation(event))
                    if REGISTER in request:
                        key.fileobj.sendall(REGISTERED)
                    elif not request:
                        ready.unregister(key.fileobj)
            raise SystemExit(f"{program} did not ask for work in 10 s")
        finally:
            child.kill()
            child.wait()
            for connection in connections:
                connection.close()


def shown(seconds):
    return f"{statistics.median(seconds) * 1e3:.1f} ({min(seconds) * 1e3:.1f})"


def main(folder, weights, *functions):
    environment = {
        "MNEME_TABLE_NAME": "mneme",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_LEVEL": "ERROR",
    }
    system = {**environment, "SSL_CERT_DIR": os.environ.get("SSL_CERT_DIR", "/etc/ssl/certs")}
    print(f"| function | MB | ms, median (least) | with the system's certificates | /bin/true |\n| --- | --- | --- | --- | --- |")
    for function in functions:
        program = Path(folder) / f"mneme-{function}"
        times = {"own": [], "system": [], "nothing": []}
        for _ in range(ROUNDS):
            times["own"].append(started(program, environment))
            times["system"].append(started(program, system))
            begin = time.perf_counter()
            subprocess.run(["/bin/true"], check=True)
            times["nothing"].append(time.perf_counter() - begin)
        row = " | ".join(shown(part) for part in times.values())
        print(f"| {function} | {program.stat().st_size / 1e6:.1f} | {row} |")

    program = Path(folder) / "mneme-calibrate"
    model = {**environment, "MNEME_EMBEDDER": "minilm", "MNEME_MINILM_PATH": weights}
    kinds = {
        "no embedder": (environment, pairs(a=TEXT, b=TEXT, similarity=0.9)),
        "minilm, and no text to embed": (model, pairs(a=TEXT, b=TEXT, similarity=0.9)),
        "minilm, and one text": (model, pairs(a=TEXT, b=TEXT)),
    }
    times = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, (variables, event) in kinds.items():
            times[kind].append(started(program, variables, event))
    print("\n| calibrate's first reply | ms, median (least) |\n| --- | --- |")
    for kind, seconds in times.items():
        print(f"| {kind} | {shown(seconds)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])

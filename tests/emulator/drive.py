"""Sends every event file to every binary through Amazon's Lambda Runtime Interface Emulator.

Usage: python drive.py BINARIES DYNAMODB_URL UPSTREAM CONTRACT

Each kind of event has its own table. The functions run in an order in which each one finds the entries it needs. Prints
the outcome of each function and kind, then a summary. Exits 1 if an outcome is wrong.
UPSTREAM is the base URL of a stand-in for the OpenAI API. The emulator cannot stream, so chat answers in JSON here.
CONTRACT is the output of `mneme-local contract --json`: its operations are listed in that order.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import samcli

ROOT = Path(__file__).resolve().parents[2]
BINARIES, DYNAMODB, UPSTREAM, CONTRACT = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
EMULATOR = Path(samcli.__file__).parent / "local/rapid/aws-lambda-rie-x86_64"
ORDER = [operation["name"] for operation in json.loads(CONTRACT.read_text())["operations"]]
KINDS = ["direct", "http-api", "rest-api", "function-url", "scheduled"]
# Functions to invoke directly before the events of a kind.
FIRST = {"function-url": ["put"], "scheduled": ["put"]}
LOG = ROOT / "target/emulator/log"
MALFORMED = b'{"query": '

failed = 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def binary(function):
    built_by_sam = BINARIES / f"{function.capitalize()}Function/bootstrap"
    return built_by_sam if built_by_sam.exists() else BINARIES / f"mneme-{function}"


def listening(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


def invoke(function, table, payloads):
    """The function's replies to the payloads, which are sent one after the other."""
    api, runtime = free_port(), free_port()
    # Without these variables the emulator passes empty credentials and no region to the function.
    env = {
        "PATH": os.environ["PATH"],
        "MNEME_TABLE_NAME": table,
        "MNEME_CREATE_TABLE": "true",
        "MNEME_UPSTREAM": UPSTREAM,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_DYNAMODB": DYNAMODB,
        # DynamoDB Local separates the tables of access keys. A key may contain only letters and digits.
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    command = [EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{api}"]
    command += ["--runtime-api-address", f"127.0.0.1:{runtime}", binary(function)]
    # The emulator's output includes the function's.
    with LOG.open("ab") as log:
        emulator = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        listening(api)
        url = f"http://127.0.0.1:{api}/2015-03-31/functions/function/invocations"
        replies = []
        for payload in payloads:
            with urllib.request.urlopen(urllib.request.Request(url, data=payload), timeout=60) as reply:
                replies.append(json.load(reply))
        return replies
    finally:
        emulator.terminate()
        emulator.wait()


def verdict(function, kind, reply):
    """The outcome in one word, and whether it is correct."""
    if kind in ("direct", "scheduled"):
        if "errorType" in reply:
            return reply["errorType"], function == "snapshot" and reply["errorType"] == "CheckpointError"
        return "ok", function != "snapshot" and "statusCode" not in reply
    status = reply.get("statusCode")
    headers = reply.get("multiValueHeaders" if kind == "rest-api" else "headers", {})
    content_type = headers.get("content-type")
    content_type = content_type[0] if isinstance(content_type, list) else content_type
    expected = {"snapshot": 501, "put": 201}.get(function, 200)
    other_forms = {"snapshot": "application/problem+json", "console": "text/html; charset=utf-8"}
    form = other_forms.get(function, "application/json")
    if function != "console":
        json.loads(reply.get("body", ""))
    return str(status), status == expected and content_type == form


def main():
    global failed
    run = uuid.uuid4().hex[:8]
    table = {function: {} for function in ORDER}
    for kind in KINDS:
        functions = [f for f in ORDER if (ROOT / f"events/{f}/{kind}.json").exists()]
        for function in FIRST.get(kind, []):
            invoke(function, f"emulator-{kind}-{run}", [(ROOT / f"events/{function}/direct.json").read_bytes()])
        for function in functions:
            payloads = [(ROOT / f"events/{function}/{kind}.json").read_bytes()]
            if kind == "direct":
                payloads.append(MALFORMED)
            reply, *refused = invoke(function, f"emulator-{kind}-{run}", payloads)
            word, good = verdict(function, kind, reply)
            good = good and all(reply.get("errorType") == "InvalidRequest" for reply in refused)
            table[function][kind] = word if good else f"{word}!"
            if not good:
                failed += 1
                print(f"FAILED {function} {kind}: {reply} {refused} (see {LOG.relative_to(ROOT)})")
    print(f"{'':12}" + "".join(f"{kind:16}" for kind in KINDS))
    for function in ORDER:
        print(f"{function:12}" + "".join(f"{table[function].get(kind, '-'):16}" for kind in KINDS))
    passed = sum(len(row) for row in table.values()) - failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

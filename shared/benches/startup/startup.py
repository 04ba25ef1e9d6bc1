"""Times functions from exec to the first `GET …/invocation/next`, with warm files.

usage: startup.py FOLDER FUNCTION...

Each function is started with the few roots that sign AWS's endpoints, which is the default, and with the system's certificates
(SSL_CERT_DIR is set), in turns, in one run. Nothing is asked of the network but a Runtime API that this script plays.
"""

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
REGISTER = b"/extension/register"
REGISTERED = (
    b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 00000000-0000-0000-0000-000000000000\r\n"
    b'Content-Type: application/json\r\nContent-Length: 66\r\n\r\n{"functionName":"f","functionVersion":"$LATEST","handler":"h"}    '
)


def started(program, environment):
    """Seconds until `program` asks for work."""
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
                    if NEXT in request:
                        return time.perf_counter() - begin
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


def main(folder, *functions):
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
        shown = [f"{statistics.median(part) * 1e3:.1f} ({min(part) * 1e3:.1f})" for part in times.values()]
        print(f"| {function} | {program.stat().st_size / 1e6:.1f} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Asks the chat some questions and prints the replies. MNEME_URL names the cache."""

import json
import threading
import time
import urllib.request

import uvicorn
from app import app

QUESTIONS = [
    {"messages": [{"role": "user", "content": "How do I reset my password?"}]},
    {"messages": [{"role": "user", "content": "how do I  RESET my password?"}]},
    {"messages": [{"role": "user", "content": "Where is my parcel?"}], "personal": True},
    {"messages": [{"role": "user", "content": "Where is my parcel?"}], "personal": True},
    {"messages": [{"role": "user", "content": "Write a poem about roses"}]},
    {"messages": [{"role": "user", "content": "Write a poem about roses"}]},
]

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started and thread.is_alive():
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]
try:
    for question in QUESTIONS:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/chat", json.dumps(question).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            reply = json.load(response)
        print(f"{reply['source']:5} {reply['text']}")
finally:
    server.should_exit = True
    thread.join()

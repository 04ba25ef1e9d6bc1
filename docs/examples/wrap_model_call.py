"""Wraps the call of a language model: look up, on a miss call the model, then put.

Usage: python3 docs/examples/wrap_model_call.py http://127.0.0.1:3000
"""
import json
import sys
import urllib.request

# A lookup must cost less than the model call that it may save. A cold start has to fit as well.
TIMEOUT_SECS = 5
# What may stop a call of the cache: no connection, a time-out, an HTTP error (all OSError), or a body that is no JSON.
CACHE_ERRORS = (OSError, ValueError)


def call_cache(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECS) as reply:
        return json.load(reply)


def may_store(completion):
    """Whether the model finished its answer. Add a check for the refusals of your model."""
    return completion["finish_reason"] == "stop" and bool(completion["text"].strip())


def ask(url, messages, parameters, *, personal=False, ttl_seconds=None):
    """Returns the answer and its source. Only an error of the model is raised: without the cache, the model answers.

    `personal`: the answer depends on who asks, so it is neither looked up nor stored.
    `ttl_seconds`: how long the answer stays right; None for as long as the cache keeps it.
    """
    # Two requests share an answer only if system message, model and parameters are equal, and the last messages alike.
    key = {"messages": messages, "context": parameters, "namespace": "support"}
    if not personal:
        try:
            found = call_cache(url, "/v1/lookup", key)
            if found["outcome"] == "hit":
                return found["response"], f"cache ({found['layer']})"
        except CACHE_ERRORS as error:
            print("lookup failed, calling the model:", type(error).__name__, file=sys.stderr)
    completion = call_model(messages, **parameters)
    if not personal and may_store(completion):
        try:
            call_cache(url, "/v1/entries", {**key, "response": completion["text"], "ttl_seconds": ttl_seconds})
        except CACHE_ERRORS as error:
            print("put failed, the answer is not stored:", type(error).__name__, file=sys.stderr)
    return completion["text"], "model"


def call_model(messages, model, temperature):
    """A stand-in for your model's client. Like a real one, it raises on an error and says why it stopped."""
    question = messages[-1]["content"]
    if "poem" in question:
        return {"text": "Roses are red, violets", "finish_reason": "length"}
    return {"text": f"An answer to: {question}", "finish_reason": "stop"}


def main(url):
    parameters = {"model": "small", "temperature": 0}
    for question, options in [
        ("How do I reset my password?", {}),
        ("how do I  RESET my password?", {}),
        ("How can I reset my password?", {}),
        ("Is the shop open right now?", {"ttl_seconds": 60}),
        ("Where is my parcel?", {"personal": True}),
        ("Where is my parcel?", {"personal": True}),
        ("Write a poem about roses", {}),
        ("Write a poem about roses", {}),
    ]:
        messages = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": question}]
        answer, source = ask(url, messages, parameters, **options)
        print(f"{source:16} {question}")
    # Nothing listens on this port: the model answers all the same.
    answer, source = ask("http://127.0.0.1:9", messages, parameters)
    print(f"{source:16} (cache unreachable)")


if __name__ == "__main__":
    main(sys.argv[1])

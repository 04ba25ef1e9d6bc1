"""Drives unmodified Python clients through `mneme-local` to a fake upstream.

Usage: python drive.py API UPSTREAM. Both are base URLs; API is without `/v1`.
"""

import sys
import urllib.request

import litellm
import openai
from langchain_openai import ChatOpenAI

API, UPSTREAM = sys.argv[1] + "/v1", sys.argv[2]
TEXT = "Grüße aus 東京 👋, says the model."
USAGE = 12

results = {"passed": 0, "failed": 0}


def check(what: str, found: object, expected: object = True) -> None:
    if found == expected:
        results["passed"] += 1
    else:
        results["failed"] += 1
        print(f"FAILED {what}\n  found    {found!r}\n  expected {expected!r}")


def calls() -> int:
    """The number of requests that the upstream has received."""
    with urllib.request.urlopen(UPSTREAM.removesuffix("/v1") + "/calls") as reply:
        return int(reply.read())


def client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key="sk-test", max_retries=0)


def message(question: str) -> list[dict]:
    return [{"role": "user", "content": question}]


def comparable(reply: openai.types.chat.ChatCompletion) -> dict:
    return reply.model_dump() | {"id": None, "created": None}


def texts(stream) -> tuple[str, str | None, int | None]:
    """The text of a stream, its finish reason and its usage."""
    text, reason, usage = "", None, None
    for event in stream:
        for choice in event.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        usage = event.usage.total_tokens if event.usage else usage
    return text, reason, usage


def drive_openai() -> None:
    cached, direct = client(API), client(UPSTREAM)
    ask = {"model": "plain", "messages": message("openai: whole first")}
    expected = comparable(direct.chat.completions.create(**ask))
    before = calls()
    for at in ("stored", "hit"):
        check(f"openai, JSON, {at}", comparable(cached.chat.completions.create(**ask)), expected)
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    check("openai, a stream of what was JSON", texts(cached.chat.completions.create(**ask, **stream)), (TEXT, "stop", USAGE))
    check("openai, calls", calls() - before, 1)
    for model in ("plain", "slow", "bytes"):
        ask = {"model": model, "messages": message("openai: stream first")}
        before = calls()
        for at in ("stored", "hit"):
            found = texts(cached.chat.completions.create(**ask, **stream))
            check(f"openai, {model}, stream, {at}", found, (TEXT, "stop", USAGE))
        reply = cached.chat.completions.create(**ask)
        check(f"openai, {model}, JSON of what was a stream", reply.choices[0].message.content, TEXT)
        check(f"openai, {model}, usage", reply.usage.total_tokens, USAGE)
        check(f"openai, {model}, calls", calls() - before, 1)


def drive_openai_failures() -> None:
    cached = client(API)
    for streams in (False, True):
        for model in ("long", "refusal", "tools", "limit", "cut"):
            before = calls()
            for _ in range(2):
                outcome = "none"
                try:
                    reply = cached.chat.completions.create(model=model, messages=message("openai: failures"), stream=streams)
                    if streams:
                        reply = texts(reply)
                    outcome = reply[1] if streams else reply.choices[0].finish_reason
                except openai.RateLimitError:
                    outcome = "limit"
                # A cut stream ends with an error event, after an event that may be half.
                except (openai.APIError, ValueError):
                    outcome = "error"
                expected = {"long": "length", "refusal": "stop", "tools": "tool_calls", "limit": "limit", "cut": "error"}
                check(f"openai, {model}, stream {streams}", outcome, expected[model])
            check(f"openai, {model}, stream {streams}, calls", calls() - before, 2)


def drive_langchain() -> None:
    def model(name: str) -> ChatOpenAI:
        return ChatOpenAI(model=name, base_url=API, api_key="sk-test", max_retries=0, stream_usage=True)

    before = calls()
    for at in ("stored", "hit"):
        reply = model("plain").invoke("langchain: whole first")
        check(f"langchain, invoke, {at}", (reply.content, reply.usage_metadata["total_tokens"]), (TEXT, USAGE))
    check("langchain, stream of what was JSON", "".join(c.content for c in model("plain").stream("langchain: whole first")), TEXT)
    check("langchain, calls", calls() - before, 1)
    before = calls()
    for at in ("stored", "hit"):
        check(f"langchain, stream, {at}", "".join(c.content for c in model("bytes").stream("langchain: stream first")), TEXT)
    check("langchain, invoke of what was a stream", model("bytes").invoke("langchain: stream first").content, TEXT)
    check("langchain, stream, calls", calls() - before, 1)


def drive_litellm() -> None:
    def ask(model: str, question: str, **fields):
        where = {"api_base": API, "api_key": "sk-test", "num_retries": 0}
        return litellm.completion(model=f"openai/{model}", messages=message(question), **where, **fields)

    before = calls()
    for at in ("stored", "hit"):
        reply = ask("plain", "litellm: whole first")
        check(f"litellm, JSON, {at}", (reply.choices[0].message.content, reply.usage.total_tokens), (TEXT, USAGE))
    check("litellm, calls", calls() - before, 1)
    before = calls()
    for at in ("stored", "hit"):
        text = "".join(event.choices[0].delta.content or "" for event in ask("slow", "litellm: stream first", stream=True))
        check(f"litellm, stream, {at}", text, TEXT)
    check("litellm, stream, calls", calls() - before, 1)


def main() -> int:
    drive_openai()
    drive_openai_failures()
    drive_langchain()
    drive_litellm()
    print(f"Python clients: {results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

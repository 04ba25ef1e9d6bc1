"""Credentials: bearer tokens, and signatures that are compared with those of botocore."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from servers import Proxy, Seen

from mneme_lambda import AsyncMneme, Bearer, CredentialsMissing, Iam, Invoke, Mneme, NotFound

NAMES = ["plain", "a/b", "a b", " lead", "ß ä", "日本語", "a+b=c&d?e#f", "100%", "a%2Fb", "~-._", "é", "🙂", "(x)*'!"]


def requests(client: Any) -> list[Callable[[], Any]]:
    """50 requests: paths with slashes, blanks and Unicode, queries, bodies, and each method."""
    calls: list[Callable[[], Any]] = []
    for name in NAMES:
        calls += [partial(client.quota, name), partial(client.meta, name), partial(client.stats, namespace=name)]
    calls += [
        lambda: client.set_meta("guard:a b/ß", "off"),
        lambda: client.set_quota(3, namespace="a b/ß"),
        lambda: client.delete_quota("a b/ß"),
        lambda: client.clear("a b/ß"),
        lambda: client.find("0" * 64, namespace="日本/語 x"),
        lambda: client.page(namespace="ß &=", order="lru", limit=5),
        lambda: client.page(after_id=3, limit=7),
        lambda: client.health(),
        lambda: client.put("日本語 🙂", "“answer”\n\t\\", metadata={"ß": [1.5, None]}),
        lambda: client.lookup([{"role": "user", "content": "x  y"}], context={"a": "/"}),
        lambda: client.delete("日本語 🙂"),
    ]
    assert len(calls) == 50
    return calls


def signed_by_botocore(seen: Seen, service: str) -> str:
    """The signature that botocore makes for what arrived."""
    auth = seen.headers["authorization"]
    names = auth.split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest(
        method=seen.method,
        url=f"http://{seen.headers['host']}{seen.target}",
        data=seen.body,
        headers={name: seen.headers[name] for name in names},
    )
    request.context["timestamp"] = seen.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), service, "eu-west-1")
    signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return signature


def signed_by_the_description(seen: Seen, service: str) -> str:
    """The signature by AWS's description of Signature Version 4, without botocore.

    Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".
    """
    path, _, query = seen.target.partition("?")
    names = seen.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    canonical = "\n".join(
        [
            seen.method,
            quote(path, safe="/~"),
            "&".join(f"{quote(unquote(name), safe='~')}={quote(unquote(value), safe='~')}" for name, value in pairs),
            *(f"{name}:{seen.headers[name].strip()}" for name in names.split(";")),
            "",
            names,
            hashlib.sha256(seen.body).hexdigest(),
        ]
    )
    date = seen.headers["x-amz-date"]
    scope = f"{date[:8]}/eu-west-1/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4secret"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


@pytest.mark.parametrize("way", ["http", "invoke"])
def test_signatures_of_50_requests_are_botocore_s(make_client: Callable[..., Any], proxy: Proxy, way: str) -> None:
    iam = Iam(region="eu-west-1")
    if way == "http":
        client, service = make_client(proxy.url, auth=iam), "execute-api"
    else:
        client, service = make_client(Invoke.stack("mneme dev/ß", endpoint_url=proxy.url, auth=iam)), "lambda"
    for call in requests(client):
        with suppress(NotFound):
            call()
    assert len(proxy.seen) == 50
    for seen in proxy.seen:
        assert f"/eu-west-1/{service}/aws4_request" in seen.headers["authorization"]
        signature = seen.headers["authorization"].split("Signature=")[1]
        assert signature == signed_by_botocore(seen, service) == signed_by_the_description(seen, service), seen.target


def test_invoke_of_a_stack_calls_the_alias_live(make_client: Callable[..., Any], proxy: Proxy) -> None:
    client = make_client(Invoke.stack("mneme-dev", endpoint_url=proxy.url, auth=Iam(region="eu-west-1")))
    assert not client.lookup("another question")
    assert proxy.seen[0].target == "/2015-03-31/functions/mneme-dev-lookup/invocations?Qualifier=live"


def test_invoke_of_functions_calls_names_and_arns_as_they_are(
    make_client: Callable[..., Any], proxy: Proxy, namespace: str
) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:other-put:live"
    target = Invoke.functions({"lookup": "lookup", "put": arn}, endpoint_url=proxy.url, auth=Iam(region="eu-west-1"))
    client = make_client(target, namespace=namespace)
    client.put("question", "answer")
    assert client.lookup("question")
    assert [seen.target for seen in proxy.seen] == [
        f"/2015-03-31/functions/{quote(arn, safe='')}/invocations",
        "/2015-03-31/functions/lookup/invocations",
    ]


def test_invoke_finds_the_endpoint_of_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    assert Invoke.stack("s")._endpoint_url() == "https://lambda.cn-north-1.amazonaws.com.cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:3000")
    assert Invoke.stack("s")._endpoint_url() == "http://127.0.0.1:3000"


@pytest.mark.parametrize(
    ("host", "region", "service"),
    [
        ("abc.execute-api.ap-south-1.amazonaws.com", "ap-south-1", "execute-api"),
        ("abc.execute-api.cn-north-1.amazonaws.com.cn", "cn-north-1", "execute-api"),
        ("abc.lambda-url.eu-north-1.on.aws", "eu-north-1", "lambda"),
        ("cache.example.com", "us-west-2", "execute-api"),
    ],
)
def test_host_names_region_and_service(monkeypatch: pytest.MonkeyPatch, host: str, region: str, service: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert (Iam().region(host), Iam().service(host)) == (region, service)
    headers = Iam().headers("GET", f"https://{host}/v1/health", {}, b"")
    assert f"/{region}/{service}/aws4_request" in headers["Authorization"]


@pytest.fixture
def credential_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default credential chain whose temporary credentials are about to expire each time they are read."""
    script = tmp_path / "credentials.py"
    script.write_text(
        "import datetime, json, pathlib\n"
        f"path = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "number = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(number))\n"
        "soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{number}', 'SecretAccessKey': 'secret',\n"
        "                  'SessionToken': f'token{number}', 'Expiration': soon.isoformat()}))\n"
    )
    config = tmp_path / "config"
    config.write_text(f"[default]\nregion = eu-west-1\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


@pytest.mark.usefixtures("credential_process")
def test_credentials_that_expire_are_refreshed(make_client: Callable[..., Any], proxy: Proxy) -> None:
    client = make_client(proxy.url, auth=Iam(), timeout=30)
    for _ in range(3):
        client.lookup("question")
    keys = [seen.headers["authorization"].split("Credential=")[1].split("/")[0] for seen in proxy.seen]
    assert len(set(keys)) == 3
    assert [seen.headers["x-amz-security-token"] for seen in proxy.seen] == [f"token{key[4:]}" for key in keys]


def test_credentials_that_cannot_be_refreshed_are_missing(
    api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-west-1\ncredential_process = false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with Mneme(api, auth=Iam()) as client:
        with pytest.raises(CredentialsMissing):
            client.lookup("question")
        assert client.get_or_call("question", lambda: "answer").text == "answer"


def test_iam_takes_a_session_of_botocore(api: str, proxy: Proxy) -> None:
    session = botocore.session.Session()
    session.set_credentials("AKIDOTHER", "secret", "token")
    with Mneme(proxy.url, auth=Iam(session=session, region="eu-west-1")) as client:
        client.lookup("question")
    assert "Credential=AKIDOTHER/" in proxy.seen[0].headers["authorization"]


def test_bearer_sends_the_current_token(make_client: Callable[..., Any], proxy: Proxy) -> None:
    tokens = iter(["one", "two"])
    client = make_client(proxy.url, auth=Bearer(lambda: next(tokens)))
    client.lookup("question")
    client.lookup("question")
    make_client(proxy.url, auth=Bearer("three")).lookup("question")
    assert [seen.headers["authorization"] for seen in proxy.seen] == ["Bearer one", "Bearer two", "Bearer three"]


async def test_credentials_that_may_block_are_read_in_another_thread(api: str) -> None:
    threads = []

    def token() -> str:
        threads.append(threading.get_ident())
        return "e30.e30.e30"

    async with AsyncMneme(api, auth=Bearer(token)) as client:
        await client.lookup("question")
    assert threads != [threading.get_ident()]


def test_token_provider_that_fails_does_not_stop_the_model(make_client: Callable[..., Any], api: str) -> None:
    client = make_client(api, auth=Bearer(lambda: json.loads("no token")))
    answer = client.get_or_call("question", lambda: "answer")
    assert (answer.text, type(answer.error)) == ("answer", json.JSONDecodeError)

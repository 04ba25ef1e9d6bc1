"""Every error of the contract, and what API Gateway, Lambda and the network answer in place of the cache."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from conftest import invoke
from servers import BINARIES, Answer, Drop, Proxy, mneme_local

import mneme_lambda
from mneme_lambda import (
    Bearer,
    ConnectionLost,
    CredentialsMissing,
    CredentialsRefused,
    EmbedderDimensionError,
    EmbedderError,
    EmbedderMismatchError,
    EntryTooLarge,
    GatewayError,
    Iam,
    IdempotentParameterMismatch,
    InsufficientScope,
    Internal,
    InvalidRequest,
    Invoke,
    Mneme,
    MnemeError,
    NamespaceForbidden,
    NotFound,
    Retry,
    StoreBackendError,
    Throttled,
    Unreachable,
    UnsupportedContentEncoding,
)
from mneme_lambda.errors import CONTRACT_ERRORS

LOCAL = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
ONCE = Retry(attempts=1)


def raised(kind: type[MnemeError], call: Callable[[], Any]) -> MnemeError:
    """The error of the class `kind` that `call` raises. It has a fact and a remedy."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    assert error.name == kind.__name__
    assert error.detail
    assert error.remediation
    assert str(error) == f"{error.detail}. Remediation: {error.remediation}"
    return error


def test_every_error_of_openapi_is_a_class_of_its_name(contract: dict[str, Any]) -> None:
    names = {error["name"] for error in contract["errors"]}
    assert names == set(CONTRACT_ERRORS)
    assert all(getattr(mneme_lambda, name) is CONTRACT_ERRORS[name] for name in names)


def test_invalid_request_names_the_field(client: Any) -> None:
    assert "limit" in raised(InvalidRequest, lambda: client.page(limit=5000)).detail
    raised(InvalidRequest, lambda: client.lookup(" "))


def test_embedder_dimension_error(client: Any) -> None:
    raised(EmbedderDimensionError, lambda: client.put("question", "answer", embedding=[1.0, 0.0]))


def test_not_found(client: Any) -> None:
    raised(NotFound, lambda: client.entry(10**15))


def test_entry_too_large(client: Any) -> None:
    raised(EntryTooLarge, lambda: client.put("question", "a" * 2_200_000))


def test_body_that_lambda_does_not_take_is_entry_too_large(client: Any) -> None:
    raised(EntryTooLarge, lambda: client.put("question", "a" * 7_000_000))


def test_embedder_mismatch_error(make_client: Callable[..., Any], tmp_path: Any) -> None:
    data = ["--data", str(tmp_path / "table")]
    with mneme_local(*data, MNEME_EMBEDDER_FINGERPRINT="one", MNEME_EMBEDDER_DIM="3", **LOCAL) as api:
        make_client(api).put("question", "answer")
    with mneme_local(*data, MNEME_EMBEDDER_FINGERPRINT="two", MNEME_EMBEDDER_DIM="3", **LOCAL) as api:
        client = make_client(api)
        raised(EmbedderMismatchError, lambda: client.lookup("question"))
        health = client.health()
        assert (bool(health), health.embedder_match) == (False, False)
        assert health.problems


def test_namespace_forbidden(make_client: Callable[..., Any]) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"spaces": ["mine"]}).encode()).decode().rstrip("=")
    with mneme_local(MNEME_NAMESPACE_CLAIM="spaces", MNEME_NAMESPACE_CLAIM_FORM="list", **LOCAL) as api:
        client = make_client(api, auth=Bearer(f"e30.{claims}.e30"), namespace="mine")
        client.put("question", "answer")
        assert [count.namespace for count in client.namespaces()] == ["mine"]
        assert raised(NamespaceForbidden, lambda: client.get("question", namespace="yours")).status == 403
        raised(NamespaceForbidden, lambda: client.set_quota(5))


def test_insufficient_scope(make_client: Callable[..., Any]) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"scope": "mneme:read"}).encode()).decode().rstrip("=")
    with mneme_local(MNEME_SCOPE_CLAIM="scope", **LOCAL) as api:
        client = make_client(api, auth=Bearer(f"e30.{claims}.e30"))
        assert client.get("question") is None
        assert raised(InsufficientScope, lambda: client.put("question", "answer")).status == 403


def test_idempotent_parameter_mismatch(client: Any, namespace: str) -> None:
    client.put("question", "one", idempotency_key=namespace)
    raised(IdempotentParameterMismatch, lambda: client.put("question", "two", idempotency_key=namespace))


def test_embedder_error(make_client: Callable[..., Any]) -> None:
    with mneme_local(MNEME_EMBEDDER="openai:model:3@http://127.0.0.1:9/v1", **LOCAL) as api:
        client = make_client(api, retry=ONCE, timeout=20)
        assert client.lookup("question").reason == "embedder_failure"
        raised(EmbedderError, lambda: client.put("question", "answer"))


def test_store_backend_error(make_client: Callable[..., Any]) -> None:
    with mneme_local("--dynamodb-endpoint", "http://127.0.0.1:9", **LOCAL) as api:
        for target in (api, invoke(api)):
            client = make_client(target, retry=ONCE, timeout=20)
            assert client.lookup("question").reason == "unavailable"
            raised(StoreBackendError, partial(client.put, "question", "answer"))
        health = client.health()
        assert (health.healthy, health.table_reachable) == (False, False)


class Compressing:
    """Credentials that claim that the body is compressed."""

    def may_block(self) -> bool:
        return False

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        return {**headers, "content-encoding": "gzip"}


def test_unsupported_content_encoding(make_client: Callable[..., Any], api: str) -> None:
    client = make_client(api, auth=Compressing())
    assert raised(UnsupportedContentEncoding, lambda: client.lookup("question")).status == 415


def problem(name: str, status: int) -> Answer:
    body = {"type": f"urn:mneme:error:{name}", "title": "t", "status": status, "detail": "d", "remediation": "r"}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/problem+json"})


def test_internal(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(problem("Internal", 500))
    error = raised(Internal, lambda: make_client(proxy.url, retry=ONCE).lookup("question"))
    assert (error.detail, error.remediation, error.status) == ("d", "r", 500)


@pytest.mark.parametrize("name", CONTRACT_ERRORS)
def test_every_error_over_http_and_through_lambda_is_its_class(
    make_client: Callable[..., Any], proxy: Proxy, name: str
) -> None:
    function_error = json.dumps({"errorType": name, "errorMessage": "d. Remediation: r"}).encode()
    proxy.first(problem(name, 418), Answer(200, function_error, {"x-amz-function-error": "Unhandled"}))
    for target in (proxy.url, invoke(proxy.url)):
        error = raised(CONTRACT_ERRORS[name], partial(make_client(target, retry=ONCE).lookup, "question"))
        assert (error.detail, error.remediation) == ("d", "r")


def test_error_of_a_newer_cache_keeps_its_name(make_client: Callable[..., Any], proxy: Proxy) -> None:
    proxy.first(problem("Unheard", 418))
    with pytest.raises(MnemeError) as caught:
        make_client(proxy.url).lookup("question")
    assert (caught.value.name, caught.value.status, caught.value.detail) == ("Unheard", 418, "d")


GATEWAY = [
    (Answer(401, b'{"message":"Unauthorized"}'), CredentialsRefused),
    (Answer(403, b'{"message":"Forbidden"}'), CredentialsRefused),
    (Answer(404, b'{"message":"Not Found"}'), GatewayError),
    (Answer(413, b'{"message":"Request Too Long"}'), EntryTooLarge),
    (Answer(429, b'{"message":"Too Many Requests"}'), Throttled),
    (Answer(500, b'{"message":"Internal Server Error"}'), GatewayError),
    (Answer(503, b'{"message":"Service Unavailable"}'), GatewayError),
    (Answer(503, b"<html>", {"content-type": "text/html"}), GatewayError),
    (Answer(200, b"<html>", {"content-type": "text/html"}), GatewayError),
    (Answer(200, b"[]"), GatewayError),
    (Answer(200, b'{"outcome":"maybe"}'), GatewayError),
    (Answer(200, b'{"outcome":"hit"}'), GatewayError),
    (Answer(302, b"", {"location": "https://example.com/"}), GatewayError),
    (Drop(), ConnectionLost),
]


@pytest.mark.parametrize(("answer", "kind"), GATEWAY)
def test_answer_that_is_not_the_cache_s(
    make_client: Callable[..., Any], proxy: Proxy, answer: Answer | Drop, kind: type[MnemeError]
) -> None:
    proxy.first(answer)
    raised(kind, lambda: make_client(proxy.url, retry=ONCE).lookup("question"))


def exception(status: int, name: str, message: str = "m") -> Answer:
    return Answer(status, json.dumps({"message": message}).encode(), {"x-amzn-errortype": f"{name}:http://x/"})


LAMBDA = [
    (exception(403, "AccessDeniedException"), CredentialsRefused),
    (exception(403, "ExpiredTokenException"), CredentialsRefused),
    (exception(400, "UnrecognizedClientException"), CredentialsRefused),
    (exception(404, "ResourceNotFoundException"), GatewayError),
    (exception(413, "RequestTooLargeException"), EntryTooLarge),
    (exception(429, "TooManyRequestsException"), Throttled),
    (exception(500, "ServiceException"), GatewayError),
    (
        Answer(
            200,
            b'{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out"}',
            {"x-amz-function-error": "Unhandled"},
        ),
        GatewayError,
    ),
]


@pytest.mark.parametrize(("answer", "kind"), LAMBDA)
def test_answer_of_lambda_itself(
    make_client: Callable[..., Any], proxy: Proxy, answer: Answer, kind: type[MnemeError]
) -> None:
    proxy.first(answer)
    error = raised(kind, lambda: make_client(invoke(proxy.url), retry=ONCE).lookup("question"))
    assert "m" in error.detail or "Timedout" in error.detail


def test_function_that_does_not_exist_is_named(make_client: Callable[..., Any], api: str) -> None:
    client = make_client(Invoke.functions({"lookup": "nowhere"}, endpoint_url=api, auth=Iam(region="us-east-1")))
    assert "nowhere" in raised(GatewayError, lambda: client.lookup("question")).detail


def test_operation_without_a_function_is_refused(make_client: Callable[..., Any], api: str) -> None:
    client = make_client(Invoke.functions({"lookup": "lookup"}, endpoint_url=api, auth=Iam(region="us-east-1")))
    assert "put" in raised(InvalidRequest, lambda: client.put("question", "answer")).detail


def test_no_connection_is_unreachable(make_client: Callable[..., Any]) -> None:
    raised(Unreachable, lambda: make_client("http://127.0.0.1:9", retry=ONCE).lookup("question"))


@pytest.mark.parametrize("url", ["", "127.0.0.1:3000", "ftp://host", "https://"])
def test_address_that_is_no_url_is_refused(url: str) -> None:
    raised(InvalidRequest, lambda: Mneme(url))


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_name_that_no_path_can_hold_is_refused(mneme: Mneme, name: str) -> None:
    raised(InvalidRequest, lambda: mneme.meta(name))


def test_credentials_beside_an_invoke_target_are_refused(api: str) -> None:
    raised(InvalidRequest, lambda: Mneme(invoke(api), auth=Iam()))


def test_no_credentials_and_no_region_are_credentials_missing(
    make_client: Callable[..., Any], api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "region" in raised(CredentialsMissing, lambda: make_client(api, auth=Iam()).lookup("question")).detail
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    client = make_client(api, auth=Iam(region="us-east-1"))
    assert "aws sts" in raised(CredentialsMissing, lambda: client.lookup("question")).remediation


@pytest.fixture(scope="session")
def contract() -> dict[str, Any]:
    """What the product declares of itself."""
    return cast(dict[str, Any], json.loads(subprocess.check_output([BINARIES / "mneme-local", "contract", "--json"])))

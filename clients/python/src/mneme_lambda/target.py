"""The two ways to a cache: its HTTP API, and Lambda's Invoke API.

A target writes a request as an HTTP message and reads the reply. It does no input or output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from . import _request
from ._request import Request
from .auth import Auth, Iam
from .errors import (
    CONTRACT_ERRORS,
    CredentialsRefused,
    EntryTooLarge,
    GatewayError,
    InvalidRequest,
    MnemeError,
    Throttled,
)

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ERROR_TYPE = "urn:mneme:error:"
_REMEDIATION = ". Remediation: "
_CHECK_ADDRESS = "check the address, the region and the stack's name"


@dataclass(frozen=True)
class Message:
    """An HTTP request without credentials."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An HTTP reply. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Target(Protocol):
    """Where a cache is, and how it is called."""

    @property
    def auth(self) -> Auth | None:
        """What adds credentials; None for a cache that asks for none."""
        ...

    def write(self, request: Request) -> Message:
        """The request as an HTTP message. Raises `InvalidRequest` for what cannot be sent."""
        ...

    def read(self, request: Request, reply: Reply) -> Any:
        """The JSON value of the reply. Raises the error that the reply reports."""
        ...


class HttpApi:
    """The HTTP API of a stack, or of `mneme-local`. `url`: the stack's output `ApiUrl`."""

    def __init__(self, url: str, auth: Auth | None = None) -> None:
        if not re.match(r"https?://[^/?#]+", url):
            raise InvalidRequest(f"{url!r} is no address of an HTTP API", "pass a URL such as https://…amazonaws.com")
        self._url = url.rstrip("/")
        self.auth = auth

    def write(self, request: Request) -> Message:
        if not request.template:
            raise InvalidRequest(
                f"`{request.function}` has no HTTP route", "call it with Mneme(Invoke.stack(…)), through Lambda"
            )
        try:
            path = _PLACEHOLDER.sub(lambda match: quote(str(request.path[match[1]]), safe=""), request.template)
            query = {name: _text(value) for name, value in request.query.items()}
            parameters = urlencode(query, quote_via=quote, safe="")
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"the request cannot be written as UTF-8: {error}", "send valid Unicode") from None
        # Clients and proxies drop segments of dots, also if the dots are percent-encoded.
        if any(str(value) in ("", ".", "..") for value in request.path.values()):
            raise InvalidRequest("an empty value or dots alone cannot be sent in a path", "use another name")
        url = f"{self._url}{path}?{parameters}" if parameters else f"{self._url}{path}"
        if request.body is None:
            return Message(request.method, url, {}, b"")
        return Message(request.method, url, {"content-type": "application/json"}, _request.encode(request.body))

    def read(self, request: Request, reply: Reply) -> Any:
        value = _json(reply.body)
        if reply.status < 300 and value is not None:
            return value
        if isinstance(value, dict):
            if str(value.get("type", "")).startswith(_ERROR_TYPE):
                raise problem(value, _retry_after(reply))
            # A cache that is not healthy says so with the status 503.
            if request.function == "health" and "healthy" in value:
                return value
        message = str(value["message"]) if isinstance(value, dict) and "message" in value else ""
        raise _refusal(reply, message or f"an answer that is not the cache's, with status {reply.status}")


class Invoke:
    """Lambda's Invoke API. Make one with `Invoke.stack` or `Invoke.functions`. It needs the extra `[aws]`."""

    def __init__(
        self, name: Callable[[str], str], *, qualifier: str | None, auth: Iam | None, endpoint_url: str | None
    ) -> None:
        self._name = name
        self._qualifier = qualifier
        self.auth = (auth if auth is not None else Iam()).for_service("lambda")
        self._endpoint = endpoint_url.rstrip("/") if endpoint_url is not None else None

    @classmethod
    def stack(
        cls, stack: str, *, qualifier: str | None = "live", auth: Iam | None = None, endpoint_url: str | None = None
    ) -> Invoke:
        """The functions of a stack, such as `mneme-prod-lookup` of the stack `mneme-prod`.

        `qualifier`: the alias to call; None for the newest code. `auth`: credentials other than the default ones.
        `endpoint_url`: an endpoint other than that of the AWS configuration.
        """
        return cls(lambda operation: f"{stack}-{operation}", qualifier=qualifier, auth=auth, endpoint_url=endpoint_url)

    @classmethod
    def functions(
        cls,
        names: Mapping[str, str],
        *,
        qualifier: str | None = None,
        auth: Iam | None = None,
        endpoint_url: str | None = None,
    ) -> Invoke:
        """Functions by name or ARN, each with or without a qualifier. `names`: from operations such as `lookup`.

        An operation that `names` lacks raises `InvalidRequest`.
        """

        def name(operation: str) -> str:
            try:
                return names[operation]
            except KeyError:
                raise InvalidRequest(
                    f"no function is named for the operation `{operation}`", f"add {operation!r} to Invoke.functions"
                ) from None

        return cls(name, qualifier=qualifier, auth=auth, endpoint_url=endpoint_url)

    def _endpoint_url(self) -> str:
        if self._endpoint is None:
            # The client of botocore knows partitions, and endpoints that the AWS configuration sets.
            client = self.auth.session.create_client("lambda", region_name=self.auth.region())
            self._endpoint = str(client.meta.endpoint_url).rstrip("/")
        return self._endpoint

    def write(self, request: Request) -> Message:
        name = quote(self._name(request.function), safe="")
        url = f"{self._endpoint_url()}/2015-03-31/functions/{name}/invocations"
        if self._qualifier is not None:
            url += f"?Qualifier={quote(self._qualifier, safe='')}"
        return Message("POST", url, {"content-type": "application/json"}, _request.encode(request.fields()))

    def read(self, request: Request, reply: Reply) -> Any:
        value = _json(reply.body)
        if reply.status == 200 and value is not None:
            if "x-amz-function-error" in reply.headers:
                raise _function_error(value)
            return value
        fields = value if isinstance(value, dict) else {}
        exception = reply.headers.get("x-amzn-errortype", "").split(":")[0]
        message = fields.get("message") or fields.get("Message") or f"an answer with status {reply.status}"
        raise _refusal(reply, f"{exception}: {message}" if exception else str(message))


def problem(value: Mapping[str, Any], retry_after: float | None = None) -> MnemeError:
    """The error of a reply or of an item of a batch, from its problem details (RFC 9457)."""
    name = str(value.get("type", "")).removeprefix(_ERROR_TYPE)
    kind = CONTRACT_ERRORS.get(name, MnemeError)
    return kind(
        str(value.get("detail", value.get("title", name))),
        str(value.get("remediation", "see docs/errors.md")),
        name=name,
        status=value.get("status"),
        retry_after=retry_after,
    )


def _function_error(value: Any) -> MnemeError:
    fields = value if isinstance(value, dict) else {}
    name, message = str(fields.get("errorType", "")), str(fields.get("errorMessage", ""))
    if name in CONTRACT_ERRORS or _REMEDIATION in message:
        detail, _, remediation = message.partition(_REMEDIATION)
        return CONTRACT_ERRORS.get(name, MnemeError)(detail, remediation, name=name)
    return GatewayError(
        f"the function failed: {name} {message}".rstrip(), "look for the request in the function's log", status=502
    )


def _refusal(reply: Reply, fact: str) -> MnemeError:
    """The error for a reply of API Gateway or Lambda."""
    status, retry_after = reply.status, _retry_after(reply)
    if status in (401, 403) or re.match(r"\w*(Token|Signature|Credential|Client)\w*Exception", fact):
        return CredentialsRefused(
            fact, "renew the credentials, and allow their principal this operation: docs/deploy.md", status=status
        )
    if status == 429:
        return Throttled(fact, "send fewer requests, or raise the limits", status=status, retry_after=retry_after)
    if status == 413:
        return EntryTooLarge(fact, "send less in one request", status=status)
    if status >= 500:
        return GatewayError(
            fact, "try again; then look into the functions' log", status=status, retry_after=retry_after
        )
    return GatewayError(fact, _CHECK_ADDRESS, status=status)


def _text(value: Any) -> str:
    """A value of a query parameter: truth values as in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(body: bytes) -> Any:
    """The JSON value, or None for what is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _retry_after(reply: Reply) -> float | None:
    """The seconds of `Retry-After`. A date is not read: neither the cache nor AWS sends one."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None

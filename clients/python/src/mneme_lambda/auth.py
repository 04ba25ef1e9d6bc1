"""What a client proves itself with: nothing, a bearer token, or IAM credentials."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from .errors import CredentialsMissing

if TYPE_CHECKING:
    from botocore.session import Session

# The hosts of API Gateway and of Function URLs name the region and the service.
_AWS_HOSTS = [
    (re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$"), "execute-api"),
    (re.compile(r"\.lambda-url\.([a-z0-9-]+)\.on\.aws$"), "lambda"),
]


class Auth(Protocol):
    """Adds credentials to a request."""

    def may_block(self) -> bool:
        """Whether the next call of `headers` may wait for a file or the network."""
        ...

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """The headers of the request, with credentials. Raises `CredentialsMissing`."""
        ...


class Bearer:
    """A JWT. `token`: the token, or a function that returns the current one; it is called for each request."""

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token

    def may_block(self) -> bool:
        return callable(self._token)

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        return {**headers, "authorization": f"Bearer {token}"}


class Iam:
    """AWS Signature Version 4, by the default credential chain of botocore. It needs the extra `[aws]`.

    Temporary credentials are refreshed before they expire.

    `region`: the region to sign for. Without it the host of the cache names the region, else the AWS configuration.
    `profile`: a profile of the AWS configuration. `session`: a session of botocore, in place of `profile`.
    `service`: the service to sign for. Without it, the host tells Function URLs (`lambda`) from API Gateway
    (`execute-api`).
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        session: Session | None = None,
        service: str | None = None,
    ) -> None:
        try:
            import botocore.session
        except ImportError:
            raise CredentialsMissing(
                "IAM credentials need the package botocore", "pip install 'mneme-lambda[aws]'"
            ) from None
        self.session: Session = session if session is not None else botocore.session.Session(profile=profile)
        self._region = region
        self._service = service
        self._credentials: Any = None
        # A session of botocore is not safe to use from several threads.
        self._loading = threading.Lock()

    def region(self, host: str = "") -> str:
        """The region to sign for. Raises `CredentialsMissing` if neither argument, host nor configuration names it."""
        in_host = next((match[1] for pattern, _ in _AWS_HOSTS if (match := pattern.search(host))), None)
        region = self._region or in_host or self.session.get_config_variable("region")
        if not region:
            raise CredentialsMissing("no AWS region is known", "set AWS_REGION, or pass Iam(region=…)")
        return str(region)

    def service(self, host: str) -> str:
        """The service to sign for."""
        in_host = next((service for pattern, service in _AWS_HOSTS if pattern.search(host)), "execute-api")
        return self._service or in_host

    def for_service(self, service: str) -> Iam:
        """The same credentials, to sign for `service` unless another one was given."""
        other = copy.copy(self)
        other._service = self._service or service
        return other

    def may_block(self) -> bool:
        if self._credentials is None:
            return True
        refresh_needed = getattr(self._credentials, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed())

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        host = urlsplit(url).hostname or ""
        try:
            with self._loading:
                if self._credentials is None:
                    self._credentials = self.session.get_credentials()
            if self._credentials is None:
                raise CredentialsMissing(
                    "the default credential chain has no AWS credentials",
                    "configure AWS credentials as for the AWS CLI; `aws sts get-caller-identity` must answer",
                )
            frozen = self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise CredentialsMissing(
                f"the AWS credentials could not be read: {error}", "correct the AWS configuration, or log in again"
            ) from error
        request = AWSRequest(method=method, url=url, data=body, headers=headers)
        SigV4Auth(frozen, self.service(host), self.region(host)).add_auth(request)
        return dict(request.headers.items())

"""The errors of the cache, by the names of its contract, and those of the way to it.

Each error has a fact (`detail`) and a remedy (`remediation`). A miss is not an error.
"""

from __future__ import annotations


class MnemeError(Exception):
    """The base of every error that this package raises about the cache.

    An error of the cache that this version does not know has this class, and its `name` says which it is.
    """

    def __init__(
        self,
        detail: str,
        remediation: str,
        *,
        name: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, remediation)
        self.detail = detail
        """The fact, with values."""
        self.remediation = remediation
        """What to do next."""
        self.name = name if name is not None else type(self).__name__
        """The name of the error in the contract."""
        self.status = status
        """The HTTP status; None if there was no HTTP reply."""
        self.retry_after = retry_after
        """The seconds after which the cache asks to try again; None if it gives no advice."""

    def __str__(self) -> str:
        return f"{self.detail}. Remediation: {self.remediation}"


class InvalidRequest(MnemeError):
    """The request is malformed. The detail names the field."""


class EmbedderDimensionError(MnemeError):
    """The vector has another length than the cache's vectors."""


class EmbedderError(MnemeError):
    """The cache's embedder failed or could not be reached."""


class EmbedderMismatchError(MnemeError):
    """The functions are configured for another embedder than the table's."""


class NamespaceForbidden(MnemeError):
    """The caller may not use this namespace."""


class InsufficientScope(MnemeError):
    """The caller's token does not have the scope that the request needs."""


class IdempotentParameterMismatch(MnemeError):
    """The idempotency key was used with another request."""


class NotFound(MnemeError):
    """There is no such entry, quota or meta value."""


class EntryTooLarge(MnemeError):
    """A limit in bytes is exceeded."""


class UnsupportedContentEncoding(MnemeError):
    """The body of the request is compressed."""


class CheckpointError(MnemeError):
    """The cache takes and restores no snapshots of its own."""


class Unauthorized(MnemeError):
    """`chat` does not know the key of the caller."""


class UpstreamError(MnemeError):
    """The upstream service of `chat` is not configured or did not answer."""


class NotCached(MnemeError):
    """The request allows a stored answer only, and there is none."""


class StoreBackendError(MnemeError):
    """DynamoDB refused the request or could not be reached."""


class Internal(MnemeError):
    """The cache has a defect."""


class TransportError(MnemeError):
    """The base of the errors on the way to the cache, which the cache itself did not report."""


class Unreachable(TransportError):
    """No connection could be made, so the request was not sent."""


class ConnectionLost(TransportError):
    """The connection ended before the reply. The request may have been carried out."""


class TimedOut(TransportError):
    """The cache did not answer in time. The request may have been carried out."""


class Throttled(TransportError):
    """AWS refused the request because of its limits. The request was not carried out."""


class CredentialsMissing(TransportError):
    """There are no credentials, or no region to sign for."""


class CredentialsRefused(TransportError):
    """AWS refused the credentials."""


class GatewayError(TransportError):
    """What answered is not the cache: API Gateway, Lambda, or something else at this address."""


CONTRACT_ERRORS: dict[str, type[MnemeError]] = {
    kind.__name__: kind
    for kind in (
        InvalidRequest,
        EmbedderDimensionError,
        EmbedderError,
        EmbedderMismatchError,
        NamespaceForbidden,
        InsufficientScope,
        IdempotentParameterMismatch,
        NotFound,
        EntryTooLarge,
        UnsupportedContentEncoding,
        CheckpointError,
        Unauthorized,
        UpstreamError,
        NotCached,
        StoreBackendError,
        Internal,
    )
}
"""The errors that the cache itself reports, by name."""

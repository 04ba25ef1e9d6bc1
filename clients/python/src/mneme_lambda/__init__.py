"""A client of mneme-lambda, a serverless semantic cache for LLM calls on AWS.

`Mneme` is for threads and `AsyncMneme` for asyncio. Both have the same operations.
"""

from ._batches import Lookup, Put
from ._core import Counts
from ._request import Message, Query, Ttl, Vector
from ._version import __version__
from .aio import AsyncMneme
from .answer import Answer, Completion, read_completion
from .auth import Auth, Bearer, Iam
from .client import Mneme
from .errors import (
    CheckpointError,
    ConnectionLost,
    CredentialsMissing,
    CredentialsRefused,
    EmbedderDimensionError,
    EmbedderError,
    EmbedderMismatchError,
    EntryTooLarge,
    GatewayError,
    Internal,
    InvalidRequest,
    MnemeError,
    NamespaceForbidden,
    NotFound,
    StoreBackendError,
    Throttled,
    TimedOut,
    TransportError,
    Unreachable,
    UnsupportedContentEncoding,
)
from .results import (
    Calibration,
    CurvePoint,
    EmbedderStamp,
    Entry,
    Health,
    Hit,
    Labels,
    Miss,
    NamespaceCount,
    Page,
    Provisioned,
    Reembedding,
    Stats,
    Stored,
    VacuumResult,
    VisitedEntries,
    Yield,
)
from .retry import Retry
from .target import Invoke

__all__ = [
    "Answer",
    "AsyncMneme",
    "Auth",
    "Bearer",
    "Calibration",
    "CheckpointError",
    "Completion",
    "ConnectionLost",
    "Counts",
    "CredentialsMissing",
    "CredentialsRefused",
    "CurvePoint",
    "EmbedderDimensionError",
    "EmbedderError",
    "EmbedderMismatchError",
    "EmbedderStamp",
    "Entry",
    "EntryTooLarge",
    "GatewayError",
    "Health",
    "Hit",
    "Iam",
    "Internal",
    "InvalidRequest",
    "Invoke",
    "Labels",
    "Lookup",
    "Message",
    "Miss",
    "Mneme",
    "MnemeError",
    "NamespaceCount",
    "NamespaceForbidden",
    "NotFound",
    "Page",
    "Provisioned",
    "Put",
    "Query",
    "Reembedding",
    "Retry",
    "Stats",
    "StoreBackendError",
    "Stored",
    "Throttled",
    "TimedOut",
    "TransportError",
    "Ttl",
    "Unreachable",
    "UnsupportedContentEncoding",
    "VacuumResult",
    "Vector",
    "VisitedEntries",
    "Yield",
    "__version__",
    "read_completion",
]

"""The client: photos in, a stylized photo out, over HTTP or gRPC.

It needs numpy, Pillow and tritonclient, and none of the networks.
"""

from photoreal.client.client import (
    DEFAULT_TIMEOUT,
    AsyncStyleTransferClient,
    StyleTransferClient,
)
from photoreal.client.errors import (
    CallerError,
    ClientError,
    InvalidInput,
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
    ServiceError,
)
from photoreal.client.inputs import ImageInput
from photoreal.client.result import StylizeResult
from photoreal.client.retry import DEFAULT_RETRIES
from photoreal.client.transport import AsyncTransport, Transport

__all__ = [
    "DEFAULT_RETRIES",
    "DEFAULT_TIMEOUT",
    "AsyncStyleTransferClient",
    "AsyncTransport",
    "CallerError",
    "ClientError",
    "ImageInput",
    "InvalidInput",
    "RequestRejected",
    "RequestTimeout",
    "ServerFailed",
    "ServerUnavailable",
    "ServiceError",
    "StyleTransferClient",
    "StylizeResult",
    "Transport",
]

"""Client of the style transfer server, over HTTP or gRPC.

Requires numpy, Pillow and tritonclient, but none of the networks.
"""

from photoreal.client._images import ImageInput
from photoreal.client._transport.base import AsyncTransport, Transport
from photoreal.client._transport.call import DEFAULT_TIMEOUT
from photoreal.client._transport.retry import DEFAULT_RETRIES
from photoreal.client.async_client import AsyncStyleTransferClient
from photoreal.client.client import StyleTransferClient
from photoreal.client.errors import (
    AccessDenied,
    CallerError,
    ClientError,
    InvalidInput,
    RequestRejected,
    RequestTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnavailable,
    ServiceError,
)
from photoreal.client.result import FoundRegions, StylizeResult
from photoreal.client.style import Style
from photoreal.options import RegionArguments, StylizeArguments

__all__ = [
    "DEFAULT_RETRIES",
    "DEFAULT_TIMEOUT",
    "AccessDenied",
    "AsyncStyleTransferClient",
    "AsyncTransport",
    "CallerError",
    "ClientError",
    "FoundRegions",
    "ImageInput",
    "InvalidInput",
    "RegionArguments",
    "RequestRejected",
    "RequestTimeout",
    "ServerBusy",
    "ServerFailed",
    "ServerUnavailable",
    "ServiceError",
    "Style",
    "StyleTransferClient",
    "StylizeArguments",
    "StylizeResult",
    "Transport",
]

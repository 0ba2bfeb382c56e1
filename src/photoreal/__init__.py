"""Photorealistic style transfer: WCT2 with semantic regions, served by NVIDIA Triton.

The public names are imported lazily, so `import photoreal` loads neither PyTorch nor tritonclient.
The packages and their dependencies:

- ``networks``, ``regions``, ``color``, ``render``, ``transfer`` and ``weights`` are the method and
  do not depend on requests or Triton;
- ``preprocess`` turns bytes into arrays and back;
- ``pipeline`` serves one request with the two above, without Triton;
- ``export`` writes the networks as ONNX and TensorRT models;
- ``serve`` runs the pipeline in a Triton server, starts that server and supervises it;
- ``client`` calls a server and needs none of the above.

``photoreal.Pipeline``, the clients and their errors are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photoreal.client import (
        AccessDenied,
        AsyncStyleTransferClient,
        CallerError,
        ClientError,
        InvalidInput,
        RequestRejected,
        RequestTimeout,
        ServerBusy,
        ServerFailed,
        ServerUnavailable,
        ServiceError,
        StyleTransferClient,
        StylizeResult,
    )
    from photoreal.errors import PhotorealError
    from photoreal.local.pipeline import Pipeline

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "AsyncStyleTransferClient",
    "CallerError",
    "ClientError",
    "InvalidInput",
    "PhotorealError",
    "Pipeline",
    "RequestRejected",
    "RequestTimeout",
    "ServerBusy",
    "ServerFailed",
    "ServerUnavailable",
    "ServiceError",
    "StyleTransferClient",
    "StylizeResult",
    "__version__",
]
_HOMES = dict.fromkeys(__all__[:-1], "photoreal.client") | {
    "PhotorealError": "photoreal.errors",
    "Pipeline": "photoreal.local.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'photoreal' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        extra = "[local]" if name == "Pipeline" else ""
        install = f'pip install "photoreal{extra}"'
        raise ImportError(
            f"photoreal.{name} needs missing packages ({error}): {install}."
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Photorealistic style transfer: WCT2 with semantic regions, served by NVIDIA Triton.

The package is split so that each user pays for what he uses alone:

- ``photoreal`` itself is the science (networks, transform, regions) and knows nothing of
  Triton, ONNX or argument parsing;
- ``photoreal.preprocess`` turns bytes into arrays and back;
- ``photoreal.export`` writes the networks as ONNX and TensorRT models;
- ``photoreal.serve`` starts a Triton server and adapts the science to it;
- ``photoreal.client`` talks to that server and needs none of the above;
- ``photoreal.pipeline`` does what that server does in one process, without Triton.

``photoreal.Pipeline`` and ``photoreal.StyleTransferClient`` are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photoreal.client import StyleTransferClient
    from photoreal.pipeline.local import Pipeline

__version__ = "0.1.0"
__all__ = ["Pipeline", "StyleTransferClient", "__version__"]

_HOMES = {
    "Pipeline": ("photoreal.pipeline.local", "photoreal[local]"),
    "StyleTransferClient": ("photoreal.client", "photoreal"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'photoreal' has no attribute {name!r}")
    module, package = _HOMES[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        install = f'pip install "{package}"'
        raise ImportError(
            f"photoreal.{name} needs packages that are not there ({error}): {install}."
        ) from error

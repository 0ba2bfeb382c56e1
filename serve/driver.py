"""The NVIDIA driver, asked before Triton is started with models that need a GPU.

Triton itself ends with a line in its log for each of them, or hands the work to the CPU.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from photoreal.errors import ServeError

CUDA_VARIABLE = "CUDA_VERSION"
"""Environment variable with the version of CUDA in NVIDIA's images, such as 13.2.1."""

_LIBRARY = "libcuda.so.1"


def check_gpu(models: Sequence[str]) -> None:
    """Raise ServeError unless there is a GPU for the models, with a driver that is new enough."""
    if not models:
        return
    instead = "give it a GPU, or export for the CPU with: photoreal export --device cpu."
    wanted = f"{models[0]} and {len(models) - 1} more" if len(models) > 1 else models[0]
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise ServeError(
            f"The repository has models for a GPU ({wanted}) and there is no NVIDIA driver here;"
            f" {instead}"
        ) from error
    version = ctypes.c_int(0)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    _check_version(version.value)
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count.value:
        raise ServeError(
            f"The repository has models for a GPU ({wanted}) and none can be used here; {instead}"
        )


def _check_version(version: int) -> None:
    """Compare the driver's CUDA, 1000 times major plus 10 times minor, with this image's.

    Minor versions of one major version work with each other.
    """
    ours = os.environ.get(CUDA_VARIABLE, "").split(".")[0]
    if ours.isdigit() and version // 1000 < int(ours):
        raise ServeError(
            f"The NVIDIA driver is too old: it knows CUDA {version // 1000}.{version % 1000 // 10}"
            f" and this image is made for CUDA {ours}; install a newer driver on the machine."
        )

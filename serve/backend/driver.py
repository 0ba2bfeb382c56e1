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


def visible_gpu(number: int | None) -> dict[str, str]:
    """Environment variables that leave a process one GPU, counted as nvidia-smi counts.

    Models and their instance groups then know it as the first. None leaves all as they are.
    """
    if number is None:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(number)}


def check_gpu(models: Sequence[str]) -> None:
    """Raise ServeError unless there is a GPU for the models, with a driver that is new enough."""
    if not models:
        return
    instead = "give it a GPU, or export for the CPU with: photoreal export --device cpu."
    wanted = f"{models[0]} and {len(models) - 1} more" if len(models) > 1 else models[0]
    asked = f"The repository has models for a GPU ({wanted})"
    check_driver(asked, instead, os.environ.get(CUDA_VARIABLE), "this image")


def check_driver(asked: str, instead: str, version: str | None, made_for: str) -> None:
    """Raise ServeError unless there is a GPU, and a driver for a version of CUDA if one is named.

    `asked` begins the sentence and `instead` ends it; `made_for` is what needs that version, such
    as "13.2".
    """
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise ServeError(f"{asked} and there is no NVIDIA driver here; {instead}") from error
    found = ctypes.c_int(0)
    cuda.cuDriverGetVersion(ctypes.byref(found))
    _check_version(found.value, version or "", made_for)
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count.value:
        raise ServeError(f"{asked} and none can be used here; {instead}")


def _check_version(version: int, wanted: str, made_for: str) -> None:
    """Compare the driver's CUDA, 1000 times major plus 10 times minor, with what is wanted.

    Minor versions of one major version work with each other.
    """
    ours = wanted.split(".")[0]
    if ours.isdigit() and version // 1000 < int(ours):
        raise ServeError(
            f"The NVIDIA driver is too old: it knows CUDA {version // 1000}.{version % 1000 // 10}"
            f" and {made_for} is made for CUDA {ours}; install a newer driver on the machine."
        )

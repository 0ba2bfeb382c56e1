"""Checks of the NVIDIA driver and the GPU, before Triton is started with models that need them.

Triton itself would exit with one log line for each model, or fall back to the CPU.
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
    """Environment variables that restrict a process to one GPU, numbered as in nvidia-smi.

    Models and their instance groups then see it as GPU 0. None sets no variables.
    """
    if number is None:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(number)}


def check_gpu(models: Sequence[str]) -> None:
    """Raise ServeError unless there is a GPU for the models, with a driver that is new enough."""
    if not models:
        return
    instead = "use a machine with a GPU, or export for the CPU: photoreal export --device cpu."
    wanted = f"{models[0]} and {len(models) - 1} more" if len(models) > 1 else models[0]
    asked = f"The repository has models for a GPU ({wanted})"
    check_driver(asked, instead, os.environ.get(CUDA_VARIABLE), "this image")


def check_driver(asked: str, instead: str, version: str | None, made_for: str) -> None:
    """Raise ServeError unless there is a GPU whose driver supports a version of CUDA.

    `version` is the required one, such as "13.2"; None or "" accepts any driver. `asked` begins the
    error message and `instead` ends it; `made_for` names what requires the version.
    """
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise ServeError(f"{asked}, but there is no NVIDIA driver here; {instead}") from error
    found = ctypes.c_int(0)
    cuda.cuDriverGetVersion(ctypes.byref(found))
    _check_version(found.value, version or "", made_for)
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count.value:
        raise ServeError(f"{asked}, but no GPU can be used here; {instead}")


def _check_version(version: int, wanted: str, made_for: str) -> None:
    """Raise ServeError if the driver's CUDA version is older than `wanted`.

    `version` is 1000 times major plus 10 times minor. Minor versions of one major version are
    compatible.
    """
    ours = wanted.split(".")[0]
    if ours.isdigit() and version // 1000 < int(ours):
        raise ServeError(
            "The NVIDIA driver is too old: it supports CUDA"
            f" {version // 1000}.{version % 1000 // 10}, but {made_for} requires CUDA {ours};"
            " install a newer driver on the machine."
        )

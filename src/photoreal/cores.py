"""CPU cores available to this process, which a container may limit, and work on all of them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""File of Linux cgroups v2 with "quota period" in microseconds, or "max"."""


def available_cores(limit: Path = CGROUP_LIMIT) -> int:
    """Number of CPU cores that the scheduler grants this process, at least 1.

    More threads than cores slow each other down: a convolution is as slow as its slowest thread.
    """
    # macOS and Windows have no such limit.
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no cgroup, or one without a limit
    return max(cores, 1)


def map_on_cores(
    function: Callable[[_Item], _Result], items: Collection[_Item], threads: int | None = None
) -> list[_Result]:
    """Apply a function to every item on several threads, by default one for each core.

    For functions that mostly release the GIL, as numpy, OpenCV and Pillow do.
    """
    threads = min(threads or available_cores(), len(items))
    if threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))

"""How many processors this process may use, which in a container is not what the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Where version 2 of Linux's control groups says "quota period" in microseconds, or "max"."""


def available_cores(limit: Path = CGROUP_LIMIT) -> int:
    """Processors that the scheduler gives this process, at least 1.

    More threads than that wait for each other: each convolution ends with its slowest thread.
    """
    # macOS and Windows have no such limit.
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no control group, or one without a limit
    return max(cores, 1)

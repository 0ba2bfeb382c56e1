"""Memory estimates for a request from its photo sizes, and the memory available.

The figures are for the whole server on a CPU, measured as in `benchmarks/speed/memory.py`. Content
and style pass through the networks in turn, so the larger of the two determines the peak.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from photoreal.errors import InvalidOption
from photoreal.pipeline.request import FloatImage
from photoreal.preprocess import Limits, working_size

REQUEST_BYTES = 600_000_000
"""Fixed cost of any request beyond the idle server: libraries, buffers."""
LARGER_BYTES_PER_PIXEL = 1400
"""At working size, of the larger photo: feature maps and their copies."""
SMALLER_BYTES_PER_PIXEL = 100
"""At working size, of the smaller photo: the image itself in each process."""
ORIGINAL_BYTES_PER_PIXEL = 16
"""Of each photo at its original size: decoded, converted, and its label map."""
DEEP_BYTES_PER_PIXEL = 26
"""The same for a photo with 16 bits a channel."""

RESERVE_BYTES = 800_000_000
"""Reserve for the idle server (about 540 MB) plus headroom for other processes."""
LEAST_BUDGET_BYTES = 1_000_000_000

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")

Size = tuple[int, int]  # (H, W)


def estimate_bytes(originals: Mapping[str, Size], size: int, deep: Collection[str] = ()) -> int:
    """Estimate the peak memory of a request in bytes, beyond the idle server.

    `originals` are the original sizes (H, W) of the photos by role, `size` the shorter side in
    pixels at working size. `deep` are the roles of photos with 16 bits a channel.
    """
    working = [math.prod(working_size(height, width, size)) for height, width in originals.values()]
    return transfer_bytes(*working) + sum(
        math.prod(one) * (DEEP_BYTES_PER_PIXEL if role in deep else ORIGINAL_BYTES_PER_PIXEL)
        for role, one in originals.items()
    )


def transfer_bytes(*pixels: int) -> int:
    """Estimate the memory of the transfer in bytes from the pixel counts at working size."""
    largest = max(pixels)
    others = sum(pixels) - largest
    return REQUEST_BYTES + largest * LARGER_BYTES_PER_PIXEL + others * SMALLER_BYTES_PER_PIXEL


def check_memory(
    originals: Mapping[str, Size], size: int, limits: Limits, deep: Collection[str] = ()
) -> None:
    """Raise InvalidOption, naming a size that fits, for a request over the memory budget."""
    budget = limits.max_memory
    if budget is None or (wanted := estimate_bytes(originals, size, deep)) <= budget:
        return
    fitting = _largest_fitting(originals, size, budget, deep)
    advice = (
        f"a size of up to {fitting} fits"
        if fitting >= limits.min_size
        else "photos with fewer pixels are needed"
    )
    raise InvalidOption(
        f"The request at size {size} would take about {_mb(wanted)} MB of memory, more than the"
        f" {_mb(budget)} MB allowed; {advice}."
    )


def check_transfer_memory(photos: Sequence[FloatImage], limits: Limits) -> None:
    """Raise InvalidOption when photos (3, H, W) at working size exceed the memory budget."""
    sizes = [photo[0].size for photo in photos]
    wanted = transfer_bytes(*sizes)
    if limits.max_memory is not None and wanted > limits.max_memory:
        rest = max(limits.max_memory - REQUEST_BYTES, 0)
        each = LARGER_BYTES_PER_PIXEL + SMALLER_BYTES_PER_PIXEL * (len(photos) - 1)
        raise InvalidOption(
            f"Photos of {' and '.join(map(str, sizes))} pixels would take about {_mb(wanted)} MB"
            f" of memory, more than the {_mb(limits.max_memory)} MB allowed; {rest // each}"
            " pixels each fit."
        )


def _largest_fitting(
    originals: Mapping[str, Size], size: int, budget: int, deep: Collection[str]
) -> int:
    """Largest size below `size` that fits the budget, or 0."""
    lowest = 0
    while size - lowest > 1:
        middle = (lowest + size) // 2
        if estimate_bytes(originals, middle, deep) <= budget:
            lowest = middle
        else:
            size = middle
    return lowest


def _mb(count: int) -> int:
    return round(count / 1e6)


def default_budget() -> int:
    """Default memory budget of a request in bytes: the available memory minus a reserve.

    Call it when the server starts: later, buffers that the models keep for the next request
    would count as used. The result is always enough for a small request, so that a server never
    refuses everything.
    """
    return max(available_bytes() - RESERVE_BYTES, LEAST_BUDGET_BYTES)


def available_bytes(
    meminfo: Path = _MEMINFO, own_group: Path = _OWN_GROUP, groups: Path = _GROUPS
) -> int:
    """Available memory of this machine or this container in bytes, whichever is less."""
    lines = (line.split() for line in meminfo.read_text().splitlines())
    available = next(int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:")
    return min([available, *_left_in_groups(own_group, groups)])


def _left_in_groups(own_group: Path, groups: Path) -> list[int]:
    """Bytes left under the memory limits of this process's cgroup (v2) and its ancestors."""
    try:
        entries = own_group.read_text().splitlines()
    except OSError:
        return []
    left = []
    for path in (entry[3:] for entry in entries if entry.startswith("0::")):
        folder = groups / path.strip("/")
        while folder == groups or groups in folder.parents:
            try:
                limit = int((folder / "memory.max").read_text())
                used = int((folder / "memory.current").read_text()) - _reclaimable(folder)
                left.append(max(limit - used, 0))
            except (OSError, ValueError):
                pass  # the root has no limit, and "max" means unlimited
            folder = folder.parent
    return left


def _reclaimable(folder: Path) -> int:
    """Bytes of page cache that the kernel can reclaim under memory pressure."""
    lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return next((int(value) for name, value in lines if name == "inactive_file"), 0)

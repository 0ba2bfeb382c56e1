"""Work on blocks of pixels by several threads, each with single-threaded operations.

PyTorch divides one operation at a time between the cores. For blocks that fit into a core's cache,
waking and joining the threads takes a good part of the time, and neither copies of runs of pixels
nor eigendecompositions are divided. Whole blocks in parallel use every core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain, islice
from threading import Barrier
from typing import TypeVar

import torch

from photoreal import devices

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel(
    function: Callable[[_Item], _Result], items: Sequence[_Item], device: torch.device
) -> list[_Result]:
    """Apply a function to every item; the results are in the order of the items.

    On a CPU, as many threads as PyTorch has (`torch.get_num_threads`) do so in parallel, and the
    operations of each are single-threaded. The results do not depend on the number of threads.
    """
    count = torch.get_num_threads()
    if devices.is_queued(device) or min(count, len(items)) < 2:
        return [function(item) for item in items]
    inference = torch.is_inference_mode_enabled()  # each thread has a mode of its own

    def run(item: _Item) -> _Result:
        with torch.inference_mode(inference):
            return function(item)

    return list(_pool(count).map(run, items))


def parallel_groups(
    function: Callable[[_Item], _Result], groups: Sequence[Sequence[_Item]], device: torch.device
) -> list[list[_Result]]:
    """`parallel` for the items of all groups together; the results are grouped like the items."""
    found = iter(parallel(function, list(chain.from_iterable(groups)), device))
    return [list(islice(found, len(group))) for group in groups]


@lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(count, "photoreal-blocks")
    started = Barrier(count)

    def limit(_: int) -> None:
        torch.get_num_threads()  # a thread's first call sets its own number, so this one is before
        torch.set_num_threads(1)
        started.wait()

    list(pool.map(limit, range(count)))
    torch.set_num_threads(count)  # for threads that start later; those of the pool keep 1
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has no threads

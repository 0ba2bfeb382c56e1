"""The plain PyTorch baseline in a separate process, run like an ordinary script.

The server's memory and thread settings would speed up the baseline as well, but published code
does not come with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import numpy.typing as npt
from pictures import Inputs
from serving import TUNABLES, networks

from speed.baseline import Baseline

_baseline: Baseline


Timed = tuple[float, npt.NDArray[np.float32], int]
"""One transfer: seconds, picture (3, H, W), not clipped, and peak memory so far in bytes."""


@contextmanager
def plain_process(repository: Path) -> Iterator[Callable[[Inputs], Timed]]:
    """Run a process with the baseline over a repository's networks for the duration of the context.

    Sending the inputs and the results is not timed.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare, (repository,)) as pool:
        hidden = {name: os.environ.pop(name) for name in TUNABLES if name in os.environ}
        try:
            pool.submit(os.getpid).result()  # the process starts with its first task
        finally:
            os.environ.update(hidden)
        yield lambda inputs: pool.submit(_transfer, inputs).result()


def _prepare(repository: Path) -> None:
    global _baseline  # a worker of a pool has no other place for state
    _baseline = Baseline(*networks(repository))


def _transfer(inputs: Inputs) -> Timed:
    started = time.perf_counter()
    picture = _baseline.transfer(inputs)
    seconds = time.perf_counter() - started
    return seconds, picture.numpy(), 1024 * getrusage(RUSAGE_SELF).ru_maxrss

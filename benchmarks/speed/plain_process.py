"""The plain PyTorch baseline in a separate process, run like an ordinary script.

The server's memory and thread settings would speed up the baseline as well, but published code
does not come with them.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pictures import Inputs
from serving import networks

from speed.baseline import Baseline

_BYTES_PER_KIB = 1024

_baseline: Baseline


class Timed(NamedTuple):
    """One transfer: seconds, picture (3, H, W), not clipped, and peak memory so far."""

    seconds: float
    picture: npt.NDArray[np.float32]
    peak_bytes: int


@contextmanager
def plain_process(
    repository: Path, without: Collection[str]
) -> Iterator[Callable[[Inputs], Timed]]:
    """Run a process with the baseline over a repository's networks for the duration of the context.

    Sending the inputs and the results is not timed. `without` names environment variables that
    the process does not get.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare, (repository,)) as pool:
        hidden = {name: os.environ.pop(name) for name in without if name in os.environ}
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_KIB
    return Timed(seconds, picture.numpy(), peak)

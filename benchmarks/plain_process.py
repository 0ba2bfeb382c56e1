"""The plain PyTorch baseline in a process of its own, run as anybody would run a script.

The server's settings of memory and threads make the baseline faster as well; published code does
not come with them.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from baseline import Baseline
from pictures import Inputs
from serving import networks

_BYTES_PER_KIB = 1024

_baseline: Baseline


class Timed(NamedTuple):
    """One transfer: its seconds, its picture (3, H, W), not clipped, and the most memory so far."""

    seconds: float
    picture: npt.NDArray[np.float32]
    peak_bytes: int


class PlainProcess:
    """A process that knows the baseline over a repository's networks, for as long as a context.

    `without` names environment variables that it does not get.
    """

    def __init__(self, repository: Path, without: Collection[str]) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _prepare, (repository,))
        hidden = {name: os.environ.pop(name) for name in without if name in os.environ}
        try:
            self._pool.submit(os.getpid).result()  # the process starts with its first task
        finally:
            os.environ.update(hidden)

    def transfer(self, inputs: Inputs) -> Timed:
        """Run the baseline's transfer; what goes to the process and back is not timed."""
        return self._pool.submit(_transfer, inputs).result()

    def __enter__(self) -> PlainProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown()


def _prepare(repository: Path) -> None:
    global _baseline  # a process of a pool has no other place
    _baseline = Baseline(*networks(repository))


def _transfer(inputs: Inputs) -> Timed:
    started = time.perf_counter()
    picture = _baseline.transfer(inputs)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_KIB
    return Timed(seconds, picture.numpy(), peak)

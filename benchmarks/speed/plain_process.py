"""The plain PyTorch baseline in a separate process, run like an ordinary script.

The server's memory and thread settings would speed up the baseline as well, but published code
does not come with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pictures import LIMITS, Inputs
from serving import TUNABLES, networks

from photoreal.pipeline.request import Models, StylizeRequest
from photoreal.pipeline.stylize import stylize
from speed.baseline import Baseline
from speed.stages import models_of

_baseline: Baseline
_models: Models

Timed = tuple[float, npt.NDArray[np.float32], int]
"""One transfer: seconds, picture (3, H, W), not clipped, and peak memory so far in bytes."""


class Plain(NamedTuple):
    """Calls of the process. Sending the inputs and the results is not timed."""

    pool: ProcessPoolExecutor

    def transfer(self, inputs: Inputs) -> Timed:
        """The published method, all of it plain."""
        return self.pool.submit(_transfer, inputs).result()

    def picture(self, request: StylizeRequest) -> bytes:
        """The picture of any request, made with the baseline's plain convolutions."""
        return self.pool.submit(_picture, request).result()


@contextmanager
def plain_process(repository: Path) -> Iterator[Plain]:
    """Run a process with the baseline over a repository's networks for the context."""
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare, (repository,)) as pool:
        hidden = {name: os.environ.pop(name) for name in TUNABLES if name in os.environ}
        try:
            pool.submit(os.getpid).result()  # the process starts with its first task
        finally:
            os.environ.update(hidden)
        yield Plain(pool)


def _prepare(repository: Path) -> None:
    global _baseline, _models  # a worker of a pool has no other place for state
    _baseline = Baseline(*networks(repository))
    _models = models_of(repository, _baseline)


def _transfer(inputs: Inputs) -> Timed:
    started = time.perf_counter()
    picture = _baseline.transfer(inputs)
    seconds = time.perf_counter() - started
    return seconds, picture.numpy(), 1024 * getrusage(RUSAGE_SELF).ru_maxrss


def _picture(request: StylizeRequest) -> bytes:
    return stylize(request, _models, LIMITS).image

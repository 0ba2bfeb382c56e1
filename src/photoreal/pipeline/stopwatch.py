"""Stage times of one request."""

from __future__ import annotations

import time
from collections.abc import Callable


class Stopwatch:
    """Stage times of one request in seconds; `check` is called between stages."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End a stage, and begin the next one."""
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now
        self._check()

    def total(self) -> dict[str, float]:
        """The times by stage, and in total."""
        return {**self.seconds, "total": round(time.perf_counter() - self._start, 4)}

"""Restart limit and exponential back-off for a server and its models."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from photoreal.errors import ServeError

_FIRST_DELAY_S = 1.0


@dataclass(frozen=True)
class RestartLimits:
    """At most `count` restarts within `window_s` seconds; `longest_delay_s` limits the back-off."""

    count: int = 5
    window_s: float = 300.0
    longest_delay_s: float = 30.0


class RestartBudget:
    """Counts restarts and computes the back-off: the first at once, then after 1, 2, 4 ... seconds.

    Restarts older than the window no longer count.
    """

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._spent: deque[float] = deque()

    def spend(self, now: float, reason: str) -> float:
        """Record one restart, and return the seconds to wait before it.

        Args:
            now: current time in seconds on a monotonic clock.
            reason: a sentence that says what made the restart necessary.

        Raises:
            ServeError: the limit is reached.
        """
        limits = self._limits
        while self._spent and now - self._spent[0] > limits.window_s:
            self._spent.popleft()
        before = len(self._spent)
        if before >= limits.count:
            raise ServeError(
                f"The limit of {limits.count} restarts within {limits.window_s:g} s is reached;"
                f" giving up. {reason}"
            )
        self._spent.append(now)
        if not before:
            return 0.0
        return float(min(_FIRST_DELAY_S * 2 ** (before - 1), limits.longest_delay_s))

"""How often and how fast a server and its models may be brought back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from photoreal.errors import ServeError

_FIRST_DELAY_S = 1.0


@dataclass(frozen=True)
class RestartLimits:
    """At most `count` restarts within `window_s` seconds, at most `longest_delay_s` apart."""

    count: int = 5
    window_s: float = 300.0
    longest_delay_s: float = 30.0


class RestartBudget:
    """Spends restarts: the first at once, the next ones after 1, 2, 4 ... seconds.

    A restart that lies further back than the window is forgotten.
    """

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._spent: deque[float] = deque()

    def spend(self, now: float, reason: str) -> float:
        """Take one restart; returns the seconds to wait before it.

        Args:
            now: seconds on a clock that never goes back.
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

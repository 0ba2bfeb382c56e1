"""Retry policy: which failures are retried, how often, and with which back-off.

A request to ``stylize`` has no side effects, so it can be sent again whenever no response arrived.
A retry helps if it may reach another server or a restarted one: a server that is restarting
refuses or drops connections, or reports that it is unavailable (HTTP 503, UNAVAILABLE). Rejected
requests are never retried, and nothing is retried after the timeout.
"""

from __future__ import annotations

import numbers
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from photoreal.client.errors import InvalidInput, ServerUnavailable, ServiceError

DEFAULT_RETRIES = 2
"""Retries after the first attempt: enough for a dropped connection. `patience` handles restarts."""

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
JITTER_S = 0.25
"""Maximum random addition to each wait, so that clients do not retry in lockstep."""

_LEAST_TIMEOUT_S = 0.001

Answer = TypeVar("Answer")


class RetryPolicy:
    """Retries calls after transient failures; the call's timeout covers all attempts together.

    Args:
        retries: retries after the first attempt; 0 disables them.

    Raises:
        InvalidInput: ``retries`` is not a whole number from 0 up.
    """

    def __init__(self, retries: int = DEFAULT_RETRIES) -> None:
        self._retries = _count(retries)

    def run(self, call: Callable[[float], Answer], timeout: float) -> Answer:
        """Return the result of ``call``, which is passed the remaining seconds.

        Raises:
            ServiceError: the error of the last attempt; its message has the number of attempts.
        """
        tries = _Tries(timeout)
        try:
            return Retrying(**self._rules(timeout))(lambda: call(tries.begin()))
        except ServiceError as error:
            raise tries.counted(error) from None

    async def run_async(self, call: Callable[[float], Awaitable[Answer]], timeout: float) -> Answer:
        """See :meth:`run`."""
        tries = _Tries(timeout)

        async def one() -> Answer:
            return await call(tries.begin())

        try:
            return await AsyncRetrying(**self._rules(timeout))(one)
        except ServiceError as error:
            raise tries.counted(error) from None

    def _rules(self, timeout: float) -> dict[str, Any]:
        return {
            "retry": retry_if_exception(_is_transient),
            "stop": stop_after_attempt(self._retries + 1) | stop_before_delay(timeout),
            "wait": wait_exponential(FIRST_WAIT_S, LONGEST_WAIT_S) + wait_random(0.0, JITTER_S),
            "reraise": True,
        }


class _Tries:
    """Counts the attempts of one call, and tracks the remaining time."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._count = 0

    def begin(self) -> float:
        """Start an attempt; return its timeout in seconds."""
        self._count += 1
        if self._count == 1:
            return self._timeout
        return max(self._deadline - time.monotonic(), _LEAST_TIMEOUT_S)

    def counted(self, error: ServiceError) -> ServiceError:
        """The error of the last attempt, with the number of attempts if there were several."""
        error.tries = self._count
        if self._count > 1:
            error.args = (f"{error} Tried {self._count} times.",)
        return error


def _count(retries: Any) -> int:
    whole = isinstance(retries, numbers.Integral) and not isinstance(retries, bool)
    if not whole or retries < 0:
        raise InvalidInput(f"retries is {retries!r}; expected a whole number, 0 or more.")
    return int(retries)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ServerUnavailable) and error.transient

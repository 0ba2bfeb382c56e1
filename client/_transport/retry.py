"""Trying again: which failures are worth it, how often, and how long to wait in between.

A request to ``stylize`` changes nothing at the server, so it may be sent again whenever its
answer did not come. That pays where the next try can meet another server: one that is
restarting refuses connections, drops them, or says that it is unavailable (HTTP 503, UNAVAILABLE).
It is never done for a refused request, which stays refused, nor once time has run out.
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
"""Tries after the first one: enough for a dropped connection. For a restart see `patience`."""

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
JITTER_S = 0.25
"""Up to so much is added to each wait: clients that failed together come back one by one."""

_LEAST_TIMEOUT_S = 0.001

Answer = TypeVar("Answer")


class RetryPolicy:
    """Repeats a call that failed for the moment; the call's timeout holds for all tries together.

    Args:
        retries: tries after the first one; 0 for none.

    Raises:
        InvalidInput: ``retries`` is no whole number from 0 up.
    """

    def __init__(self, retries: int = DEFAULT_RETRIES) -> None:
        self._retries = _count(retries)

    def run(self, call: Callable[[float], Answer], timeout: float) -> Answer:
        """Return what ``call`` returns; it is given the seconds that are left for it.

        Raises:
            ServiceError: of the last try; its message says how many there were.
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
    """Counts the tries of one call, and the time that they leave."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._count = 0

    def begin(self) -> float:
        """Seconds for the try that begins."""
        self._count += 1
        if self._count == 1:
            return self._timeout
        return max(self._deadline - time.monotonic(), _LEAST_TIMEOUT_S)

    def counted(self, error: ServiceError) -> ServiceError:
        """The error of the last try; it tells of the others if there were any."""
        error.tries = self._count
        if self._count > 1:
            error.args = (f"{error} Tried {self._count} times.",)
        return error


def _count(retries: Any) -> int:
    whole = isinstance(retries, numbers.Integral) and not isinstance(retries, bool)
    if not whole or retries < 0:
        raise InvalidInput(f"retries is {retries!r}; expected a whole number from 0 up.")
    return int(retries)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ServerUnavailable) and error.transient

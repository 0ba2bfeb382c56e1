"""Retries for long jobs while the server restarts or its queue is full."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from photoreal.client.client import StyleTransferClient
from photoreal.client.errors import ServerBusy, ServerFailed, ServerUnavailable
from photoreal.client.result import StylizeResult

DEFAULT_PATIENCE_S = 600.0
"""Seconds that a request of a long job waits for the server, retries included."""
MAX_FAILURES = 8
"""Attempts that a server which was ready may drop before the request is considered the cause."""

_SHORTEST_S, _LONGEST_S = 1.0, 16.0


class Patience:
    """Sends the requests of a long job, with retries. Thread-safe.

    A full queue is backpressure: the request is retried until there is room. A server that has
    answered before and is gone is restarting: the request is retried once the server is ready.
    A server that has never answered fails at once, since its address may be wrong.

    Args:
        client: sends the requests.
        seconds: how long one request may wait; 0 disables waiting.
        say: called with the reason of each wait.
    """

    def __init__(
        self,
        client: StyleTransferClient,
        seconds: float = DEFAULT_PATIENCE_S,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._client = client
        self._seconds = seconds
        self._say = say
        self._has_answered = False
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Fail the waiting requests now, and later ones without waiting."""
        self._given_up.set()

    def stylize(self, *args: Any, **kwargs: Any) -> StylizeResult:
        """:meth:`StyleTransferClient.stylize`, with retries.

        Raises:
            ClientError: the error of the last attempt.
            ServerFailed: the server dropped the request repeatedly.
        """
        deadline = time.monotonic() + self._seconds
        failures, wait = 0, _SHORTEST_S
        while True:
            try:
                result = self._client.stylize(*args, **kwargs)
            except ServerUnavailable as error:
                busy = isinstance(error, ServerBusy)
                failures += not busy
                if failures == MAX_FAILURES:
                    raise ServerFailed(
                        f"{error} That happened {failures} times, each time after the server had"
                        " been ready.",
                        request_id=error.request_id,
                    ) from None
                may_help = busy or (error.transient and self._has_answered)
                if not may_help or not self._wait(str(error), wait, deadline, ready=not busy):
                    raise
            else:
                self._has_answered = True
                return result
            wait = min(2 * wait, _LONGEST_S)

    def _wait(self, reason: str, seconds: float, deadline: float, *, ready: bool) -> bool:
        """Wait, if `ready` for a ready server; False after the deadline or `give_up`."""
        left = deadline - time.monotonic()
        if left <= 0 or self._given_up.is_set():
            return False
        self._say(f"{reason} Waiting for it, at most {left:.0f} s.")
        while not self._given_up.wait(random.uniform(seconds / 2, seconds)):  # noqa: S311
            if time.monotonic() >= deadline:
                return False
            if not ready or self._client.ready():
                return True
        return False

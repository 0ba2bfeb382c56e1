"""What an adapter asks about each request: its limits, and whether to go on with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from photoreal.cancel_key import is_key, new_key
from photoreal.contract import CANCEL_PARAMETER, TIME_IS_UP
from photoreal.errors import Canceled, DeadlineExceeded, Stopped
from photoreal.serve.backend.canceled import CanceledKeys
from photoreal.serve.backend.limits import max_seconds, request_limits

POLL_S = 0.1
"""Seconds between two looks whether a caller is gone, while work for it goes on."""


class Watch:
    """One request's time and its caller, to be asked between the steps of the work.

    The time starts now; `max_seconds` bounds the timeout that the request brings along. As a
    context it ends with the request, whose key is then forgotten.
    """

    def __init__(
        self,
        request: Any,
        canceled: CanceledKeys,
        max_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request, self._canceled, self._clock = request, canceled, clock
        own = request.timeout() / 1e6  # Triton counts microseconds; 0 is none
        self.seconds: float = own if 0 < own < max_seconds else max_seconds
        """How long the request may take."""
        self._deadline = clock() + self.seconds
        self._next_look = clock()
        self._whose = (
            "the timeout that it came with"
            if self.seconds == own
            else "the most that this server gives a request; a smaller size takes less"
        )
        given = json.loads(request.parameters() or "{}").get(CANCEL_PARAMETER)
        self.key: str = given if is_key(given) else new_key()
        """The key under which the request can be canceled, its own or a new one."""

    def check(self) -> None:
        """Raise Canceled or DeadlineExceeded when there is no use in going on."""
        if self.key in self._canceled or self._request.is_cancelled():
            raise Canceled("The request was canceled; nobody waits for its answer.")
        if self._clock() >= self._deadline:
            raise DeadlineExceeded(f"{TIME_IS_UP[0]} {self.seconds:g} s, {self._whose}.")

    def glance(self) -> None:
        """`check` for steps that are many and short: looks for the caller every `POLL_S` only."""
        now = self._clock()
        if now >= min(self._next_look, self._deadline):
            self._next_look = now + POLL_S
            self.check()

    def microseconds_left(self) -> int:
        """What is left of the time, at least 1."""
        return max(int((self._deadline - self._clock()) * 1e6), 1)

    def __enter__(self) -> Watch:
        try:
            self.check()  # it may have waited for long
        except Stopped:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """The request has ended: forget its key."""
        self._canceled.remove(self.key)

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """While the context lasts, a caller that goes away is marked for other processes.

        A thread looks for that, since this one waits for another model.
        """
        done = threading.Event()

        def look() -> None:
            while not done.wait(POLL_S):
                if self._request.is_cancelled():
                    self._canceled.add(self.key)
                    return

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


class Guard:
    """The limits that the environment of a model's process sets; raises ServeError."""

    def __init__(self) -> None:
        self.limits = request_limits()
        self._seconds = max_seconds()
        self._canceled = CanceledKeys()

    def watch(self, request: Any) -> Watch:
        """Start a request's time."""
        return Watch(request, self._canceled, self._seconds)

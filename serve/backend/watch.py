"""Limits, deadline and cancellation of each request, as the adapters check them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from photoreal.cancel_key import is_key, new_key
from photoreal.contract import CANCEL_PARAMETER, TIMED_OUT
from photoreal.errors import Canceled, DeadlineExceeded, Stopped
from photoreal.serve.backend.canceled import CanceledKeys
from photoreal.serve.backend.limits import max_seconds, request_limits

POLL_S = 0.1
"""Seconds between two checks for cancellation while a request is computed."""


class Watch:
    """Deadline and cancellation of one request, checked between the steps of the computation.

    The time starts when the watch is created; `max_seconds` is the upper bound of the request's own
    timeout. The context manager removes the request's key when the request ends.
    """

    def __init__(
        self,
        request: Any,
        canceled: CanceledKeys,
        max_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request, self._canceled, self._clock = request, canceled, clock
        own = request.timeout() / 1e6  # Triton's timeout is in microseconds; 0 is none
        self.seconds: float = own if 0 < own < max_seconds else max_seconds
        """Time limit of the request in seconds."""
        self._deadline = clock() + self.seconds
        self._next_poll = clock()
        self._whose = (
            "the timeout of the request"
            if self.seconds == own
            else "the time limit of this server; a smaller size is faster"
        )
        given = json.loads(request.parameters() or "{}").get(CANCEL_PARAMETER)
        self.key: str = given if is_key(given) else new_key()
        """Key by which the request can be canceled: the request's own or a new one."""

    def check(self) -> None:
        """Raise Canceled if the request was canceled, DeadlineExceeded if its time is up."""
        if self.key in self._canceled or self._request.is_cancelled():
            raise Canceled("The request was canceled, or its client has disconnected.")
        if self._clock() >= self._deadline:
            raise DeadlineExceeded(f"{TIMED_OUT} {self.seconds:g} s, {self._whose}.")

    def poll(self) -> None:
        """`check` for many short steps: it checks for cancellation only every `POLL_S`."""
        now = self._clock()
        if now >= min(self._next_poll, self._deadline):
            self._next_poll = now + POLL_S
            self.check()

    def microseconds_left(self) -> int:
        """Remaining time in microseconds, at least 1."""
        return max(int((self._deadline - self._clock()) * 1e6), 1)

    def __enter__(self) -> Watch:
        try:
            self.check()  # it may have waited in a queue
        except Stopped:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the key of the request, which has ended."""
        self._canceled.remove(self.key)

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Context that passes cancellation by the caller on to other processes.

        A thread polls for it, since the current thread waits for another model.
        """
        done = threading.Event()

        def poll() -> None:
            while not done.wait(POLL_S):
                if self._request.is_cancelled():
                    self._canceled.add(self.key)
                    return

        thread = threading.Thread(target=poll)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


class Guard:
    """Limits that the environment of a model process sets; raises ServeError."""

    def __init__(self) -> None:
        self.limits = request_limits()
        self._seconds = max_seconds()
        self._canceled = CanceledKeys()

    def watch(self, request: Any) -> Watch:
        """Start the time limit of a request."""
        return Watch(request, self._canceled, self._seconds)

"""Request queue of `stylize`: priorities, a length limit, and timeouts while requests wait.

It replaces Triton's queue, whose batcher disables its look-ahead once the queue has a limit and may
then sleep for half a second between two requests. Here `execute` accepts every request and returns
at once; worker threads send the answers through Triton's response senders.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from photoreal.contract import CANARY_ID, QUEUE_IS_FULL, STYLIZE, TIMED_OUT_IN_QUEUE
from photoreal.errors import DeadlineExceeded, QueueFull, Stopped
from photoreal.pipeline.tensors import Array
from photoreal.serve.backend.adapter import answer_one, is_traced
from photoreal.serve.backend.limits import max_queue
from photoreal.serve.backend.metrics import QueueMetrics, RequestMetrics
from photoreal.serve.backend.watch import Guard, Watch

CHECK_INTERVAL_S = 0.25
"""Seconds between two checks of the waiting requests for timeouts and cancellation."""

INTERACTIVE, BACKGROUND = 0, 1
"""Priorities: interactive requests go before frames of videos and the supervisor's canaries."""

STARVED_S = 2.0
"""Seconds after which a background request keeps its place in line, so that steady interactive load
does not starve it: a canary that is never answered looks like a server that has failed."""


def priority(triton: Any, request: Any) -> int:
    """Priority of a request to `stylize`; the lower number goes first."""
    background = is_frame(triton, request) or request.request_id() == CANARY_ID
    return BACKGROUND if background else INTERACTIVE


def is_frame(triton: Any, request: Any) -> bool:
    """Whether a request is a frame of a video."""
    return triton.get_input_tensor_by_name(request, "SEQUENCE") is not None


@dataclass(eq=False)
class _Waiting:
    priority: int
    request: Any
    watch: Watch
    since: float
    is_frame: bool
    put_at: float = field(default_factory=time.monotonic)
    answered: threading.Event = field(default_factory=threading.Event)

    def rank(self) -> tuple[int, float]:
        """Order among the waiting requests; the lowest goes first."""
        starved = time.monotonic() > self.put_at + STARVED_S
        return INTERACTIVE if starved else self.priority, self.put_at


class RequestQueue:
    """At most `length` waiting requests, and `workers` threads that answer one each at a time.

    Frames of videos depend on the frames before, so only one is worked on at a time.

    `answer` returns the response to a request, `refuse` the error response to a request that was
    not started; neither raises. `watch` starts the time limit of a waiting request.
    """

    def __init__(
        self,
        triton: Any,
        length: int,
        answer: Callable[[Any], Any],
        refuse: Callable[[Any, Exception], Any],
        watch: Callable[[Any], Watch],
        workers: int = 1,
    ) -> None:
        self._triton, self._length = triton, length
        self._answer, self._refuse, self._watch = answer, refuse, watch
        self._metrics = QueueMetrics(triton)
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._working: list[_Waiting] = []
        self._workers = workers
        self._closed = threading.Event()
        loops = (*[self._serve_next] * workers, self._check_waiting)
        self._threads = [
            threading.Thread(target=self._repeat, args=(one,), name=one.__name__, daemon=True)
            for one in loops
        ]
        for thread in self._threads:
            thread.start()

    def put(self, requests: Sequence[Any]) -> None:
        """Queue requests; those that exceed the queue's length are answered at once.

        Triton ends a trace when `execute` returns, and crashes if the trace is used afterwards, so
        this method waits for the answers to requests with a trace.
        """
        entries = [self._put(request) for request in requests]
        for entry in entries:
            if entry is not None and is_traced(entry.request):
                entry.answered.wait()

    def _put(self, request: Any) -> _Waiting | None:
        with self._changed:
            if len(self._waiting) + len(self._working) < self._length + self._workers:
                entry = _Waiting(
                    priority(self._triton, request),
                    request,
                    self._watch(request),
                    self._metrics.now(),
                    is_frame(self._triton, request),
                )
                self._waiting.append(entry)
                self._note()  # before Triton considers it accepted: see `QueueMetrics`
                self._changed.notify_all()
                return entry
        error = QueueFull(f"{QUEUE_IS_FULL}: {self._length} requests are waiting; retry later.")
        self._send(request, self._refuse(request, error))
        return None

    def close(self) -> None:
        """Stop the threads; Triton unloads a model only when all of its requests are answered."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._closed.is_set():
            step()

    def _serve_next(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ready() or self._closed.is_set())
            ready = self._ready()
            if not ready:
                return
            entry = min(ready, key=_Waiting.rank)
            self._waiting.remove(entry)
            self._working.append(entry)
            self._note()
        self._metrics.waited(entry.since)
        self._send(entry.request, self._answer(entry.request))
        with self._changed:
            self._working.remove(entry)
            self._note()
            self._changed.notify_all()  # the next frame may be begun
        entry.answered.set()

    def _ready(self) -> list[_Waiting]:
        """Return the waiting requests that may be begun."""
        if any(entry.is_frame for entry in self._working):
            return [entry for entry in self._waiting if not entry.is_frame]
        return self._waiting

    def _check_waiting(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed.is_set())
            entries = list(self._waiting)
        for entry in entries:
            self._check(entry)
        self._closed.wait(CHECK_INTERVAL_S)

    def _check(self, entry: _Waiting) -> None:
        # Triton crashes if it is asked about a request that has been answered, so the worker may
        # not start this one meanwhile.
        with self._changed:
            if entry not in self._waiting:  # it has been started since
                return
            try:
                entry.watch.check()
            except Stopped as error:
                stopped = error
            else:
                return
            self._waiting.remove(entry)
        entry.watch.close()
        if isinstance(stopped, DeadlineExceeded):
            stopped = DeadlineExceeded(
                f"{TIMED_OUT_IN_QUEUE}: the request was in the queue for {entry.watch.seconds:g} s."
            )
        self._send(entry.request, self._refuse(entry.request, stopped))
        with self._changed:
            self._note()
        entry.answered.set()

    def _send(self, request: Any, response: Any) -> None:
        try:
            request.get_response_sender().send(
                response, flags=self._triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            )
        except Exception:  # noqa: BLE001 (the thread goes on to the next request)
            self._triton.Logger.log_error(traceback.format_exc())

    def _note(self) -> None:
        self._metrics.note(len(self._waiting), len(self._working))


def stylize_queue(
    triton: Any,
    serve: Callable[[Any], dict[str, Array]],
    metrics: RequestMetrics,
    guard: Guard,
    workers: int = 1,
) -> RequestQueue:
    """Create the queue of `stylize` with the length from the environment; raises ServeError.

    `serve` and `metrics` are those of `photoreal.serve.backend.adapter.answer`.
    """

    def answer(request: Any) -> Any:
        return answer_one(triton, STYLIZE, request, serve, metrics)

    def refuse(request: Any, error: Exception) -> Any:
        def fail(request: Any) -> NoReturn:
            raise error

        return answer_one(triton, STYLIZE, request, fail, metrics)

    return RequestQueue(triton, max_queue(), answer, refuse, guard.watch, workers)

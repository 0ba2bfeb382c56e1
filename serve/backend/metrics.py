"""Prometheus metrics of the models, published by Triton.

Triton's module is passed as `triton`. A metric is removed with its family, so the objects here
hold both. Families of the same name in two models are one family: labels distinguish them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from photoreal.errors import (
    Canceled,
    DeadlineExceeded,
    InvalidImage,
    InvalidMask,
    InvalidOption,
    InvalidRequest,
    QueueFull,
)

OUTCOMES = ("ok", "refused", "stopped", "busy", "failed")
"""Outcomes of a request: ok; refused (client error); stopped (timeout or cancellation); busy (the
queue was full); failed (server error)."""
ERROR_KINDS: dict[str, type[BaseException]] = {
    "image": InvalidImage,
    "mask": InvalidMask,
    "option": InvalidOption,
    "request": InvalidRequest,
    "deadline": DeadlineExceeded,
    "canceled": Canceled,
    "busy": QueueFull,
    "internal": BaseException,
}
"""Error kinds and their exception classes; the first class that matches decides."""
WAITING, WORKING = "photoreal_requests_waiting", "photoreal_requests_working"
"""Names of the queue's metrics."""
STAGES = ("decode", "segment", "colors", "transfer", "upsample", "encode", "total")
STAGE_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper bounds of the histograms' buckets in seconds."""


def error_kind(error: BaseException) -> str:
    """The kind under which an error is counted."""
    return next(kind for kind, types in ERROR_KINDS.items() if isinstance(error, types))


class RequestMetrics:
    """Requests of one model by outcome, and its errors by kind."""

    def __init__(self, triton: Any, model: str) -> None:
        counter = triton.MetricFamily.COUNTER
        self._requests = triton.MetricFamily(
            name="photoreal_requests_total",
            description="Requests answered, by model and outcome.",
            kind=counter,
        )
        self._errors = triton.MetricFamily(
            name="photoreal_errors_total",
            description="Failed requests, by model and kind of error.",
            kind=counter,
        )
        # Created in advance: an alert needs the 0 before the first error.
        self._outcomes = {
            outcome: self._requests.Metric(labels={"model": model, "outcome": outcome})
            for outcome in OUTCOMES
        }
        self._kinds = {
            kind: self._errors.Metric(labels={"model": model, "kind": kind}) for kind in ERROR_KINDS
        }

    def succeeded(self) -> None:
        """Count a request that was answered with a result."""
        self._outcomes["ok"].increment(1)

    def ended_in(self, error: BaseException) -> None:
        """Count a request that was answered with an error."""
        outcome = "failed"
        if isinstance(error, InvalidRequest):
            outcome = "refused"
        elif isinstance(error, Canceled | DeadlineExceeded):
            outcome = "stopped"
        elif isinstance(error, QueueFull):
            outcome = "busy"
        self._outcomes[outcome].increment(1)
        self._kinds[error_kind(error)].increment(1)


class QueueMetrics:
    """Pending requests to `stylize`, and how long requests waited in the queue.

    Triton keeps the values when the model's process dies, and does not report the death to callers:
    the values tell the supervisor whether a caller waits for an answer that will not come.
    """

    def __init__(self, triton: Any) -> None:
        gauge = triton.MetricFamily.GAUGE
        self._families = [
            triton.MetricFamily(name=WAITING, description="Requests in the queue.", kind=gauge),
            triton.MetricFamily(name=WORKING, description="Requests being processed.", kind=gauge),
        ]
        self._waiting, self._working = (family.Metric(labels={}) for family in self._families)
        self.note(0, working=0)
        self._seconds = None
        if hasattr(triton.MetricFamily, "HISTOGRAM"):  # since Triton 24.10
            self._families.append(
                triton.MetricFamily(
                    name="photoreal_queue_seconds",
                    description="Time in the queue in seconds.",
                    kind=triton.MetricFamily.HISTOGRAM,
                )
            )
            self._seconds = self._families[-1].Metric(labels={}, buckets=list(STAGE_BUCKETS))

    @staticmethod
    def now() -> float:
        """Current time for `waited`, in seconds on a monotonic clock."""
        return time.monotonic()

    def note(self, waiting: int, working: int) -> None:
        """Set the numbers of requests that wait and that are being computed."""
        self._waiting.set(waiting)
        self._working.set(working)

    def waited(self, since: float) -> None:
        """Record the time in the queue of a request that came at `since` and starts now."""
        if self._seconds is not None:
            self._seconds.observe(self.now() - since)


class StageMetrics:
    """Histograms of the seconds that each stage of stylized requests took."""

    def __init__(self, triton: Any) -> None:
        self._stages: dict[str, Any] = {}
        # Triton before 24.10 has counters and gauges only.
        if hasattr(triton.MetricFamily, "HISTOGRAM"):
            self._seconds = triton.MetricFamily(
                name="photoreal_stage_seconds",
                description="Duration of answered requests in seconds, by stage.",
                kind=triton.MetricFamily.HISTOGRAM,
            )
            self._stages = {
                stage: self._seconds.Metric(labels={"stage": stage}, buckets=list(STAGE_BUCKETS))
                for stage in STAGES
            }

    def observe(self, seconds: Mapping[str, float]) -> None:
        """Record the seconds of one request, by stage."""
        for stage in self._stages.keys() & seconds.keys():
            self._stages[stage].observe(seconds[stage])


class StyleCacheMetrics:
    """Hits, misses and the size of the style cache."""

    def __init__(self, triton: Any) -> None:
        self._lookups = triton.MetricFamily(
            name="photoreal_style_cache_lookups_total",
            description="Lookups in the style cache, by result.",
            kind=triton.MetricFamily.COUNTER,
        )
        self._counts = {
            cached: self._lookups.Metric(labels={"result": "hit" if cached else "miss"})
            for cached in (True, False)
        }
        self._size = triton.MetricFamily(
            name="photoreal_style_cache_bytes",
            description="Size of the style cache in bytes.",
            kind=triton.MetricFamily.GAUGE,
        )
        self._bytes = self._size.Metric(labels={})

    def looked_up(self, cached: bool, kept_bytes: int) -> None:
        """Count a lookup, and set the bytes in the cache after it."""
        self._counts[cached].increment(1)
        self._bytes.set(kept_bytes)


class LevelMetrics:
    """Counter of network levels that were started."""

    def __init__(self, triton: Any) -> None:
        self._family = triton.MetricFamily(
            name="photoreal_levels_total",
            description="Network levels started; 15 for a request with a new style.",
            kind=triton.MetricFamily.COUNTER,
        )
        self._levels = self._family.Metric(labels={})

    def begun(self) -> None:
        """Count a level."""
        self._levels.increment(1)

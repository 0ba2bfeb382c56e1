"""What the models count, in Triton's Prometheus metrics.

Triton's module is handed in as `triton`. A metric ends with its family, so the objects here
keep both. A family of the same name in two models is one family: labels tell them apart.
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
"""Answered; refused, the caller's mistake; stopped in time or canceled; turned away for want of
room in the queue; failed, the server's fault."""
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
"""Kinds of errors; the first class that an error belongs to decides."""
WAITING, WORKING = "photoreal_requests_waiting", "photoreal_requests_working"
"""Names of the metrics of the queue."""
STAGES = ("decode", "segment", "colors", "transfer", "upsample", "encode", "total")
STAGE_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper bounds in seconds."""


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
            description="Requests not answered with a picture, by model and kind of error.",
            kind=counter,
        )
        # Made at once: an alert needs the 0 before the first error.
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
    """Requests to `stylize` that are not answered yet, and how long they waited.

    Triton keeps the values when the model's process dies. It then tells nobody so: who looks after
    the server learns from here whether somebody waits for an answer that will not come.
    """

    def __init__(self, triton: Any) -> None:
        gauge = triton.MetricFamily.GAUGE
        self._families = [
            triton.MetricFamily(name=WAITING, description="Requests that wait.", kind=gauge),
            triton.MetricFamily(
                name=WORKING, description="Requests that are worked on, 0 or 1.", kind=gauge
            ),
        ]
        self._waiting, self._working = (family.Metric(labels={}) for family in self._families)
        self.note(0, working=False)
        self._seconds = None
        if hasattr(triton.MetricFamily, "HISTOGRAM"):  # not before 24.10
            self._families.append(
                triton.MetricFamily(
                    name="photoreal_queue_seconds",
                    description="Seconds that requests waited before they were begun.",
                    kind=triton.MetricFamily.HISTOGRAM,
                )
            )
            self._seconds = self._families[-1].Metric(labels={}, buckets=list(STAGE_BUCKETS))

    @staticmethod
    def now() -> float:
        """The present for `waited`."""
        return time.monotonic()

    def note(self, waiting: int, working: bool) -> None:
        """Say how many requests wait, and whether one is worked on."""
        self._waiting.set(waiting)
        self._working.set(int(working))

    def waited(self, since: float) -> None:
        """Note that a request, which came at `since`, is begun."""
        if self._seconds is not None:
            self._seconds.observe(self.now() - since)


class StageMetrics:
    """Seconds that the stages of stylized requests took, as histograms."""

    def __init__(self, triton: Any) -> None:
        self._stages: dict[str, Any] = {}
        # Tritons before 24.10 know counters and gauges only.
        if hasattr(triton.MetricFamily, "HISTOGRAM"):
            self._seconds = triton.MetricFamily(
                name="photoreal_stage_seconds",
                description="Seconds of answered requests, by stage.",
                kind=triton.MetricFamily.HISTOGRAM,
            )
            self._stages = {
                stage: self._seconds.Metric(labels={"stage": stage}, buckets=list(STAGE_BUCKETS))
                for stage in STAGES
            }

    def observe(self, seconds: Mapping[str, float]) -> None:
        """Note the seconds of one request by stage."""
        for stage in self._stages.keys() & seconds.keys():
            self._stages[stage].observe(seconds[stage])


class StyleCacheMetrics:
    """Hits, misses and the size of the style cache."""

    def __init__(self, triton: Any) -> None:
        self._lookups = triton.MetricFamily(
            name="photoreal_style_cache_lookups_total",
            description="Styles looked up in the cache, by whether they were known.",
            kind=triton.MetricFamily.COUNTER,
        )
        self._counts = {
            cached: self._lookups.Metric(labels={"result": "hit" if cached else "miss"})
            for cached in (True, False)
        }
        self._size = triton.MetricFamily(
            name="photoreal_style_cache_bytes",
            description="Bytes that known styles take.",
            kind=triton.MetricFamily.GAUGE,
        )
        self._bytes = self._size.Metric(labels={})

    def looked_up(self, cached: bool, kept_bytes: int) -> None:
        """Count a lookup and note the bytes kept after it."""
        self._counts[cached].increment(1)
        self._bytes.set(kept_bytes)


class LevelMetrics:
    """Levels of the networks that were begun."""

    def __init__(self, triton: Any) -> None:
        self._family = triton.MetricFamily(
            name="photoreal_levels_total",
            description="Levels of the networks that were begun; 15 in a request of a new style.",
            kind=triton.MetricFamily.COUNTER,
        )
        self._levels = self._family.Metric(labels={})

    def begun(self) -> None:
        """Count a level."""
        self._levels.increment(1)

"""Liveness check: decide whether a server works, is busy or has failed.

Requests are queued and may take minutes, so a late answer alone is no failure. The evidence is
progress: CPU time of the model processes, and answered requests. A server with a pending request
that makes no progress has hung.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from photoreal.serve.launch.canaries import CanaryResult
from photoreal.serve.supervise.processes import ModelProcess

Reason = Literal["died", "stopped", "hung", "failing"]
_STEP_S = 0.05
"""CPU time in seconds that counts as work; an idle server uses a tenth of it in a minute."""
_FAILURES = 2
"""Number of consecutive failed canaries that count as a fault."""
_RETRY_S = 1.0


@dataclass(frozen=True)
class LivenessSettings:
    """Intervals and timeouts of the liveness check in seconds.

    Attributes:
        canary_interval_s: time from the last answered request to the next canary.
        hang_timeout_s: how long a request may be pending without any work being done.
        stopped_s: how long a process may be stopped, as by SIGSTOP.
        longest_request_s: how long a server that does work may go without any answer.
    """

    canary_interval_s: float = 5.0
    hang_timeout_s: float = 4.0
    stopped_s: float = 2.0
    longest_request_s: float = 900.0


@dataclass(frozen=True)
class Fault:
    """A detected failure: the model (None if unknown), the reason, and a sentence about it."""

    model: str | None
    reason: Reason
    sentence: str


class RunningCanary(Protocol):
    """A canary in flight."""

    def poll(self) -> CanaryResult | None:
        """Return the result, None while the canary is running."""


class LivenessMonitor:
    """Monitors one server until its first fault; the first canary is due at once.

    Args:
        settings: intervals and timeouts.
        send: sends a canary.
        now: current time in seconds on a monotonic clock.
    """

    def __init__(
        self, settings: LivenessSettings, send: Callable[[], RunningCanary], now: float
    ) -> None:
        self._settings = settings
        self._send = send
        self._canary: RunningCanary | None = None
        self._due = self._answered = self._worked = now
        self._pending_since: float | None = None
        self._cpu_s = 0.0
        self._completed: float | None = None
        self._stopped: dict[int, float] = {}
        self._failures = 0
        self.last: CanaryResult | None = None
        """Result of the last canary."""
        self.confirmed = False
        """Whether the server has answered a request since monitoring began."""

    @property
    def problem(self) -> str | None:
        """Failure of the last canary while it is no fault yet, else None."""
        return self.last.failure if self._failures and self.last is not None else None

    def check(
        self, now: float, processes: Sequence[ModelProcess], completed: float | None
    ) -> Fault | None:
        """Check the server once, and send a canary when one is due.

        Args:
            now: current time in seconds on the same clock.
            processes: the models' processes.
            completed: number of requests served so far, None if unknown.
        """
        self._note_work(now, processes, completed)
        return (
            self._judge_processes(now, processes)
            or self._judge_canary(now)
            or self._judge_silence(now)
        )

    def _note_work(
        self, now: float, processes: Sequence[ModelProcess], completed: float | None
    ) -> None:
        cpu_s = sum(process.cpu_s for process in processes)
        if not 0 <= cpu_s - self._cpu_s < _STEP_S:
            self._cpu_s, self._worked = cpu_s, now
        if any(process.state == "disk" for process in processes):
            self._worked = now
        if completed is not None and completed != self._completed:
            if self._completed is not None:  # requests are served: no canary needed
                self._answer(now)
            self._completed, self._worked = completed, now

    def _judge_processes(self, now: float, processes: Sequence[ModelProcess]) -> Fault | None:
        stopped = {process.pid for process in processes if process.state == "stopped"}
        self._stopped = {pid: self._stopped.get(pid, now) for pid in stopped}
        for process in processes:
            if process.state == "dead":
                return Fault(process.model, "died", f"Process {process.pid} has died.")
            since = self._stopped.get(process.pid, now)
            if process.state == "stopped" and now - since >= self._settings.stopped_s:
                return Fault(
                    process.model,
                    "stopped",
                    f"Process {process.pid} has been stopped for {now - since:.0f} s.",
                )
        return None

    def _judge_canary(self, now: float) -> Fault | None:
        if self._canary is None:
            if now >= self._due:
                self._canary = self._send()
                self._pending_since = now if self._pending_since is None else self._pending_since
            return None
        outcome = self._canary.poll()
        if outcome is None:
            return None
        self._canary = None
        self._due = now + _RETRY_S
        if outcome.busy:
            return None
        self.last = outcome
        if outcome.failure is None:
            self._failures = 0
            self._answer(now)
            return None
        self._pending_since = None
        self._failures += 1
        if self._failures < _FAILURES:
            return None
        return Fault(None, "failing", f"{_FAILURES} canaries in a row failed: {outcome.failure}")

    def _judge_silence(self, now: float) -> Fault | None:
        if self._pending_since is None:
            return None
        idle = now - max(self._pending_since, self._worked)
        if idle >= self._settings.hang_timeout_s:
            return Fault(
                None,
                "hung",
                f"A request has been pending for {now - self._pending_since:.0f} s, and the models"
                f" have used no CPU time for {idle:.0f} s.",
            )
        silent = now - max(self._pending_since, self._answered)
        if silent >= self._settings.longest_request_s:
            return Fault(
                None, "hung", f"The models use CPU time but have not answered for {silent:.0f} s."
            )
        return None

    def _answer(self, now: float) -> None:
        self.confirmed = True
        self._answered = now
        self._due = now + self._settings.canary_interval_s
        self._pending_since = None if self._canary is None else now

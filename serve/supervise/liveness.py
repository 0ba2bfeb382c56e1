"""Deciding from what can be seen whether a server works, is busy or has failed.

Requests queue one after another and may take minutes, so no answer in time does not mean that
nothing works. What tells is work done: processor time of the models' processes, and requests
answered. A server that owes an answer and does no work hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from photoreal.serve.launch.canaries import CanaryResult
from photoreal.serve.supervise.processes import ModelProcess

Reason = Literal["died", "stopped", "hung", "failing"]
_STEP_S = 0.05
"""Processor time that counts as work. An idle server uses a tenth of it in a minute."""
_FAILURES = 2
"""Canaries in a row that have to fail."""
_RETRY_S = 1.0


@dataclass(frozen=True)
class LivenessSettings:
    """Times of the watch in seconds.

    Attributes:
        canary_interval_s: from an answer to the next canary, as long as no request is answered.
        hang_timeout_s: how long a server may owe an answer without doing any work.
        stopped_s: how long a process may be stopped.
        longest_request_s: how long a server that does work may answer nothing at all.
    """

    canary_interval_s: float = 5.0
    hang_timeout_s: float = 4.0
    stopped_s: float = 2.0
    longest_request_s: float = 900.0


@dataclass(frozen=True)
class Fault:
    """What is wrong: with which model (None: not known), why, and a sentence on it."""

    model: str | None
    reason: Reason
    sentence: str


class RunningCanary(Protocol):
    """A small request on its way."""

    def poll(self) -> CanaryResult | None:
        """How it ended, None as long as it has not."""


class LivenessMonitor:
    """Follows one server until its first fault; the first canary is due at once.

    Args:
        settings: times.
        send: sends a canary.
        now: the present, in seconds on a clock that never goes back.
    """

    def __init__(
        self, settings: LivenessSettings, send: Callable[[], RunningCanary], now: float
    ) -> None:
        self._settings = settings
        self._send = send
        self._canary: RunningCanary | None = None
        self._due = self._answered = self._worked = now
        self._owed: float | None = None
        self._cpu_s = 0.0
        self._completed: float | None = None
        self._stopped: dict[int, float] = {}
        self._failures = 0
        self.last: CanaryResult | None = None
        """How the last canary ended."""
        self.confirmed = False
        """Whether the server has answered a request since the watch began."""

    @property
    def problem(self) -> str | None:
        """What speaks against sending requests now, though it is no fault yet."""
        return self.last.failure if self._failures and self.last is not None else None

    def look(
        self, now: float, processes: Sequence[ModelProcess], completed: float | None
    ) -> Fault | None:
        """Judge the server at one moment, and send a canary when one is due.

        Args:
            now: the moment.
            processes: the models' processes.
            completed: requests that the server has served so far, None when it does not say.
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
            if self._completed is not None:  # requests are served: no need to ask
                self._answer(now)
            self._completed, self._worked = completed, now

    def _judge_processes(self, now: float, processes: Sequence[ModelProcess]) -> Fault | None:
        stopped = {process.pid for process in processes if process.state == "stopped"}
        self._stopped = {pid: self._stopped.get(pid, now) for pid in stopped}
        for process in processes:
            if process.state == "dead":
                return Fault(process.model, "died", f"Its process {process.pid} has died.")
            since = self._stopped.get(process.pid, now)
            if process.state == "stopped" and now - since >= self._settings.stopped_s:
                return Fault(
                    process.model,
                    "stopped",
                    f"Its process {process.pid} has been stopped for {now - since:.0f} s.",
                )
        return None

    def _judge_canary(self, now: float) -> Fault | None:
        if self._canary is None:
            if now >= self._due:
                self._canary = self._send()
                self._owed = now if self._owed is None else self._owed
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
        self._owed = None
        self._failures += 1
        if self._failures < _FAILURES:
            return None
        return Fault(None, "failing", f"{_FAILURES} canaries in a row failed: {outcome.failure}")

    def _judge_silence(self, now: float) -> Fault | None:
        if self._owed is None:
            return None
        idle = now - max(self._owed, self._worked)
        if idle >= self._settings.hang_timeout_s:
            return Fault(
                None,
                "hung",
                f"An answer is owed for {now - self._owed:.0f} s, and for {idle:.0f} s the models"
                " have done nothing.",
            )
        silent = now - max(self._owed, self._answered)
        if silent >= self._settings.longest_request_s:
            return Fault(
                None, "hung", f"The models compute, but none has answered for {silent:.0f} s."
            )
        return None

    def _answer(self, now: float) -> None:
        self.confirmed = True
        self._answered = now
        self._due = now + self._settings.canary_interval_s
        self._owed = None if self._canary is None else now

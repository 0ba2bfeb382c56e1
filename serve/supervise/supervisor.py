"""Supervisor: monitors a server, reloads failed models, restarts it, gives up at a limit."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from photoreal import contract
from photoreal.errors import PhotorealError, ServeError
from photoreal.serve.launch.canaries import Canary, CanaryResult
from photoreal.serve.launch.launcher import Server
from photoreal.serve.supervise.health import Status
from photoreal.serve.supervise.liveness import Fault, LivenessMonitor, LivenessSettings
from photoreal.serve.supervise.management import TIMED_OUT, Management
from photoreal.serve.supervise.processes import SERVER, ProcessTable
from photoreal.serve.supervise.restarts import RestartBudget, RestartLimits

_TICK_S = 0.5
_DIAGNOSIS_S = 3.0
_KILL_S = 2.0

log = logging.getLogger("photoreal.serve.supervisor")


@dataclass(frozen=True)
class SupervisorSettings:
    """Settings of the liveness check, and limits of restarts."""

    watch: LivenessSettings = field(default_factory=LivenessSettings)
    restarts: RestartLimits = field(default_factory=RestartLimits)


class Supervisor:
    """Monitors a running server, and reloads its models or restarts it after a failure.

    A failed model is reloaded, which takes seconds and does not disturb other models. If the server
    then still does not answer a canary, it is restarted. It is also restarted if `stylize` failed
    with pending requests: only closed connections tell their callers that no answer will come.
    The style cache is lost with the process of `wct2`: `refill` is then called, in a background
    thread, once the server answers.
    """

    def __init__(
        self,
        server: Server,
        settings: SupervisorSettings,
        status: Status,
        refill: Callable[[], None] | None = None,
    ) -> None:
        self._server = server
        self._refill = refill
        self._styles_lost = False
        self._settings = settings
        self._status = status
        self._budget = RestartBudget(settings.restarts)
        self._management = Management(
            server.http_url,
            server.metrics_url,
            server.settings.admin_key,
            server.settings.security.api_key,
        )
        self._failed_at: float | None = None
        self._reloaded: set[str] = set()
        self._counted: CanaryResult | None = None
        self._start_monitor()
        self._table = ProcessTable(server.pid)

    def run(self) -> None:
        """Supervise until an exception; raises ServeError when the restart limit is reached."""
        self._status.problem = None
        while True:
            fault = self._check()
            self._report()
            if fault is not None:
                self._recover(fault)
            time.sleep(_TICK_S)

    def _check(self) -> Fault | None:
        code = self._server.poll()
        if code is not None:
            return Fault(None, "died", f"It exited unexpectedly (exit code {code}).")
        return self._monitor.check(
            time.monotonic(), self._table.snapshot(), self._management.completed()
        )

    def _report(self) -> None:
        """Update status and metrics after a canary, and log the end of a recovery."""
        monitor, status = self._monitor, self._status
        if monitor.last is not None and monitor.last is not self._counted:
            self._counted = monitor.last
            result = "answered" if monitor.last.failure is None else "failed"
            status.canaries.labels("busy" if monitor.last.busy else result).inc()
            status.canary_seconds.observe(monitor.last.seconds)
        if monitor.problem is not None:
            status.problem = monitor.problem
        elif monitor.confirmed:
            status.problem = None
            if self._failed_at is not None:
                seconds = time.monotonic() - self._failed_at
                log.info(
                    "The server has recovered, %.1f s after the failure was detected.", seconds
                )
            self._failed_at = None
            self._reloaded.clear()
            if self._styles_lost and self._refill is not None:
                threading.Thread(target=_try, args=(self._refill,), daemon=True).start()
            self._styles_lost = False

    def _recover(self, fault: Fault) -> None:
        if self._failed_at is None:
            self._failed_at = time.monotonic()
        self._status.problem = fault.sentence
        models = self._suspects(fault)
        who = " and ".join(models) or "The server"
        sentence = f"{who} failed ({fault.reason}): {fault.sentence}"
        self._status.problem = sentence
        log.warning("%s", sentence)
        if contract.STYLIZE.name in models and self._management.has_pending_requests():
            log.warning("%s had pending requests; their connections are closed.", who)
        elif models and not self._reloaded.intersection(models):
            self._wait(sentence)
            if self._reload(models, fault):
                self._start_monitor()
                return
        elif models:
            log.warning("Reloading %s did not help.", who)
        self._restart(fault, sentence)
        self._start_monitor()
        self._table = ProcessTable(self._server.pid)

    def _suspects(self, fault: Fault) -> list[str]:
        """Return the models to reload; none if the server itself has to be restarted."""
        if fault.model not in (None, SERVER):
            return [fault.model]
        if (
            fault.model == SERVER
            or self._server.poll() is not None
            or not self._management.is_alive()
        ):
            return []
        loaded = sorted({process.model for process in self._table.snapshot()} - {SERVER})
        failing = self._management.failing(loaded, _DIAGNOSIS_S)
        if fault.reason == "failing":  # a model that timed out may just be busy
            failing = {model: why for model, why in failing.items() if why != TIMED_OUT}
        for model, why in failing.items():
            log.warning("%s failed a test request: %s.", model, why.rstrip("."))
        # wct2 calls the network levels, and cannot answer without them.
        levels = [model for model in failing if model != contract.WCT2.name]
        return levels or list(failing) or [contract.STYLIZE.name]

    def _reload(self, models: list[str], fault: Fault) -> bool:
        for model in models:
            self._status.model_restarts.labels(model, fault.reason).inc()
            self._end_processes(model)
            start = time.monotonic()
            try:
                self._management.reload(model)
            except ServeError as error:
                log.warning("%s", error)
                return False
            log.info("%s was reloaded in %.1f s.", model, time.monotonic() - start)
            self._reloaded.add(model)
            self._styles_lost |= model == contract.WCT2.name
        return True

    def _end_processes(self, model: str) -> None:
        """Kill a model's remaining processes, so that callers get an error instead of no answer."""
        deadline = time.monotonic() + _KILL_S
        while time.monotonic() < deadline:
            left = [
                one for one in self._table.snapshot() if one.model == model and one.state != "dead"
            ]
            if not left:
                break
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        self._table.forget(model)

    def _restart(self, fault: Fault, sentence: str) -> None:
        while True:
            self._wait(sentence)
            self._status.server_restarts.labels(fault.reason).inc()
            log.warning("Restarting the server.")
            start = time.monotonic()
            try:
                self._server.restart()
            except ServeError as error:
                sentence = str(error)
                self._status.problem = sentence
                log.warning("%s", sentence)
            else:
                log.info("The server was restarted in %.1f s.", time.monotonic() - start)
                self._reloaded.clear()
                self._styles_lost = True
                return

    def _wait(self, sentence: str) -> None:
        delay = self._budget.spend(time.monotonic(), sentence)
        if delay:
            log.info("Backing off for %.0f s after repeated failures.", delay)
            time.sleep(delay)

    def _start_monitor(self) -> None:
        settings = self._settings.watch
        url, timeout_s = self._server.http_url, settings.longest_request_s + 60
        key = self._server.settings.security.api_key
        self._monitor = LivenessMonitor(
            settings, lambda: Canary(url, timeout_s, key), time.monotonic()
        )


def _try(refill: Callable[[], None]) -> None:
    try:
        refill()
    except PhotorealError as error:
        log.warning("The presets could not be measured again: %s", error)

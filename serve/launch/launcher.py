"""Start a tritonserver, wait until it is ready, restart it and stop it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.serve.backend.canceled import CANCELED_VARIABLE
from photoreal.serve.backend.driver import check_gpu, visible_gpu
from photoreal.serve.backend.limits import request_limits, resolve_limits
from photoreal.serve.backend.log_lines import rewrite_in_background
from photoreal.serve.launch import hidden_arguments, watchdog
from photoreal.serve.launch.canaries import canary
from photoreal.serve.launch.environment import (
    Installation,
    check_environment,
    check_ports,
    server_environment,
)
from photoreal.serve.launch.gpu_memory import pool_bytes
from photoreal.serve.launch.installation import assemble_backends, check_backends, find_installation
from photoreal.serve.launch.repository import (
    configured_backends,
    configured_engine,
    engines_side,
    link_models,
    models_on_gpu,
    models_to_load,
)
from photoreal.serve.launch.settings import ServeSettings, command_line, hide_keys
from photoreal.serve.launch.temporary import plain_folder, plain_programs

VISIBLE_KEYS = (
    "The server's keys are visible in this machine's process list, because ptrace is not permitted"
    " here; see SECURITY.md."
)

_END_S = 10.0
_GROUP_END_S = 5.0
_HELD_UP_S = 2.0
_log = logging.getLogger(__name__)


class Server:
    """A tritonserver process.

    `log` receives the server's output; None passes it on to this process's standard error.
    """

    def __init__(self, settings: ServeSettings, log: IO[bytes] | None = None) -> None:
        self.settings = settings
        self._log = log
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._rewriter: threading.Thread | None = None
        self._watchdog: watchdog.Watchdog | None = None

    @property
    def http_url(self) -> str:
        """Address of the HTTP endpoint, host:port."""
        return self.address(self.settings.http_port)

    @property
    def grpc_url(self) -> str:
        """Address of the gRPC endpoint, host:port."""
        return self.address(self.settings.grpc_port)

    @property
    def metrics_url(self) -> str:
        """Address of the Prometheus metrics."""
        return f"http://{self.address(self.settings.metrics_port)}/metrics"

    def address(self, port: int) -> str:
        """Address of one of the server's ports as seen from this machine, host:port."""
        return f"{_reachable(self.settings.host)}:{port}"

    @property
    def pid(self) -> int:
        """Process id of tritonserver; its models are its children."""
        if self._process is None:
            raise ServeError("The server is not running.")
        return self._process.pid

    def start(self) -> None:
        """Check the machine and start the process; raises ServeError."""
        settings = self.settings
        settings.security.check()
        settings.insight.check()
        models = models_to_load(settings.repository, settings.engine)
        check_gpu(models_on_gpu(settings.repository, models))
        extra = self._chosen_engine()
        check_ports(settings.host, settings.ports())
        watchdog.remove_stale()
        self._folder = tempfile.TemporaryDirectory(prefix="photoreal-", dir=plain_folder())
        self._watchdog = watchdog.Watchdog(settings.shm_prefix, Path(self._folder.name))
        triton = self._find_triton(models, Path(self._folder.name))
        longest = engines_side(settings.repository, models)
        limits = resolve_limits({**os.environ, **settings.limits}, longest)
        served = link_models(settings.repository, Path(self._folder.name))
        extra |= {
            contract.STYLE_CACHE_VARIABLE: str(settings.style_cache),
            contract.KEEP_MEMORY_VARIABLE: str(settings.keep_memory_s),
            CANCELED_VARIABLE: str(Path(self._folder.name) / "canceled"),
            **visible_gpu(settings.gpu),
            **limits,
        }
        as_json = settings.insight.log_format == "json"
        command = command_line(
            replace(settings, repository=served),
            triton.binary,
            triton.backends,
            models,
            self._gpu_pool(models),
        )
        # In a new session: Ctrl-C reaches only this process, which then stops the server.
        self._process, hidden = hidden_arguments.start(
            hide_keys(command),
            command,
            server_environment(triton, plain_programs(Path(self._folder.name)), extra),
            stdout=subprocess.PIPE if as_json else self._log,
            stderr=subprocess.STDOUT if as_json or self._log else None,
        )
        if not hidden:
            _log.warning("%s", VISIBLE_KEYS)
        if self._process.stdout is not None:
            self._rewriter = rewrite_in_background(self._process.stdout, self._log)

    def _chosen_engine(self) -> dict[str, str]:
        """Variables that set engine, device and precision of `wct2`; raises ServeError."""
        settings = self.settings
        given = {
            contract.ENGINE_VARIABLE: settings.engine,
            contract.DEVICE_VARIABLE: settings.device,
            contract.PRECISION_VARIABLE: settings.precision,
        }
        if (settings.device or os.environ.get(contract.DEVICE_VARIABLE)) == "cuda":
            if (settings.engine or configured_engine(settings.repository)) == "bls":
                raise ServeError(
                    "The device cuda applies to the local engine only; the models of the bls engine"
                    " run on the device they were exported for: photoreal export --device cuda."
                )
            from photoreal.serve.backend.device import require_cuda  # slow: imports torch

            require_cuda()
        return {name: value for name, value in given.items() if value}

    def _gpu_pool(self, models: list[str]) -> int:
        if not set(models_on_gpu(self.settings.repository, models)) - {contract.SEGMENTER.name}:
            return 0
        limits = request_limits({**os.environ, **self.settings.limits})
        return pool_bytes(limits.max_working_pixels)

    def _find_triton(self, models: list[str], folder: Path) -> Installation:
        """Return the Triton in the settings, or else the wheel's, assembled in `folder`."""
        if self.settings.triton is not None:
            triton = find_installation(self.settings.triton)
        else:
            wheel = check_environment()
            triton = Installation(wheel.binary, assemble_backends(wheel, folder), wheel.libraries)
        check_backends(triton, configured_backends(self.settings.repository, models))
        return triton

    def command(self) -> list[str]:
        """Return the command that `start` would run, with masked keys; raises ServeError."""
        settings = self.settings
        models = models_to_load(settings.repository, settings.engine)
        with tempfile.TemporaryDirectory(prefix="photoreal-", dir=plain_folder()) as folder:
            triton = self._find_triton(models, Path(folder))
            pool = self._gpu_pool(models)
            return hide_keys(command_line(settings, triton.binary, triton.backends, models, pool))

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until a real request through every stage has been answered; raises ServeError."""
        timeout_s = self.settings.start_timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if (code := self.poll()) is not None:
                raise ServeError(
                    f"The server exited during startup (exit code {code}); see its log."
                )
            key = self.settings.security.api_key
            if canary(self.http_url, deadline - time.monotonic(), key):
                return
            time.sleep(0.2)
        raise ServeError(f"The server was not ready within {timeout_s:.0f} s; see its log.")

    def poll(self) -> int | None:
        """Exit code if the process has exited, None while it runs."""
        return None if self._process is None else self._process.poll()

    def wait(self) -> int:
        """Wait for the process to exit, and return its exit code."""
        return 0 if self._process is None else self._process.wait()

    def stop(self) -> None:
        """Let requests in flight finish, then end the server and all processes that it started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)  # in case it was stopped
            self._await_exit(process)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # orphaned model processes
            process.wait()
            _await_end_of_group(process.pid)
        if self._watchdog is not None:
            self._watchdog.release()
            self._watchdog = None
        if self._rewriter is not None:
            self._rewriter.join(_GROUP_END_S)  # for the last lines
            self._rewriter = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def restart(self) -> None:
        """Kill the server, restart it and wait until it is ready; raises ServeError.

        The settings, including addresses and keys, stay the same.
        """
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()
        self.start()
        self.wait_ready()

    def _await_exit(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server has drained and exited, or only dead models keep it from exiting.

        Triton never unloads a model that died with pending requests. The model would delay the exit
        for the whole exit timeout after all live models have been drained and unloaded.
        """
        deadline = time.monotonic() + self.settings.exit_timeout_s + _END_S
        held_up_since = None
        while process.poll() is None and (now := time.monotonic()) < deadline:
            models = set(watchdog.processes_of(self.settings.shm_prefix)) - {process.pid}
            if models or not watchdog.has_dead_models(process.pid):
                held_up_since = None
            elif held_up_since is None:
                held_up_since = now
            elif now - held_up_since > _HELD_UP_S:
                return
            time.sleep(0.05)

    def __enter__(self) -> Server:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _await_end_of_group(group: int) -> None:
    """Wait briefly until the killed processes have released their memory."""
    deadline = time.monotonic() + _GROUP_END_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)


def _reachable(host: str) -> str:
    """Host by which this machine reaches a server bound to `host`; IPv6 addresses in brackets."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{near}]" if ":" in near else near

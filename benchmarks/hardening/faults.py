"""Fault injection from outside a server, with the outcome of each fault."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hardening.load import Job, Load, running
from photoreal.client import ServerUnavailable
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server

RETRIES = 12
"""Retries of clients that must survive a restart."""

_PROGRAM = Path(sys.executable).with_name("photoreal")
_ENDING_S = 10.0


@dataclass
class Fault:
    """One fault: what was done, what was counted, and what went wrong, which should be nothing."""

    name: str
    figures: str = ""
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.figures}", *self.complaints])


@dataclass(frozen=True)
class Command:
    """A running `photoreal serve`."""

    process: subprocess.Popen[bytes]
    http_url: str
    grpc_url: str


def restart(
    server: Server, jobs: Sequence[Job], expected: Sequence[bytes], *, abruptly: bool
) -> Fault:
    """Restart the server under load: with retries, no request is lost."""
    fault = Fault(f"restart under load, {'killed' if abruptly else 'told to stop'}")
    load = Load(server, jobs, expected, retries=RETRIES)
    with running(load):
        load.await_pictures(len(jobs))
        before, started = load.tally.pictures, time.monotonic()
        if abruptly:
            os.killpg(server.pid, signal.SIGKILL)
        server.stop()
        server.start()
        server.wait_ready()
        gone_s = time.monotonic() - started
        load.await_pictures(2 * len(jobs))
    tally = load.tally
    fault.figures = (
        f"{tally.pictures} of {tally.pictures + len(tally.errors)} calls of {len(jobs)} clients"
        f" got their picture, {tally.pictures - before} of them after it; {gone_s:.1f} s until"
        " ready again"
    )
    fault.complaints += load.complaints()
    return fault


def stop_under_load(repository: Path, jobs: Sequence[Job], expected: Sequence[bytes]) -> Fault:
    """SIGTERM under load: every call gets a picture or a clear error, and the exit is timely."""
    fault = Fault("SIGTERM under load")
    with serve_command(repository) as command:
        load = Load(command, jobs, expected, retries=0, until_error=True)
        with running(load):
            load.await_pictures(len(jobs))
            before, started = load.tally.pictures, time.monotonic()
            command.process.terminate()
            code = command.process.wait(60)
            seconds = time.monotonic() - started
    tally = load.tally
    fault.figures = (
        f"{tally.pictures - before} more pictures after the signal, then"
        f" {dict(tally.kinds)}; ended after {seconds:.1f} s"
    )
    unclear = [str(one) for one in tally.errors if not isinstance(one, ServerUnavailable)]
    fault.complaints += [f"unclear error: {one}" for one in unclear]
    if code != 0:
        fault.complaints.append(f"exit code {code}")
    fault.complaints += load.complaints(errors=False)
    return fault


def stop_with_idle_connection(repository: Path, exit_timeout_s: int = 2) -> Fault:
    """An idle client connection delays the exit no longer than the exit timeout."""
    fault = Fault("SIGTERM with an idle connection")
    with serve_command(repository, f"--exit-timeout={exit_timeout_s}") as command:
        host, _, port = command.http_url.partition(":")
        with socket.create_connection((host, int(port)), 10) as idle:
            idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            if b"200" not in idle.recv(4096):
                fault.complaints.append("no answer before the signal")
            started = time.monotonic()
            command.process.terminate()
            code = command.process.wait(60)
            seconds = time.monotonic() - started
    fault.figures = f"allowed {exit_timeout_s} s, ended after {seconds:.1f} s"
    if code != 0 or seconds > exit_timeout_s + _ENDING_S:
        fault.complaints.append(f"exit code {code} after {seconds:.1f} s")
    return fault


@contextmanager
def serve_command(repository: Path, *options: str) -> Iterator[Command]:
    """Run `photoreal serve` on free ports; it is stopped with the context at the latest."""
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    ports = [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    with tempfile.TemporaryFile() as log:
        arguments = [_PROGRAM, "serve", "--repository", repository, *ports, *options]
        process = subprocess.Popen(list(map(str, arguments)), stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        with process.stdout:
            try:
                while process.stdout.readline() not in (b"Ctrl-C stops the server.\n", b""):
                    pass
                yield Command(process, f"127.0.0.1:{http}", f"127.0.0.1:{grpc}")
            finally:
                process.terminate()
                process.wait(60)

"""Fault injection from outside a server, with the outcome of each fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hardening.load import Job, Load, Urls
from photoreal.client import ServerUnavailable
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server

RETRIES = 12
"""Retries of clients that must survive a restart."""

_PROGRAM = Path(sys.executable).with_name("photoreal")


class Fault(NamedTuple):
    """One fault: what was done, what was counted, and what went wrong, which should be nothing."""

    name: str
    figures: str
    complaints: list[str]


class Command(NamedTuple):
    """A running `photoreal serve`."""

    process: subprocess.Popen[bytes]
    urls: Urls

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and the seconds until the end."""
        started = time.monotonic()
        self.process.terminate()
        return self.process.wait(60), time.monotonic() - started


def restart(
    server: Server, jobs: Sequence[Job], expected: Sequence[bytes], *, abruptly: bool
) -> Fault:
    """Restart the server under load: with retries, no request is lost."""
    load = Load((server.http_url, server.grpc_url), jobs, expected, retries=RETRIES)
    with load.running():
        load.await_pictures(len(jobs))
        before, started = load.pictures, time.monotonic()
        if abruptly:
            os.killpg(server.pid, signal.SIGKILL)
        server.stop()
        server.start()
        server.wait_ready()
        gone_s = time.monotonic() - started
        load.await_pictures(2 * len(jobs))
    return Fault(
        f"restart under load, {'killed' if abruptly else 'told to stop'}",
        f"{load.pictures} of {load.pictures + len(load.errors)} calls of {len(jobs)} clients got"
        f" their picture, {load.pictures - before} of them after it; {gone_s:.1f} s until ready"
        " again",
        load.complaints(),
    )


def stop_under_load(repository: Path, jobs: Sequence[Job], expected: Sequence[bytes]) -> Fault:
    """SIGTERM under load: every call gets a picture or a clear error, and the exit is timely."""
    with serve_command(repository) as command:
        load = Load(command.urls, jobs, expected, retries=0, until_error=True)
        with load.running():
            load.await_pictures(len(jobs))
            before = load.pictures
            code, seconds = command.terminate()
    kinds = dict(Counter(type(error).__name__ for error in load.errors))
    figures = (
        f"{load.pictures - before} more pictures after the signal, then {kinds}; ended after"
        f" {seconds:.1f} s"
    )
    complaints = load.complaints(allowed=ServerUnavailable)
    if code != 0:
        complaints.append(f"exit code {code}")
    return Fault("SIGTERM under load", figures, complaints)


@contextmanager
def serve_command(repository: Path, *options: str) -> Iterator[Command]:
    """Run `photoreal serve` on free ports; it is stopped with the context at the latest."""
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    ports = [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    call = [str(_PROGRAM), "serve", "--repository", str(repository), *ports, *options]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        try:
            while process.stdout.readline() not in (b"Ctrl-C stops the server.\n", b""):
                pass
            yield Command(process, (f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"))
        finally:
            process.terminate()

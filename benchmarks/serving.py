"""Servers and requests that the parts of the benchmark share."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import click
from pictures import Files
from speed.dense import Networks, dense_networks

from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.contract import BLAS_THREADS_VARIABLE, WCT2, WEIGHTS_FILE
from photoreal.errors import PhotorealError, ServeError
from photoreal.serve.launch.environment import check_environment, free_ports, server_environment
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.repository import models_to_load
from photoreal.serve.launch.settings import ServeSettings
from photoreal.weights.networks import load_bundle, load_wct2, save_bundle

TIMEOUT_S = 900.0
TUNABLES = ("GLIBC_TUNABLES", "GOMP_SPINCOUNT", BLAS_THREADS_VARIABLE)
"""Environment variables of `server_tunables`."""


class BenchmarkFailed(PhotorealError):
    """A part cannot be measured, or its result cannot be trusted."""


def networks(repository: Path) -> Networks:
    """The networks that the repository's server runs."""
    bundle = repository / WCT2.name / "1" / WEIGHTS_FILE
    return load_bundle(bundle) if bundle.exists() else load_wct2()


def dense_repository(repository: Path, folder: Path) -> Path:
    """Copy a repository for the local engine to a new folder, with dense weights."""
    for model in models_to_load(repository, "local"):
        shutil.copytree(repository / model, folder / model)
    save_bundle(folder / WCT2.name / "1" / WEIGHTS_FILE, *dense_networks(networks(repository)))
    return folder


def server_tunables() -> dict[str, str]:
    """Environment variables that tune a server's memory and threads.

    They take effect at process startup, so a process whose work is timed needs them as well.
    """
    environment = server_environment(check_environment(), Path(sys.executable).parent, {})
    return {name: environment[name] for name in TUNABLES if name in environment}


@contextmanager
def running_server(
    repository: Path, log: IO[bytes] | None = None, **settings: Any
) -> Iterator[Server]:
    """Run a server on free ports, with further `ServeSettings`.

    Raises ServeError when it cannot start; the end of its log is then on standard error.
    """
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    chosen = ServeSettings(
        repository, http_port=http, grpc_port=grpc, metrics_port=metrics, **settings
    )
    with tempfile.TemporaryFile() as own, ExitStack() as stack:
        try:
            server = stack.enter_context(Server(chosen, log or own))
        except ServeError:
            own.seek(0)
            click.echo(own.read()[-2000:], err=True)
            raise
        yield server


def server_version(server: Server) -> str:
    """The version that a running server reports."""
    with urllib.request.urlopen(f"http://{server.http_url}/v2", timeout=10) as answer:
        return str(json.load(answer)["version"])


def timed_request(server: Server, files: Files, **options: Any) -> tuple[float, StylizeResult]:
    """Time one request over HTTP, files in and a file out; return seconds and result."""
    with StyleTransferClient(server.http_url, timeout=TIMEOUT_S) as client:
        started = time.perf_counter()
        result = client.stylize(**asdict(files), **options)
        return time.perf_counter() - started, result

"""Embedded server, for a program that needs one only while it runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from photoreal.errors import ServeError
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import DEFAULT_REPOSITORY, ServeSettings


@contextmanager
def embedded_server(
    repository: Path | None = None, *, engine: str | None = None
) -> Iterator[Server]:
    """Run a server on free ports of this machine for the duration of the context.

    Its log goes to a temporary file. If the server cannot start, the file is kept and the error
    names it.
    """
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        repository=repository or DEFAULT_REPOSITORY,
        engine=engine,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
    )
    descriptor, name = tempfile.mkstemp(prefix="photoreal-server-", suffix=".log")
    with os.fdopen(descriptor, "wb") as log:
        server = Server(settings, log)
        try:
            server.start()
            server.wait_ready()
        except ServeError as error:
            server.stop()
            raise ServeError(f"{error} The log is in {name}.") from error
        except BaseException:
            server.stop()
            Path(name).unlink(missing_ok=True)
            raise
        try:
            yield server
        finally:
            server.stop()
            Path(name).unlink(missing_ok=True)

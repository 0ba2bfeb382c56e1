"""A server of one's own, for a program that needs one only as long as it runs."""

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
    """A server of one's own on free ports of this machine, for as long as the context lasts.

    Its log goes to a file that is kept, and named in the error, when it cannot start.
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

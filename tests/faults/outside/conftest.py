"""A real server on the repository that `make test` has exported, and work for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hardening import load

from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import DEFAULT_REPOSITORY, ServeSettings

SMALL_CACHE = 8 << 20
"""Bytes that hold one or two styles, so that they push each other out."""


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[3] / DEFAULT_REPOSITORY


@pytest.fixture(scope="session")
def start(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], Server]]:
    """Starts a server whose cache of styles has a size."""
    with ExitStack() as stack:

        def run(style_cache: int) -> Server:
            http, grpc, metrics = free_ports("127.0.0.1", 3)
            settings = ServeSettings(
                repository,
                http_port=http,
                grpc_port=grpc,
                metrics_port=metrics,
                style_cache=style_cache,
            )
            log = stack.enter_context((tmp_path_factory.mktemp("server") / "log").open("wb"))
            return stack.enter_context(Server(settings, log))

        yield run


@pytest.fixture(scope="session")
def server(start: Callable[[int], Server]) -> Server:
    """A server with a small cache, which every test leaves in order."""
    return start(SMALL_CACHE)


@pytest.fixture(scope="session")
def jobs() -> Sequence[load.Job]:
    """Eight different requests."""
    return load.make_jobs(8)


@pytest.fixture(scope="session")
def expected(server: Server, jobs: Sequence[load.Job]) -> list[bytes]:
    """Their pictures, made one after the other."""
    return load.solo(server, jobs)

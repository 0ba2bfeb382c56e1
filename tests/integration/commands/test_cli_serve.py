"""`photoreal serve` from its start to its end."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from speed.memory import session_processes

from photoreal.client import StyleTransferClient
from photoreal.client.address import PROTOCOLS
from photoreal.serve.launch.environment import free_ports
from tests.integration.conftest import PROGRAM, server_of
from tests.shared import wait_until

pytestmark = pytest.mark.server

Start = Callable[..., "subprocess.Popen[str]"]
NAMES = ("http", "grpc", "metrics", "health")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command on four free ports; its errors and the server's log go to a file."""
    running: list[subprocess.Popen[str]] = []

    def command(*arguments: object, ports: dict[str, int] | None = None) -> subprocess.Popen[str]:
        numbers = dict(zip(NAMES, free_ports("127.0.0.1", 4), strict=True)) | (ports or {})
        options = [f"--{name}-port={port}" for name, port in numbers.items()]
        call = [str(PROGRAM), "serve", *map(str, arguments), *options]
        with (tmp_path / "log").open("wb") as log:
            running.append(
                subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True)
            )
        return running[-1]

    yield command
    for process in running:
        assert process.stdout is not None
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    assert "Traceback" not in (tmp_path / "log").read_text()


def _check_gone(server: int, prefix: str) -> None:
    wait_until(lambda: session_processes(server) == set(), 5)  # it is listed until it is reaped
    assert list(Path("/dev/shm").glob(f"{prefix}*")) == []  # noqa: S108


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_told_to_stop(
    start: Start, bare_repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    ports = dict(zip(NAMES, free_ports("127.0.0.1", 4), strict=True))
    process = start("--repository", bare_repository, ports=ports)
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(6)]
    http, grpc, metrics, health = (f"127.0.0.1:{port}" for port in ports.values())
    assert [line.split() for line in printed] == [
        ["Ready."],
        ["HTTP", http],
        ["gRPC", grpc],
        ["metrics", f"http://{metrics}/metrics"],
        ["health", f"http://{health}/ready"],
        ["Ctrl-C", "stops", "the", "server."],
    ]
    for protocol, url in zip(PROTOCOLS, (http, grpc), strict=True):
        with StyleTransferClient(url, protocol=protocol) as client:
            assert client.ready()
    server, prefix = server_of(process)
    assert len(session_processes(server)) == 4  # the server, stylize, wct2 and cancel
    assert prefix.startswith("photoreal_")
    assert list(Path("/dev/shm").glob(f"{prefix}*"))  # noqa: S108
    process.send_signal(number)
    assert process.wait(30) == 0
    _check_gone(server, prefix)
    assert (tmp_path / "log").read_text().endswith("Stopped.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_it_starts(
    start: Start, bare_repository: Path, number: signal.Signals
) -> None:
    process = start("--repository", bare_repository)
    server, prefix = server_of(process)
    process.send_signal(number)
    assert process.wait(30) == 0
    _check_gone(server, prefix)


def test_server_that_dies_ends_the_command_that_may_not_restart_it(
    start: Start, bare_repository: Path, tmp_path: Path
) -> None:
    process = start("--repository", bare_repository, "--restart-limit", 0)
    assert process.stdout is not None
    assert process.stdout.readline() == "Ready.\n"
    server, prefix = server_of(process)
    psutil.Process(server).kill()
    assert process.wait(30) == 1
    # As a child that has ended or as a process that is dead, whichever is seen first.
    assert re.search(rf"exit code -9|rocess {server} ", (tmp_path / "log").read_text())
    _check_gone(server, prefix)


@pytest.mark.parametrize("taken", NAMES)
def test_port_that_is_taken(
    start: Start, bare_repository: Path, tmp_path: Path, taken: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = start("--repository", bare_repository, ports={taken: port})
        assert process.wait(60) == 1
    log = (tmp_path / "log").read_text()
    assert f"{taken} port {port} on 127.0.0.1" in log
    assert f"--{taken}-port" in log


@pytest.mark.parametrize("lacks", ["repository", "levels by option", "levels by config"])
def test_repository_that_lacks_something(
    start: Start, bare_repository: Path, tmp_path: Path, lacks: str
) -> None:
    if lacks == "repository":
        process = start("--repository", "nowhere")
    elif lacks == "levels by option":
        process = start("--repository", bare_repository, "--engine", "bls")
    else:
        copy = Path(shutil.copytree(bare_repository, tmp_path / "repository"))
        config = copy / "wct2" / "config.pbtxt"
        text = config.read_text()
        assert '"local"' in text
        config.write_text(text.replace('"local"', '"bls"'))
        process = start("--repository", copy)
    assert process.wait(60) == 1
    log = (tmp_path / "log").read_text()
    assert ("nowhere" if lacks == "repository" else "wct2_encoder_1") in log
    assert "photoreal export" in log

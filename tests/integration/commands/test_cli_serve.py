"""`photoreal serve` from its start to its end."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from photoreal.client import StyleTransferClient
from photoreal.client.address import Protocol
from photoreal.serve.launch.environment import free_ports

pytestmark = pytest.mark.server

Start = Callable[..., "subprocess.Popen[str]"]
PROGRAM = Path(sys.executable).with_name("photoreal")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
PREFIX = "shm-region-prefix-name="


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command on four free ports; its errors and the server's log go to a file."""
    running: list[subprocess.Popen[str]] = []

    def command(*arguments: object, ports: list[int] | None = None) -> subprocess.Popen[str]:
        numbers = ports or free_ports("127.0.0.1", 4)
        names = ("--http-port", "--grpc-port", "--metrics-port", "--health-port")
        options = [f"{name}={port}" for name, port in zip(names, numbers, strict=True)]
        with (tmp_path / "log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [PROGRAM, "serve", *map(str, arguments), *options],
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            )
        return running[-1]

    yield command
    for process in running:
        assert process.stdout is not None
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def _server_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Process id of the tritonserver that a `photoreal serve` runs, and its memory's prefix."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            arguments = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            prefixes = [one.partition(PREFIX)[2] for one in arguments if PREFIX in one]
            if prefixes:
                return int(child), prefixes[0]
        time.sleep(0.02)
    raise AssertionError("no tritonserver was started")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_told_to_stop(
    start: Start,
    bare_repository: Path,
    tmp_path: Path,
    session_processes: Callable[[int], set[int]],
    number: signal.Signals,
) -> None:
    ports = free_ports("127.0.0.1", 4)
    process = start("--repository", bare_repository, ports=ports)
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(6)]
    http, grpc, metrics, health = (f"127.0.0.1:{port}" for port in ports)
    assert [line.split() for line in printed] == [
        ["Ready."],
        ["HTTP", http],
        ["gRPC", grpc],
        ["metrics", f"http://{metrics}/metrics"],
        ["health", f"http://{health}/ready"],
        ["Ctrl-C", "stops", "the", "server."],
    ]
    addresses: dict[Protocol, str] = {"http": http, "grpc": grpc}
    for protocol, url in addresses.items():
        with StyleTransferClient(url, protocol=protocol) as client:
            assert client.ready()
    server, prefix = _server_of(process)
    assert len(session_processes(server)) == 4  # the server, stylize, wct2 and cancel
    assert prefix.startswith("photoreal_")
    assert list(SHARED_MEMORY.glob(f"{prefix}*"))
    process.send_signal(number)
    assert process.wait(30) == 0
    assert session_processes(server) == set()
    assert list(SHARED_MEMORY.glob(f"{prefix}*")) == []
    log = (tmp_path / "log").read_text()
    assert log.endswith("Stopped.\n")
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_it_starts(
    start: Start,
    bare_repository: Path,
    tmp_path: Path,
    session_processes: Callable[[int], set[int]],
    number: signal.Signals,
) -> None:
    process = start("--repository", bare_repository)
    server, prefix = _server_of(process)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert session_processes(server) == set()
    assert list(SHARED_MEMORY.glob(f"{prefix}*")) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_server_that_dies_ends_the_command_that_may_not_restart_it(
    start: Start,
    bare_repository: Path,
    tmp_path: Path,
    session_processes: Callable[[int], set[int]],
) -> None:
    process = start("--repository", bare_repository, "--restart-limit", 0)
    assert process.stdout is not None
    assert process.stdout.readline() == "Ready.\n"
    server, prefix = _server_of(process)
    subprocess.run(["kill", "-KILL", str(server)], check=True)
    assert process.wait(30) == 1
    # As a child that has ended or as a process that is dead, whichever is seen first.
    told = rf"It exited unexpectedly \(exit code -9\)\.|Process {server} has died\."
    assert re.search(told, (tmp_path / "log").read_text())
    assert session_processes(server) == set()
    assert list(SHARED_MEMORY.glob(f"{prefix}*")) == []


@pytest.mark.parametrize("taken", ["http", "grpc", "metrics", "health"])
def test_port_that_is_taken(
    start: Start, bare_repository: Path, tmp_path: Path, taken: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        names = ("http", "grpc", "metrics", "health")
        ports = dict(zip(names, free_ports("127.0.0.1", 4), strict=True))
        ports[taken] = port
        process = start("--repository", bare_repository, ports=list(ports.values()))
        assert process.wait(60) == 1
    log = (tmp_path / "log").read_text()
    assert f"The {taken} port {port} on 127.0.0.1 cannot be used" in log
    assert f"--{taken}-port" in log
    assert "Traceback" not in log


def test_repository_that_is_missing(start: Start, tmp_path: Path) -> None:
    process = start("--repository", "nowhere")
    assert process.wait(60) == 1
    log = (tmp_path / "log").read_text()
    assert "There is no model repository in nowhere; create one with: photoreal export" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("asked_by", ["option", "config"])
def test_bls_engine_without_its_models(
    start: Start, bare_repository: Path, tmp_path: Path, asked_by: str
) -> None:
    options: tuple[object, ...] = ("--repository", bare_repository, "--engine", "bls")
    if asked_by == "config":
        copy = tmp_path / "repository"
        shutil.copytree(bare_repository, copy)
        config = copy / "wct2" / "config.pbtxt"
        text = config.read_text()
        assert '"local"' in text
        config.write_text(text.replace('"local"', '"bls"'))
        options = ("--repository", copy)
    process = start(*options)
    assert process.wait(60) == 1
    log = (tmp_path / "log").read_text()
    assert "wct2_encoder_1" in log
    assert "export them with: photoreal export" in log
    assert "Traceback" not in log

"""Starting, awaiting and stopping a server, on a stand-in for tritonserver."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from photoreal.errors import ServeError
from photoreal.serve.canary import canary
from photoreal.serve.canceled import CANCELED_VARIABLE
from photoreal.serve.environment import free_ports
from photoreal.serve.launcher import Server
from photoreal.serve.settings import ServeSettings, command_line

Script = Callable[[str], None]
BINARY, BACKENDS = Path("/opt/tritonserver"), Path("/tmp/backends")  # noqa: S108


def _settled(pid: int) -> psutil.Process:
    """The process, once the system tells of its command and its environment."""
    process = psutil.Process(pid)
    deadline = time.monotonic() + 10
    while not (process.cmdline() and process.environ()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


@pytest.mark.usefixtures("ready")
def test_a_server_runs_until_it_is_stopped(settings: ServeSettings, temporary: Path) -> None:
    leftover = Path("/dev/shm") / f"{settings.shm_prefix}region"  # noqa: S108
    with Server(settings) as server:
        process = _settled(server.pid)
        assert server.poll() is None
        assert (
            process.cmdline()[2:]
            == command_line(
                settings,
                BINARY,
                next(temporary.iterdir()) / "backends",
                ["stylize", "wct2", "cancel"],
            )[1:]
        )
        assert process.environ()["PHOTOREAL_ENGINE"] == "local"
        # Keys of canceled requests go with the server's folder, however it ends.
        canceled = Path(process.environ()[CANCELED_VARIABLE])
        assert canceled.parent == next(temporary.iterdir())
        assert os.getsid(server.pid) == server.pid  # out of reach of Ctrl-C
        leftover.touch()
    assert not process.is_running()
    assert not leftover.exists()
    assert not list(temporary.iterdir())
    server.stop()  # once more does no harm
    with pytest.raises(ServeError, match="not running"):
        _ = server.pid


@pytest.mark.usefixtures("ready")
def test_without_an_engine_the_config_decides(repository: Path) -> None:
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(repository, None, "127.0.0.1", http, grpc, metrics)
    with Server(settings) as server:
        assert "PHOTOREAL_ENGINE" not in _settled(server.pid).environ()


@pytest.mark.usefixtures("ready")
def test_helpers_that_outlive_the_server_are_ended(settings: ServeSettings, script: Script) -> None:
    script(f"{sys.executable} -c 'import time; time.sleep(60)' &\nsleep 60")
    with Server(settings) as server:
        deadline = time.monotonic() + 10
        children: list[psutil.Process] = []
        while len(children) < 2 and time.monotonic() < deadline:
            children = psutil.Process(server.pid).children(recursive=True)
            time.sleep(0.02)
        assert len(children) == 2
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert len(gone) == 2
    assert not alive


def test_a_server_that_stops_while_starting_is_reported(
    ready: Callable[[bool], None], settings: ServeSettings, script: Script, temporary: Path
) -> None:
    ready(False)
    script("exit 3")
    with pytest.raises(ServeError, match=r"stopped while starting \(exit code 3\)"):
        Server(settings).__enter__()
    assert not list(temporary.iterdir())


def test_a_server_that_is_never_ready_is_reported(
    ready: Callable[[bool], None], settings: ServeSettings
) -> None:
    ready(False)
    server = Server(settings)
    server.start()
    try:
        with pytest.raises(ServeError, match="not ready within 1 s"):
            server.wait_ready(timeout_s=0.6)
    finally:
        server.stop()


def test_nobody_there_is_not_ready() -> None:
    (port,) = free_ports("127.0.0.1", 1)
    assert not canary(f"127.0.0.1:{port}", 1.0)


@pytest.mark.usefixtures("ready")
def test_a_server_that_ends_by_itself_can_be_waited_for(
    settings: ServeSettings, script: Script
) -> None:
    script("sleep 0.2; exit 5")
    with Server(settings) as server:
        assert server.wait() == 5
        assert server.poll() == 5


@pytest.mark.usefixtures("ready")
def test_nothing_is_started_in_vain(settings: ServeSettings, temporary: Path) -> None:
    taken = ServeSettings(settings.repository, http_port=8000, grpc_port=8000)
    with pytest.raises(ServeError, match="not all different"):
        Server(taken).__enter__()
    with pytest.raises(ServeError, match="no model repository"):
        Server(ServeSettings(temporary)).__enter__()
    assert not list(temporary.iterdir())

"""A server of one's own, on a stand-in for tritonserver."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch import launcher
from photoreal.serve.launch.embedded import embedded_server

Script = Callable[[str], None]


@pytest.mark.usefixtures("ready")
def test_an_embedded_server_leaves_nothing_behind(repository: Path, temporary: Path) -> None:
    with embedded_server(repository) as server:
        assert psutil.pid_exists(server.pid)
        ports = server.settings.ports()
        assert len(set(ports.values())) == 3
        assert [path.suffix for path in sorted(temporary.glob("*.log"))] == [".log"]
    assert not list(temporary.iterdir())


@pytest.mark.usefixtures("ready")
def test_the_log_of_an_embedded_server_that_cannot_start_is_kept(
    repository: Path, script: Script, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "canary", lambda url, timeout, key: False)
    script("echo the reason; exit 1")
    with (
        pytest.raises(ServeError, match=r"exit code 1.* The log is in .*\.log") as no,
        embedded_server(repository),
    ):
        pass
    (log,) = temporary.iterdir()
    assert str(log) in str(no.value)
    assert log.read_text() == "the reason\n"


@pytest.mark.usefixtures("ready")
def test_an_error_of_the_caller_ends_an_embedded_server(repository: Path, temporary: Path) -> None:
    class Mistake(Exception):
        """Something that goes wrong while the server runs."""

    def use() -> None:
        with embedded_server(repository) as server:
            os.kill(server.pid, signal.SIGCONT)
            raise Mistake

    with pytest.raises(Mistake):
        use()
    assert not list(temporary.iterdir())

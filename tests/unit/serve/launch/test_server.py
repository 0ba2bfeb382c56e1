"""Starting, awaiting and stopping a server, on a stand-in for tritonserver."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.export.configs import ExportTarget, model_configs
from photoreal.serve.backend.canceled import CANCELED_VARIABLE
from photoreal.serve.launch import hidden_arguments, launcher
from photoreal.serve.launch.canaries import canary
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import VISIBLE_KEYS, Server
from photoreal.serve.launch.security import Security
from photoreal.serve.launch.settings import ServeSettings, command_line, hide_keys

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
        folder = next(temporary.iterdir())
        served = replace(settings, repository=folder / "repository")
        models = ["stylize", "wct2", "cancel"]
        command = command_line(served, BINARY, folder / "backends", models)
        assert process.cmdline()[2:] == hide_keys(command)[1:]
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
@pytest.mark.parametrize("gpu", [None, 3])
def test_the_server_sees_the_gpu_that_was_chosen(
    gpu: int | None, settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    with Server(replace(settings, gpu=gpu)) as server:
        found = _settled(server.pid).environ()
    assert found["CUDA_VISIBLE_DEVICES"] == ("1,2" if gpu is None else "3")
    if gpu is not None:  # otherwise CUDA counts the fastest first, and nvidia-smi does not
        assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.usefixtures("ready")
def test_models_learn_what_the_engines_serve(
    settings: ServeSettings, export: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in model_configs(
        target=ExportTarget(gpu=True, tensorrt=True, max_side=640)
    ).items():
        (settings.repository / name / "config.pbtxt").write_text(text)
    export(*(spec.name for spec in contract.network_levels()), kind="plan")
    monkeypatch.setattr(launcher, "check_gpu", lambda models: None)
    monkeypatch.setattr(launcher, "check_backends", lambda triton, backends: None)
    with Server(replace(settings, engine=None)) as server:
        assert _settled(server.pid).environ()["PHOTOREAL_MAX_SIDE"] == "640"
    with Server(settings) as server:  # the local engine has no engines
        assert _settled(server.pid).environ()["PHOTOREAL_MAX_SIDE"] == "0"


@pytest.mark.usefixtures("ready")
def test_the_server_gets_its_keys_and_the_process_list_does_not(
    settings: ServeSettings, script: Script, tmp_path: Path
) -> None:
    script(f'printf "%s\\n" "$@" >"{tmp_path}/given"\nexec sleep 60')
    secured = replace(settings, security=Security("an-api-key-of-these-tests"))
    keys = {secured.admin_key, "an-api-key-of-these-tests"}
    with Server(secured) as server:
        process = _settled(server.pid)
        deadline = time.monotonic() + 10
        while (given := _text(tmp_path / "given")).count("-key=") != 4:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert all(given.count(f"-key={key}\n") == 2 for key in keys)
        shown = " ".join(process.cmdline())
        assert not [key for key in keys if key in shown]


@pytest.mark.usefixtures("ready")
def test_keys_that_cannot_be_hidden_are_said_to_be_visible(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hidden_arguments, "_HOLD", "import os; os._exit(97)")
    with Server(settings):
        assert [one.getMessage() for one in caplog.records] == [VISIBLE_KEYS]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


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
    with pytest.raises(ServeError, match=r"exited during startup \(exit code 3\)"):
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

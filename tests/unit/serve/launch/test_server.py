"""Starting, awaiting and stopping a server, on a stand-in for tritonserver."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from photoreal.errors import ServeError
from photoreal.export.configs import ExportTarget
from photoreal.serve.backend.canceled import CANCELED_VARIABLE
from photoreal.serve.launch import hidden_arguments, launcher
from photoreal.serve.launch.canaries import canary
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import VISIBLE_KEYS, Server
from photoreal.serve.launch.settings import ServeSettings, command_line, hide_keys
from tests.shared import wait_until

from .conftest import ALWAYS, LEVELS

pytestmark = pytest.mark.slow

BINARY = Path("/opt/tritonserver")


def _started(server):
    """The server's process, once the system shows its command and environment."""
    process = psutil.Process(server.pid)
    wait_until(lambda: process.cmdline() and process.environ())
    return process


@pytest.mark.usefixtures("ready")
def test_a_server_runs_until_it_is_stopped(settings, temporary):
    leftover = Path("/dev/shm") / f"{settings.shm_prefix}region"  # noqa: S108
    with Server(settings) as server:
        process = _started(server)
        assert server.poll() is None
        (folder,) = temporary.iterdir()
        served = replace(settings, repository=folder / "repository")
        command = command_line(served, BINARY, folder / "backends", ALWAYS)
        assert process.cmdline()[2:] == hide_keys(command)[1:]
        assert process.environ()["PHOTOREAL_ENGINE"] == "local"
        # Keys of canceled requests go with the server's folder, however it ends.
        assert Path(process.environ()[CANCELED_VARIABLE]).parent == folder
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
def test_the_server_sees_the_gpu_and_engine_that_were_chosen(gpu, settings, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    with Server(replace(settings, gpu=gpu, engine=None)) as server:
        found = _started(server).environ()
    assert "PHOTOREAL_ENGINE" not in found  # the config decides
    assert found["CUDA_VISIBLE_DEVICES"] == ("1,2" if gpu is None else "3")
    if gpu is not None:  # otherwise CUDA counts the fastest first, and nvidia-smi does not
        assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.usefixtures("ready")
def test_models_learn_what_the_engines_serve(settings, configure, export, monkeypatch):
    configure("cat5", ExportTarget(gpu=True, tensorrt=True, max_side=640))
    export(*LEVELS, kind="plan")
    monkeypatch.setattr(launcher, "check_gpu", lambda models: None)
    monkeypatch.setattr(launcher, "check_backends", lambda triton, backends: None)
    for engine, side in ((None, "640"), ("local", "0")):  # the local engine has no engines
        with Server(replace(settings, engine=engine)) as server:
            assert _started(server).environ()["PHOTOREAL_MAX_SIDE"] == side


@pytest.mark.usefixtures("ready")
def test_keys_that_cannot_be_hidden_are_said_to_be_visible(settings, monkeypatch, caplog):
    monkeypatch.setattr(hidden_arguments, "_HOLD", "import os; os._exit(97)")
    with Server(settings):
        assert [one.getMessage() for one in caplog.records] == [VISIBLE_KEYS]


@pytest.mark.usefixtures("ready")
def test_processes_that_outlive_the_server_are_ended(settings, script):
    script(f"{sys.executable} -c 'import time; time.sleep(60)' &\nsleep 60")
    with Server(settings) as server:
        process = psutil.Process(server.pid)
        wait_until(lambda: len(process.children()) == 2)
        children = process.children(recursive=True)
    assert len(psutil.wait_procs(children, timeout=5)[0]) == 2


def test_a_server_that_stops_while_starting_is_reported(ready, settings, script, temporary):
    ready(False)
    script("exit 3")
    with pytest.raises(ServeError, match="exit code 3"):
        Server(settings).__enter__()
    assert not list(temporary.iterdir())


def test_a_server_that_is_never_ready_is_reported(ready, settings):
    ready(False)
    server = Server(settings)
    server.start()
    try:
        with pytest.raises(ServeError, match="not ready within 1 s"):
            server.wait_ready(timeout_s=0.6)
    finally:
        server.stop()
    (port,) = free_ports("127.0.0.1", 1)
    assert not canary(f"127.0.0.1:{port}", 1.0)  # where nothing listens, nothing is ready


@pytest.mark.usefixtures("ready")
def test_a_server_that_ends_can_be_waited_for(settings, script):
    script("sleep 0.2; exit 5")
    with Server(settings) as server:
        assert server.wait() == 5
        assert server.poll() == 5


@pytest.mark.usefixtures("ready")
def test_nothing_is_started_for_settings_that_cannot_work(settings, temporary):
    taken = ServeSettings(settings.repository, http_port=8000, grpc_port=8000)
    for wrong, words in ((taken, "8000"), (ServeSettings(temporary), "no model repository")):
        with pytest.raises(ServeError, match=words):
            Server(wrong).__enter__()
    assert not list(temporary.iterdir())

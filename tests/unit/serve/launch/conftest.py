"""A repository, and a stand-in for the wheel's tritonserver."""

import tempfile

import psutil
import pytest

from photoreal import contract
from photoreal.export.configs import model_configs
from photoreal.serve.launch import launcher
from photoreal.serve.launch.environment import Wheel, free_ports
from photoreal.serve.launch.settings import ServeSettings

LEVELS = [spec.name for spec in contract.network_levels()]
ALWAYS = ["stylize", "wct2", "cancel"]
KEY = "a-key-of-these-tests"


@pytest.fixture(autouse=True)
def _no_engine_from_outside(monkeypatch):
    monkeypatch.delenv(contract.ENGINE_VARIABLE, raising=False)


@pytest.fixture
def configure(tmp_path):
    """Writes the configs of an export into the repository."""

    def write(*arguments):
        for name, text in model_configs(*arguments).items():
            (tmp_path / "repository" / name / "1").mkdir(parents=True, exist_ok=True)
            (tmp_path / "repository" / name / "config.pbtxt").write_text(text)

    return write


@pytest.fixture
def repository(tmp_path, configure):
    """A repository with every config and no network exported."""
    configure()
    return tmp_path / "repository"


@pytest.fixture
def export(repository):
    """Puts files in the place of exported models, as ONNX or as a plan."""

    def touch(*names, kind="onnx"):
        for name in names:
            (repository / name / "1" / f"model.{kind}").touch()

    return touch


@pytest.fixture
def wheel(tmp_path):
    """Folders like the wheel's."""
    folder = tmp_path / "wheel"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    (backend / "libtriton_python.so").write_text("library")
    (backend / "triton_python_backend_utils.py").write_text("utils")
    (backend / "__pycache__").mkdir()
    stub = folder / "stubs" / "triton_python_backend_stub"
    stub.parent.mkdir()
    stub.write_text("stub")
    return Wheel(folder / "tritonserver", backend, stub, folder / "libs")


@pytest.fixture
def script(wheel):
    """Writes the stand-in for tritonserver, which answers nothing and runs until it is ended."""

    def write(text):
        wheel.binary.write_text(f"#!/bin/sh\n{text}\n")
        wheel.binary.chmod(0o755)

    write("while true; do sleep 0.05; done")
    return write


@pytest.fixture
def settings(repository):
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    return ServeSettings(repository, "local", "127.0.0.1", http, grpc, metrics)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder that temporary files of this test go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def ready(wheel, script, temporary, monkeypatch):
    """Makes the stand-in the server of this machine, and says whether it counts as ready."""

    def set_ready(answer):
        monkeypatch.setattr(launcher, "canary", lambda url, timeout, key: answer)

    monkeypatch.setattr(launcher, "check_environment", lambda: wheel)
    set_ready(True)
    before = set(psutil.Process().children(recursive=True))
    yield set_ready
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [child for child in left if child.is_running()]

"""What the server needs of a machine, and the sentences when it is not there."""

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from photoreal.contract import BLAS_THREADS_VARIABLE
from photoreal.errors import ServeError
from photoreal.serve.launch import environment
from photoreal.serve.launch.environment import (
    Installation,
    check_environment,
    check_numpy,
    check_platform,
    check_ports,
    free_ports,
    server_environment,
)

PROGRAMS = Path(sys.executable).parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HOST = "127.0.0.1"


@pytest.fixture
def taken():
    """A port that something listens on."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def hide(monkeypatch):
    """Makes a package look as if it were missing, or lay elsewhere."""
    find = importlib.util.find_spec

    def replace(package, spec=None):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: spec if name == package else find(name)
        )

    return replace


def test_this_machine_has_everything():
    wheel = check_environment()
    assert os.access(wheel.binary, os.X_OK)
    assert os.access(wheel.stub, os.X_OK)
    assert any(wheel.python_backend.iterdir())
    assert any(wheel.libraries.iterdir())
    assert wheel.stub.parent.name == PYTHON


@pytest.mark.parametrize(
    ("system", "machine"),
    [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64"), ("darwin", "x86_64")],
)
def test_other_platforms_are_sent_to_the_container(system, machine, monkeypatch):
    check_platform("linux", "x86_64")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ServeError, match=f"{system} on {machine}; .*container"):
        check_environment()


@pytest.mark.parametrize("version", ["2.0.0", "2.3.1", "10.0.0rc1"])
def test_numpy_2_is_refused(version, monkeypatch):
    check_numpy("1.26.4")
    monkeypatch.setattr(importlib.metadata, "version", lambda package: version)
    with pytest.raises(ServeError, match=rf"numpy {version} .*'numpy<2'"):
        check_environment()


@pytest.mark.parametrize("package", ["torch", "onnxruntime", "pytriton"])
def test_a_missing_package_is_named(package, hide):
    hide(package)
    with pytest.raises(ServeError, match=rf"{package} is missing; .*photoreal\[serve\]"):
        check_environment()


def test_a_wheel_without_a_stub_for_this_python_is_refused(hide, tmp_path):
    spec = ModuleSpec("pytriton", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "pytriton")]
    hide("pytriton", spec)
    with pytest.raises(ServeError, match=f"Python {PYTHON}; use Python 3.11 or 3.12"):
        check_environment()
    stub = tmp_path / "pytriton" / "tritonserver" / "python_backend_stubs" / PYTHON
    stub.mkdir(parents=True)
    (stub / "triton_python_backend_stub").touch()
    assert check_environment().stub.parent == stub


def test_a_missing_libpython_is_named(monkeypatch):
    exists = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda self: not self.name.startswith("libpython") and exists(self)
    )
    with pytest.raises(ServeError, match=r"libpython3\.\d+\.so\.1\.0 .*apt-get"):
        check_environment()


@pytest.mark.parametrize("name", ["http", "grpc", "metrics"])
def test_a_taken_port_is_named_with_its_option(name, taken):
    ports = dict(zip(("http", "grpc", "metrics"), free_ports(HOST, 3), strict=True))
    assert len(set(ports.values())) == 3
    check_ports(HOST, ports)
    ports[name] = taken
    with pytest.raises(ServeError, match=rf"{name} port {taken} on {HOST} .*--{name}-port"):
        check_ports(HOST, ports)
    with pytest.raises(ServeError, match=str(taken)):
        check_ports("0.0.0.0", {"http": taken})  # noqa: S104


@pytest.mark.parametrize(
    ("host", "ports", "words"),
    [
        (HOST, {"http": 8000, "grpc": 8001, "metrics": 8000}, "http 8000.* metrics 8000"),
        *((HOST, {"grpc": port}, f"grpc port .*{port}.*1 to 65535") for port in (-1, 0, 65536)),
        *((host, {"http": 8000}, f"on {host}") for host in ("192.0.2.1", "2001:db8::1")),
    ],
)
def test_ports_that_cannot_be_used(host, ports, words):
    with pytest.raises(ServeError, match=words):
        check_ports(host, ports)


@pytest.mark.parametrize("given", ["", "/usr/local/nvidia/lib"])
def test_the_system_s_libraries_do_not_come_before_those_of_pytorch(
    given, wheel, tmp_path, monkeypatch
):
    """NVIDIA's image has libpython and another cuDNN in one folder."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    system = Path("/usr/lib") / multiarch
    monkeypatch.setattr(environment, "_find_libpython", lambda: system)
    monkeypatch.setenv("LD_LIBRARY_PATH", given)
    image = Installation(tmp_path / "tritonserver", tmp_path / "backends")
    assert server_environment(image, tmp_path, {})["LD_LIBRARY_PATH"] == given
    found = server_environment(wheel, tmp_path, {})["LD_LIBRARY_PATH"].split(os.pathsep)
    assert str(system) not in found


def test_server_finds_this_python_and_its_libraries(wheel, tmp_path, monkeypatch):
    (tmp_path / "libpython3.99.so.1.0").touch()
    monkeypatch.setattr(environment, "_find_libpython", lambda: tmp_path)
    monkeypatch.setenv("PATH", "/some/bin")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/some/lib")
    monkeypatch.setenv("OF_THE_USER", "kept")
    monkeypatch.delenv(BLAS_THREADS_VARIABLE, raising=False)
    found = server_environment(wheel, PROGRAMS, {"PHOTOREAL_ENGINE": "bls"})
    assert found["PATH"] == f"{PROGRAMS}{os.pathsep}/some/bin"
    libraries = [str(wheel.libraries), str(tmp_path), "/some/lib"]
    assert found["LD_LIBRARY_PATH"].split(os.pathsep) == libraries
    assert (found["OF_THE_USER"], found["PHOTOREAL_ENGINE"]) == ("kept", "bls")
    assert found[BLAS_THREADS_VARIABLE] == "1"  # what lets stylize work beside the segmenter
    monkeypatch.delenv("LD_LIBRARY_PATH")
    found = server_environment(wheel, PROGRAMS, {})
    assert found["LD_LIBRARY_PATH"].split(os.pathsep) == libraries[:2]


def test_the_user_s_own_tunables_come_first(wheel, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert "hugetlb" in server_environment(wheel, PROGRAMS, {})["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    found = server_environment(wheel, PROGRAMS, {})["GLIBC_TUNABLES"]
    assert found == "glibc.malloc.check=1"

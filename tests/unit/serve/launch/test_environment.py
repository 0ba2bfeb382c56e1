"""What the server needs of a machine, and the sentences when it is not there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch import environment
from photoreal.serve.launch.environment import (
    Installation,
    Wheel,
    check_environment,
    check_numpy,
    check_platform,
    check_ports,
    free_ports,
    server_environment,
)

PROGRAMS = Path(sys.executable).parent
HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes packages look as if they were missing, or lay elsewhere."""
    find = importlib.util.find_spec

    def replace(package: str, spec: ModuleSpec | None = None) -> None:
        def find_spec(name: str, *rest: Any) -> ModuleSpec | None:
            return spec if name == package else find(name, *rest)

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return replace


def _wheel(folder: Path) -> Wheel:
    return Wheel(folder / "tritonserver", folder / "python", folder / "stub", folder / "libs")


def test_this_machine_has_everything() -> None:
    wheel = check_environment()
    assert os.access(wheel.binary, os.X_OK)
    assert os.access(wheel.stub, os.X_OK)
    assert any(wheel.python_backend.iterdir())
    assert any(wheel.libraries.iterdir())
    assert wheel.stub.parent.name == f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize(
    ("system", "machine"),
    [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64"), ("darwin", "x86_64")],
)
def test_other_platforms_are_sent_to_the_container(
    system: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_platform("linux", "x86_64")
    with pytest.raises(ServeError, match=f"this is {system} on {machine}; .*container"):
        check_platform(system, machine)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ServeError, match="container"):
        check_environment()


@pytest.mark.parametrize("version", ["2.0.0", "2.3.1", "10.0.0rc1"])
def test_numpy_2_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_numpy("1.26.4")
    with pytest.raises(ServeError, match=rf"numpy {version} .*pip install 'numpy<2'"):
        check_numpy(version)
    monkeypatch.setattr(importlib.metadata, "version", lambda package: version)
    with pytest.raises(ServeError, match="outputs would be empty"):
        check_environment()


@pytest.mark.parametrize("package", ["torch", "onnxruntime", "pytriton"])
def test_a_missing_package_is_named(package: str, hide: Callable[..., None]) -> None:
    hide(package)
    with pytest.raises(ServeError, match=rf"{package} is missing; .*photoreal\[serve\]"):
        check_environment()


def test_a_wheel_without_a_stub_for_this_python_is_refused(
    hide: Callable[..., None], tmp_path: Path
) -> None:
    spec = ModuleSpec("pytriton", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "pytriton")]
    hide("pytriton", spec)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(ServeError, match=f"Python {version}; use Python 3.11 or 3.12"):
        check_environment()
    stub = tmp_path / "pytriton" / "tritonserver" / "python_backend_stubs" / version
    stub.mkdir(parents=True)
    (stub / "triton_python_backend_stub").touch()
    assert check_environment().stub.parent == stub


def test_a_missing_libpython_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda self: not self.name.startswith("libpython") and exists(self)
    )
    with pytest.raises(ServeError, match=r"libpython3\.\d+\.so\.1\.0 was not found; .*apt-get"):
        check_environment()


def test_free_ports_can_be_used() -> None:
    http, grpc, metrics = free_ports(HOST, 3)
    check_ports(HOST, {"http": http, "grpc": grpc, "metrics": metrics})
    assert len({http, grpc, metrics}) == 3


@pytest.mark.parametrize("name", ["http", "grpc", "metrics"])
def test_a_taken_port_is_named_with_its_option(name: str, taken: int) -> None:
    ports = dict(zip(("http", "grpc", "metrics"), free_ports(HOST, 3), strict=True))
    ports[name] = taken
    with pytest.raises(ServeError, match=rf"{name} port {taken} on {HOST} .*in use.*--{name}-port"):
        check_ports(HOST, ports)


def test_a_port_of_every_address_is_taken_too(taken: int) -> None:
    with pytest.raises(ServeError, match="cannot be used"):
        check_ports("0.0.0.0", {"http": taken})  # noqa: S104


def test_doubly_used_ports_are_refused() -> None:
    with pytest.raises(ServeError, match="http 8000, grpc 8001, metrics 8000 are not all diff"):
        check_ports(HOST, {"http": 8000, "grpc": 8001, "metrics": 8000})


@pytest.mark.parametrize("port", [-1, 0, 65536, 100_000])
def test_ports_that_do_not_exist_are_refused(port: int) -> None:
    with pytest.raises(ServeError, match=f"grpc port is {port}; expected 1 to 65535"):
        check_ports(HOST, {"grpc": port})


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ServeError, match=f"on {host} cannot be used"):
        check_ports(host, {"http": free_ports(HOST, 1)[0]})


@pytest.mark.parametrize("given", ["", "/usr/local/nvidia/lib"])
def test_the_system_s_libraries_do_not_come_before_those_of_pytorch(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVIDIA's image has libpython and another cuDNN in one folder."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    system = Path("/usr/lib") / multiarch
    monkeypatch.setattr(environment, "_find_libpython", lambda: system)
    monkeypatch.setenv("LD_LIBRARY_PATH", given)
    image = Installation(tmp_path / "tritonserver", tmp_path / "backends")
    assert server_environment(image, tmp_path, {})["LD_LIBRARY_PATH"] == given
    wheel = server_environment(_wheel(tmp_path), tmp_path, {})["LD_LIBRARY_PATH"].split(os.pathsep)
    assert str(system) not in wheel


def test_server_finds_this_python_and_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.mkdir()
    (python / "libpython3.99.so.1.0").touch()
    monkeypatch.setattr(environment, "_find_libpython", lambda: python)
    monkeypatch.setenv("PATH", "/some/bin")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/some/lib")
    monkeypatch.setenv("OF_THE_USER", "kept")
    found = server_environment(_wheel(tmp_path), PROGRAMS, {"PHOTOREAL_ENGINE": "bls"})
    assert found["PATH"] == f"{PROGRAMS}{os.pathsep}/some/bin"
    libraries = found["LD_LIBRARY_PATH"].split(os.pathsep)
    assert libraries[0] == str(tmp_path / "libs")
    assert list(Path(libraries[1]).glob("libpython3*.so.1.0"))
    assert libraries[2:] == ["/some/lib"]
    assert found["OF_THE_USER"] == "kept"
    assert found["PHOTOREAL_ENGINE"] == "bls"
    monkeypatch.delenv("LD_LIBRARY_PATH")
    assert not server_environment(_wheel(tmp_path), PROGRAMS, {})["LD_LIBRARY_PATH"].endswith(
        os.pathsep
    )


def test_the_user_s_own_tunables_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert "hugetlb" in server_environment(_wheel(tmp_path), PROGRAMS, {})["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    found = environment.server_environment(_wheel(tmp_path), PROGRAMS, {})
    assert found["GLIBC_TUNABLES"] == "glibc.malloc.check=1"

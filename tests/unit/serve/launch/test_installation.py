"""A Triton that is installed as a folder, and the sentences when it does not fit."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch import environment
from photoreal.serve.launch.environment import Installation, check_environment, server_environment
from photoreal.serve.launch.installation import check_backends, find_installation


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The folders of an installed Triton around the wheel's real stub."""
    folder = tmp_path / "tritonserver"
    (folder / "bin").mkdir(parents=True)
    (folder / "backends" / "python").mkdir(parents=True)
    wheel = check_environment()
    (folder / "bin" / "tritonserver").symlink_to(wheel.binary)
    shutil.copy(wheel.stub, folder / "backends" / "python")
    return folder


def _stub(tree: Path) -> Path:
    return tree / "backends" / "python" / "triton_python_backend_stub"


def test_its_parts_are_found(tree: Path) -> None:
    binary = tree / "bin" / "tritonserver"
    assert find_installation(tree) == Installation(binary, tree / "backends")


def test_its_image_s_libraries_come_first(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those for a CUDA newer than the driver must not lie behind the driver's own."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/cuda/compat/lib:/opt/other")
    monkeypatch.setattr(environment, "_find_libpython", lambda: Path("/opt/python/lib"))
    found = server_environment(find_installation(tree), tree, {})["LD_LIBRARY_PATH"].split(":")
    assert found == ["/usr/local/cuda/compat/lib", "/opt/other", "/opt/python/lib"]


def _empty(tree: Path) -> None:
    shutil.rmtree(tree)


def _without_stub(tree: Path) -> None:
    _stub(tree).unlink()


def _not_executable(tree: Path) -> None:
    _stub(tree).chmod(0o644)


@pytest.mark.parametrize(
    ("spoil", "missing"),
    [
        (_empty, "bin/tritonserver is missing"),
        (_without_stub, "backends/python/triton_python_backend_stub is missing"),
        (_not_executable, "triton_python_backend_stub is missing or not executable"),
    ],
)
def test_a_folder_without_triton_is_refused(
    spoil: Callable[[Path], None], missing: str, tree: Path
) -> None:
    spoil(tree)
    with pytest.raises(ServeError, match=f"no Triton in .*: .*{missing}"):
        find_installation(tree)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
def test_a_backend_for_another_python_is_refused(version: str, tree: Path) -> None:
    """Seen by the stubs that the wheel has for several versions."""
    stubs = check_environment().stub.parents[1]
    shutil.copy(stubs / version / "triton_python_backend_stub", _stub(tree))
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version == ours:
        find_installation(tree)
        return
    with pytest.raises(ServeError, match=rf"runs Python {version}, but this is Python {ours};"):
        find_installation(tree)


def test_a_stub_that_names_no_python_is_refused(tree: Path) -> None:
    _stub(tree).write_bytes(b"no program of Triton's")
    with pytest.raises(ServeError, match="runs an unknown Python, but this is"):
        find_installation(tree)


def test_only_the_runtime_is_needed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    hidden = ["pytriton", "onnxruntime"]
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in hidden else find(name)
    )
    find_installation(tree)
    hidden.append("torch")
    with pytest.raises(ServeError, match=r"torch is missing; .*photoreal\[runtime\]"):
        find_installation(tree)


def test_a_backend_that_is_not_installed_is_named(tree: Path) -> None:
    installation = find_installation(tree)
    check_backends(installation, {"stylize": "python"})
    with pytest.raises(
        ServeError, match="model segmenter requires the backend onnxruntime, which this"
    ):
        check_backends(installation, {"stylize": "python", "segmenter": "onnxruntime"})

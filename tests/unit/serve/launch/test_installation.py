"""A Triton that is installed as a folder, and the backends that a server of the wheel gets."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch import environment
from photoreal.serve.launch.environment import Installation, check_environment, server_environment
from photoreal.serve.launch.installation import assemble_backends, find_installation
from photoreal.serve.launch.launcher import Server

from .test_environment import PYTHON

OWN = Path(__file__).parents[4] / "serve" / "backend" / "onnxruntime" / "model.py"


@pytest.fixture
def tree(tmp_path):
    """The folders of an installed Triton around the wheel's real stub."""
    folder = tmp_path / "tritonserver"
    (folder / "bin").mkdir(parents=True)
    (folder / "backends" / "python").mkdir(parents=True)
    wheel = check_environment()
    (folder / "bin" / "tritonserver").symlink_to(wheel.binary)
    shutil.copy(wheel.stub, folder / "backends" / "python")
    return folder


@pytest.fixture
def stub(tree):
    return tree / "backends" / "python" / "triton_python_backend_stub"


def test_its_parts_are_found_and_its_image_s_libraries_come_first(tree, monkeypatch):
    """Those for a CUDA newer than the driver must not lie behind the driver's own."""
    found = find_installation(tree)
    assert found == Installation(tree / "bin" / "tritonserver", tree / "backends")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/cuda/compat/lib:/opt/other")
    monkeypatch.setattr(environment, "_find_libpython", lambda: Path("/opt/python/lib"))
    libraries = server_environment(found, tree, {})["LD_LIBRARY_PATH"].split(":")
    assert libraries == ["/usr/local/cuda/compat/lib", "/opt/other", "/opt/python/lib"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda stub: shutil.rmtree(stub.parents[2]), "bin/tritonserver is missing"),
        (lambda stub: stub.unlink(), "backends/python/triton_python_backend_stub is missing"),
        (lambda stub: stub.chmod(0o644), "triton_python_backend_stub"),
        (lambda stub: stub.write_bytes(b"no program of Triton's"), "Python"),
    ],
)
def test_a_folder_without_triton_is_refused(spoil, words, tree, stub):
    spoil(stub)
    with pytest.raises(ServeError, match=words):
        find_installation(tree)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
def test_a_backend_for_another_python_is_refused(version, tree, stub):
    """Seen by the stubs that the wheel has for several versions."""
    stubs = check_environment().stub.parents[1]
    shutil.copy(stubs / version / "triton_python_backend_stub", stub)
    if version == PYTHON:
        find_installation(tree)
    else:
        with pytest.raises(ServeError, match=rf"Python {version}.* this is Python {PYTHON};"):
            find_installation(tree)


def test_only_the_runtime_is_needed(tree, monkeypatch):
    find, hidden = importlib.util.find_spec, ["pytriton", "onnxruntime"]
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in hidden else find(name)
    )
    find_installation(tree)
    hidden.append("torch")
    with pytest.raises(ServeError, match=r"torch is missing; .*photoreal\[runtime\]"):
        find_installation(tree)


def test_backends_are_the_wheel_s_with_the_right_stub_and_our_own(wheel, tmp_path):
    backends = assemble_backends(wheel, tmp_path / "made")
    assert {path.name for path in backends.iterdir()} == {"python", "onnxruntime"}
    files = (path for path in (backends / "python").iterdir() if path.is_file())
    assert {path.name: path.read_text() for path in files} == {
        "libtriton_python.so": "library",
        "triton_python_backend_utils.py": "utils",
        "triton_python_backend_stub": "stub",
    }
    assert (backends / "python" / "photoreal" / "contract.py").exists()
    own = backends / "onnxruntime" / "model.py"
    assert own.read_text() == OWN.read_text()
    assert own.resolve() == OWN.resolve()


@pytest.mark.usefixtures("ready")
def test_a_backend_that_the_wheel_lacks_is_named(settings):
    config = settings.repository / "wct2" / "config.pbtxt"
    config.write_text(config.read_text().replace('"python"', '"tensorrt"'))
    with pytest.raises(ServeError, match=r"wct2 .* backend tensorrt"):
        Server(settings).__enter__()

"""The backend directory that a server of the wheel gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch import launcher
from photoreal.serve.launch.environment import Wheel, free_ports
from photoreal.serve.launch.installation import assemble_backends
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings


def test_backends_are_the_wheel_s_with_the_right_stub_and_our_own(
    wheel: Wheel, tmp_path: Path
) -> None:
    backends = assemble_backends(wheel, tmp_path / "made")
    assert {path.name for path in backends.iterdir()} == {"python", "onnxruntime"}
    python = {
        path.name: path.read_text() for path in (backends / "python").iterdir() if path.is_file()
    }
    assert python == {
        "libtriton_python.so": "library",
        "triton_python_backend_utils.py": "utils",
        "triton_python_backend_stub": "stub",
    }
    assert (backends / "python" / "photoreal" / "contract.py").exists()
    own = backends / "onnxruntime" / "model.py"
    source = Path(__file__).parents[4] / "serve" / "backend" / "onnxruntime" / "model.py"
    assert own.read_text() == source.read_text()
    assert own.resolve() == source.resolve()


def test_a_backend_that_the_wheel_lacks_is_named(
    wheel: Wheel, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "check_environment", lambda: wheel)
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(repository, http_port=http, grpc_port=grpc, metrics_port=metrics)
    config = repository / "wct2" / "config.pbtxt"
    config.write_text(config.read_text().replace('"python"', '"tensorrt"'))
    with pytest.raises(ServeError, match="model wct2 requires the backend tensorrt, which this"):
        Server(settings).__enter__()

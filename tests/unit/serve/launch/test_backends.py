"""The backend directory that a server of the wheel gets."""

from pathlib import Path

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch.installation import assemble_backends
from photoreal.serve.launch.launcher import Server

OWN = Path(__file__).parents[4] / "serve" / "backend" / "onnxruntime" / "model.py"


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
    with pytest.raises(ServeError, match="wct2 needs the backend tensorrt"):
        Server(settings).__enter__()

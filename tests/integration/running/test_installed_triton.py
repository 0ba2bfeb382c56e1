"""`photoreal serve` in the image, on a Triton laid out as there from the wheel's own parts.

The image's native ONNX Runtime backend is stood in for by the Python one of the same name.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dockerfile_parse import DockerfileParser

from photoreal.client import StyleTransferClient
from photoreal.serve.launch.environment import check_environment, free_ports
from photoreal.serve.launch.installation import BACKENDS, TRITON_VARIABLE
from tests.kinds import PairFiles, TempFolders
from tests.shared import output_of, wait_until

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: TempFolders) -> Path:
    """A folder like the image's /opt/tritonserver."""
    folder = tmp_path_factory.mktemp("opt") / "tritonserver"
    wheel = check_environment()
    (folder / "bin").mkdir(parents=True)
    shutil.copy(wheel.binary, folder / "bin")
    shutil.copytree(wheel.python_backend, folder / "backends" / "python")
    shutil.copy(wheel.stub, folder / "backends" / "python")
    shutil.copytree(BACKENDS / "onnxruntime", folder / "backends" / "onnxruntime")
    return folder


@pytest.fixture(scope="module")
def command(repository: Path) -> list[str]:
    """The image's command, on this machine's repository and ports."""
    instructions = DockerfileParser(str(ROOT / "Dockerfile")).structure
    (line,) = [one["value"] for one in instructions if one["instruction"] == "CMD"]
    program, *arguments = json.loads(line)
    names = ("http", "grpc", "metrics", "health")
    ports = zip(names, free_ports("127.0.0.1", len(names)), strict=True)
    paths = {"/models": str(repository)}
    return [
        str(Path(sys.executable).with_name(program)),
        *(paths.get(one, one) for one in arguments),
        *(f"--{name}-port={port}" for name, port in ports),
    ]


@pytest.fixture(scope="module")
def environment(triton: Path) -> dict[str, str]:
    """The image's environment; the image knows where its libraries lie."""
    libraries = check_environment().libraries
    return {**os.environ, TRITON_VARIABLE: str(triton), "LD_LIBRARY_PATH": str(libraries)}


@pytest.fixture(scope="module")
def served(
    command: list[str], environment: dict[str, str], tmp_path_factory: TempFolders
) -> Iterator[subprocess.Popen[str]]:
    """The image's command, running and ready."""
    log = tmp_path_factory.mktemp("served") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "Ready.\n", log.read_text()
        yield process
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(60) == 0, log.read_text()


def test_a_photo_is_stylized(
    served: subprocess.Popen[str], command: list[str], pair: PairFiles
) -> None:
    port = re.search(r"--http-port=(\d+)", " ".join(command))
    assert port is not None
    with StyleTransferClient(f"localhost:{port[1]}") as client:
        result = client.stylize(**pair("pagoda-dusk"), size=64, output_size=64)
    assert min(result.image.size) == 64
    assert result.report["regions"] == "masks"


def test_what_runs_is_what_is_printed(
    served: subprocess.Popen[str], command: list[str], environment: dict[str, str], triton: Path
) -> None:
    shown = shlex.split(output_of(*command, "--print-command", env=environment))
    running = _command_of_server(served, triton)
    assert shown[0] == str(triton / "bin" / "tritonserver")
    assert f"--backend-directory={triton / 'backends'}" in shown
    # The very same, keys included: the process list shows none.
    assert [_without_names_of_one_run(one) for one in shown] == [
        _without_names_of_one_run(one) for one in running
    ]
    assert len([one for one in running if one.endswith(":admin-key=***")]) == 2


def _command_of_server(process: subprocess.Popen[str], triton: Path) -> list[str]:
    def found() -> list[list[str]]:
        calls = [child.cmdline() for child in psutil.Process(process.pid).children()]
        return [call for call in calls if call[:1] == [str(triton / "bin" / "tritonserver")]]

    return wait_until(found, 10)[0]


def _without_names_of_one_run(argument: str) -> str:
    """Without the prefix of the shared memory and the temporary folder with the repository."""
    return re.sub(r"(?<=shm-region-prefix-name=)\w+|(?<=^--model-repository=).*", "", argument)

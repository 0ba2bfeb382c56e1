"""A tritonserver from the wheel with two small models, one of which calls the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from photoreal.contract import API_KEY_HEADERS
from photoreal.serve.launch.environment import check_environment, free_ports, server_environment
from photoreal.serve.launch.installation import assemble_backends
from photoreal.serve.launch.security import Security
from photoreal.serve.launch.settings import ServeSettings, command_line
from photoreal.serve.supervise.management import Management
from photoreal.serve.supervise.processes import ProcessTable
from tests.shared import wait_until

ADAPTERS = Path(__file__).parent
START_S = 60.0
API_KEY = "key-of-this-test"
CONFIG = """
name: "{name}" backend: "python" max_batch_size: 0 default_model_filename: "model.py"
input {{ name: "TARGET" data_type: TYPE_STRING dims: [1] }}
input {{ name: "TEXT" data_type: TYPE_STRING dims: [1] }}
output {{ name: "ERROR" data_type: TYPE_STRING dims: [1] }}
instance_group [{{ count: 1 kind: KIND_CPU }}]
"""
WARM_UP = """
model_warmup {
  name: "before the server is ready" batch_size: 1
  inputs { key: "TARGET" value { data_type: TYPE_STRING dims: [1] zero_data: true } }
  inputs { key: "TEXT" value { data_type: TYPE_STRING dims: [1] zero_data: true } }
}
"""


@dataclass
class Triton:
    """A running tritonserver that requires an API key, and its model processes."""

    process: subprocess.Popen[bytes]
    settings: ServeSettings
    log: Path

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """Send a request; return the status and the body of the response, or the error's text."""
        keys = {"admin-key": self.settings.admin_key, API_KEY_HEADERS["http"]: API_KEY}
        url = f"http://127.0.0.1:{self.settings.http_port}/v2/{path}"
        data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, keys)
        try:
            with urllib.request.urlopen(request, timeout=START_S) as response:  # noqa: S310
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, str(json.load(error)["error"])

    def infer(self, model: str, target: str, text: str = "") -> tuple[int, str]:
        """Status of a request to a model, and its output, the error that the model met."""
        inputs = [
            {"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}
            for name, value in (("TARGET", target), ("TEXT", text))
        ]
        status, body = self.post(f"models/{model}/infer", {"id": "id-1", "inputs": inputs})
        return status, json.loads(body)["outputs"][0]["data"][0] if status == 200 else body

    def version(self) -> str:
        """Version of tritonserver."""
        url = f"http://127.0.0.1:{self.settings.http_port}/v2"
        with urllib.request.urlopen(url) as response:
            return str(json.load(response)["version"])

    def kill_model(self, name: str) -> None:
        """Kill the process of a model."""
        for one in ProcessTable(self.process.pid).snapshot():
            if one.model == name:
                os.kill(one.pid, signal.SIGKILL)

    def reload(self, name: str) -> None:
        """Load a model that was unloaded or has died."""
        assert self.post(f"repository/models/{name}/load", {})[0] == 200  # if it was unloaded
        url = f"127.0.0.1:{self.settings.http_port}"
        Management(url, "", self.settings.admin_key, API_KEY).reload(name)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready"):
            return True
    except OSError:
        return False


@contextmanager
def _running(folder: Path) -> Iterator[Triton]:
    repository = folder / "repository"
    for name, more in (("caller", WARM_UP), ("called", "")):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(CONFIG.format(name=name) + more)
        (repository / name / "1" / "model.py").symlink_to(ADAPTERS / f"{name}.py")
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        repository,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        security=Security(API_KEY),
        exit_timeout_s=30,
    )
    wheel = check_environment()
    backends = assemble_backends(wheel, folder)
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command_line(settings, wheel.binary, backends, ["caller", "called"]),
            env=server_environment(wheel, Path(sys.prefix) / "bin", {}),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _is_ready(http) or process.poll() is not None, START_S)
        assert process.poll() is None, log.read_text()
        yield Triton(process, settings, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """A server for all tests of a module."""
    with _running(tmp_path_factory.mktemp("triton")) as running:
        yield running

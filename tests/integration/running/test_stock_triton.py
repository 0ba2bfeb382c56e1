"""A plain tritonserver loads an export, without our launcher."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from photoreal.client import StyleTransferClient
from photoreal.contract import ModelSpec
from photoreal.export import ExportSettings, export_repository
from photoreal.serve.launch.environment import check_environment, free_ports, server_environment
from photoreal.serve.launch.installation import assemble_backends
from tests.kinds import PairFiles, Patch
from tests.shared import wait_until

pytestmark = pytest.mark.server

START_S = 180.0


@pytest.mark.parametrize("packages", ["on the PATH", "in EXECUTION_ENV_PATH"])
def test_a_plain_tritonserver_loads_and_serves_it(
    packages: str,
    segmenter_folder: Path,
    repository: Path,
    pair: PairFiles,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    """The wheel needs its libraries named, and has the ONNX backend that we bring it, in Python."""

    def copy_exported(module: object, spec: ModelSpec, path: Path, precision: str) -> None:
        shutil.copy(repository / spec.name / "1" / path.name, path)

    monkeypatch.setattr("photoreal.export.repository.export_onnx", copy_exported)
    named = packages == "in EXECUTION_ENV_PATH"
    settings = ExportSettings(
        tmp_path / "models",
        segmenter=None if named else str(segmenter_folder),
        stock=True,
        environment=sys.prefix if named else None,
    )
    export_repository(settings, print)
    wheel = check_environment()
    environment = server_environment(wheel, Path(sys.prefix) / "bin", {})
    if named:
        environment["PATH"] = os.defpath
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    command = [
        *(str(wheel.binary), f"--model-repository={settings.repository}"),
        f"--backend-directory={assemble_backends(wheel, tmp_path)}",
        *(f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"),
    ]
    log = tmp_path / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=subprocess.STDOUT, cwd=tmp_path
        )
    try:
        with StyleTransferClient(f"127.0.0.1:{http}", timeout=120, retries=0) as client:
            wait_until(lambda: client.ready() or server.poll() is not None, START_S)
            assert server.poll() is None, log.read_text()
            result = client.stylize(**pair("lake-dusk"), size=32, output_size=32)
            assert result.image.height == 32
            photos = {role: pair("lake-dusk")[role] for role in ("content", "style")}
            report = client.stylize(**photos, size=32).report
            assert report["regions"] == ("whole" if named else "segmenter")
    finally:
        server.terminate()
        server.wait(60)
    assert server.returncode == 0
    assert "Traceback" not in log.read_text()

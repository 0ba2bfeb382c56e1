"""`photoreal serve` with a small repository, and ways to hurt it and to see what becomes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from photoreal import contract
from photoreal.client import StyleTransferClient
from photoreal.export.configs import model_configs
from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.supervise.processes import ProcessTable
from tests.kinds import TempFolders

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROGRAM = Path(sys.executable).with_name("photoreal")
PATIENCE_S = 60.0
LOG_CHARACTERS = 10_000
PORTS = ("http", "grpc", "metrics", "health")


def wait_for(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_S) -> float:
    """Wait until something holds; the seconds it took. Fails when it does not come true."""
    start = time.monotonic()
    while not condition():
        waited = time.monotonic() - start
        assert waited < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)
    return time.monotonic() - start


@dataclass
class Service:
    """A running `photoreal serve`, its ports by name, its settings and the file of its log."""

    process: subprocess.Popen[bytes]
    ports: dict[str, int]
    log_file: Path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text()

    def url(self, port: str) -> str:
        return f"127.0.0.1:{self.ports[port]}"

    def server(self) -> int:
        """Process id of tritonserver."""
        for child in psutil.Process(self.process.pid).children():
            if child.name() == "tritonserver":
                return int(child.pid)
        raise AssertionError(f"there is no tritonserver\n{self.log}")

    def model(self, name: str) -> psutil.Process:
        """The process of a model."""
        table = ProcessTable(self.server()).snapshot()
        (pid,) = (one.pid for one in table if one.model == name and one.state != "dead")
        return psutil.Process(pid)

    def family(self) -> list[psutil.Process]:
        """The command's process and all below it."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def ready(self) -> tuple[int, str | None]:
        """Status of /ready, and what it says is wrong; 0 when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{self.url('health')}/ready", timeout=5) as answer:
                return answer.status, json.load(answer)["problem"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["problem"]
        except OSError:
            return 0, None

    def is_ready(self) -> bool:
        return self.ready()[0] == 200

    def metric(self, name: str, **labels: str) -> float:
        """A value of the supervisor's metrics, 0 when it is not there."""
        with urllib.request.urlopen(f"http://{self.url('health')}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        samples = (one for family in families for one in family.samples)
        return sum(one.value for one in samples if (one.name, one.labels) == (name, labels))

    def picture(self, size: int = 96) -> np.ndarray[Any, Any]:
        """An example photo stylized, the network's own pixels."""
        with StyleTransferClient(self.url("http"), timeout=PATIENCE_S) as client:
            result = client.stylize(
                EXAMPLES / "photos/china.jpg",
                EXAMPLES / "rendered/dusk.jpg",
                size=size,
                method="published",
            )
        return np.asarray(result.image)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add the end of the server's log to the report of a failed test."""
    report = yield
    service = getattr(item, "funcargs", {}).get("service")
    if report.failed and service is not None:
        report.sections.append(("log of the server", service.log[-LOG_CHARACTERS:]))
    return report


@pytest.fixture(scope="session")
def repository(tmp_path_factory: TempFolders) -> Path:
    """A repository for the "local" engine, with the segmenter that comes with photoreal."""
    folder = tmp_path_factory.mktemp("repository")
    for name, config in model_configs().items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(config)
        adapter = ROOT / "model_repository" / name / "1" / "model.py"
        if adapter.exists():
            shutil.copy(adapter, folder / name / "1")
    shutil.copytree(
        ROOT / "model_repository" / contract.SEGMENTER.name,  # as `make test` has exported it
        folder / contract.SEGMENTER.name,
        dirs_exist_ok=True,
    )
    return folder


@contextmanager
def _serving(
    repository: Path, log_file: Path, *options: str, before: tuple[str, ...] = ()
) -> Iterator[Service]:
    ports = dict(zip(PORTS, free_ports("127.0.0.1", len(PORTS)), strict=True))
    arguments = [f"--{name}-port={port}" for name, port in ports.items()]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*before, str(PROGRAM), "serve", "--repository", str(repository), *arguments, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A model that comes back measures again which kernel is faster; their last bits differ.
            env=os.environ | {CONVOLUTION_VARIABLE: "direct"},
        )
    service = Service(process, ports, log_file)
    try:
        wait_for(
            "the server is ready", lambda: service.is_ready() or process.poll() is not None, 120
        )
        assert process.poll() is None, service.log
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def serving(repository: Path, tmp_path_factory: TempFolders) -> Callable[..., Any]:
    """Runs `photoreal serve` with options for as long as a context lasts."""

    def run(*options: str, before: tuple[str, ...] = ()) -> Any:
        log_file = tmp_path_factory.mktemp("serve") / "log"
        return _serving(repository, log_file, *options, before=before)

    return run


@pytest.fixture(scope="package")
def service(serving: Callable[..., Any]) -> Iterator[Service]:
    """One server for many faults: it may be brought back often and without long waits."""
    with serving(
        "--restart-limit=100", "--restart-delay=0.2", "--canary-interval=2", "--hang-timeout=3"
    ) as running:
        yield running


@pytest.fixture(scope="session")
def shown(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Prints a line of figures, past pytest's capture."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        assert capture is not None
        with capture.global_and_fixture_disabled():
            print(f"\n  {line}", flush=True)

    return show


@pytest.fixture(scope="session")
def wait() -> Callable[..., float]:
    """Waits until something holds, and gives the seconds it took."""
    return wait_for

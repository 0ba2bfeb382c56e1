"""NVIDIA's perf_analyzer: installation, and load on `stylize` and the segmenter at 256 pixels.

The last release that runs on glibc 2.36 is in the wheel of tritonclient 2.50.0. It links to
libb64 and to the CUDA runtime, which the server's wheel includes under other names.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from serving import BenchmarkFailed, Files, transfer_inputs
from tables import Cell, Column, Part

from photoreal.contract import SEGMENTER, STYLIZE
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.launch.environment import check_environment
from photoreal.serve.launch.launcher import Server

REQUIREMENT = "tritonclient==2.50.0"
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}
"""Library names that the program expects, and their names in the server's wheel."""

SIZE = 256
REQUESTS = 30
WARM_UP = 4
LOADS = (("http", 1), ("http", 4), ("grpc", 1))
"""Protocols, and numbers of requests in flight."""

_MEMBER = "data/bin/perf_analyzer"
_TIMEOUT_S = 600
_COLUMNS = {
    "model": Column("model"),
    "protocol": Column("protocol"),
    "concurrency": Column("at once"),
    "p50_s": Column("p50 s", 3),
    "p90_s": Column("p90 s", 3),
    "p95_s": Column("p95 s", 3),
    "throughput_per_s": Column("requests/s", 2),
}


@dataclass(frozen=True)
class Load:
    """Requests to send: `requests` in total, `concurrency` of them in flight."""

    model: str
    protocol: str
    url: str
    concurrency: int
    requests: int


@dataclass(frozen=True)
class Measured:
    """Results of perf_analyzer; percentiles are of the latency that a client sees."""

    p50_s: float
    p90_s: float
    p95_s: float
    throughput_per_s: float


@dataclass(frozen=True)
class PerfAnalyzer:
    """An installed perf_analyzer."""

    binary: Path
    libraries: Path

    def run(self, load: Load, data: Path, timeout_s: float = _TIMEOUT_S) -> Measured:
        """Send a load whose inputs are in the JSON file `data`; raises BenchmarkFailed."""
        name = f"perf_analyzer on {load.model} over {load.protocol}"
        with tempfile.TemporaryDirectory(prefix="photoreal-perf-") as folder:
            report = Path(folder) / "report.csv"
            try:
                done = subprocess.run(
                    [self.binary, *arguments(load, data, report)],
                    env=self._environment(),
                    capture_output=True,
                    text=True,
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise BenchmarkFailed(f"{name} took more than {timeout_s:.0f} s.") from None
            if done.returncode or not report.exists():
                raise BenchmarkFailed(f"{name} failed: {_last_words(done.stdout, done.stderr)}")
            return parse_report(report.read_text())

    def check(self) -> None:
        """Raise BenchmarkFailed if the program cannot run on this machine."""
        done = subprocess.run(
            [self.binary, "--version"],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise BenchmarkFailed(
                f"perf_analyzer does not start: {_last_words(done.stdout, done.stderr)}"
            )

    def _environment(self) -> dict[str, str]:
        paths = [str(self.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}


def arguments(load: Load, data: Path, report: Path) -> list[str]:
    """Command-line arguments of the program for a load."""
    return [
        *("-m", load.model),
        *("-i", load.protocol),
        *("-u", load.url),
        *("--input-data", str(data)),
        *("--concurrency-range", str(load.concurrency)),
        *("--request-count", str(load.requests)),
        *("--percentile", "50"),
        *("-f", str(report)),
    ]


def parse_report(text: str) -> Measured:
    """Parse the CSV report of one concurrency; raises BenchmarkFailed if it cannot be parsed."""
    rows = list(csv.DictReader(io.StringIO(text)))
    try:
        (row,) = rows
        return Measured(
            p50_s=float(row["p50 latency"]) / 1e6,
            p90_s=float(row["p90 latency"]) / 1e6,
            p95_s=float(row["p95 latency"]) / 1e6,
            throughput_per_s=float(row["Inferences/Second"]),
        )
    except (KeyError, TypeError, ValueError):
        raise BenchmarkFailed(
            "The report of perf_analyzer has other columns or rows than expected."
        ) from None


def install(cache: Path) -> PerfAnalyzer:
    """Return perf_analyzer from a cache folder; pip downloads it the first time.

    Raises BenchmarkFailed, or ServeError when the server's wheel is missing.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise BenchmarkFailed("perf_analyzer is there for Linux on x86_64 alone.")
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / "perf_analyzer"
    if not binary.exists():
        _download(binary)
    link_libraries(check_environment().libraries, cache)
    program = PerfAnalyzer(binary, cache)
    program.check()
    return program


def link_libraries(source: Path, folder: Path) -> None:
    """Link the libraries under the names that the program expects; raises BenchmarkFailed."""
    for name, pattern in LIBRARIES.items():
        found = sorted(source.glob(pattern))
        if not found:
            raise BenchmarkFailed(
                f"The library {name}, which perf_analyzer needs, is not in the nvidia-pytriton"
                " wheel; install the version that pyproject.toml names."
            )
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(found[0])


def _download(binary: Path) -> None:
    """Download the wheel with pip, by pip's configuration, and extract the program."""
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--only-binary=:all:", "--dest", folder, REQUIREMENT],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise BenchmarkFailed(
                f"pip could not download {REQUIREMENT}: {_last_words(done.stdout, done.stderr)}"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            members = [name for name in wheel.namelist() if name.endswith(_MEMBER)]
            if not members:
                raise BenchmarkFailed(
                    f"The wheel of {REQUIREMENT} holds no perf_analyzer; on this machine pip took"
                    " one without programs."
                )
            fresh = Path(folder) / binary.name
            fresh.write_bytes(wheel.read(members[0]))
        fresh.chmod(0o755)
        fresh.rename(binary)


def _last_words(*outputs: str) -> str:
    """The last line of a program's output, as the end of a sentence."""
    lines = [line.strip() for text in outputs for line in text.splitlines() if line.strip()]
    return f"{lines[-1].rstrip('.')}." if lines else "it wrote nothing."


def measure_loads(
    program: PerfAnalyzer,
    server: Server,
    repository: Path,
    files: Files,
    loads: Sequence[tuple[str, int]],
    folder: Path,
) -> Part:
    """Send every load after a warm-up; `folder` takes the inputs. Raises BenchmarkFailed."""
    note = (
        f"{REQUESTS} requests a row after a warm-up of {WARM_UP}, {SIZE} pixels. The server keeps"
        " no styles here, so every request is a whole one."
    )
    notes = [note]
    models = [STYLIZE.name]
    if is_exported(repository, SEGMENTER.name):
        models.append(SEGMENTER.name)
    else:
        notes.append("No segmenter is exported, so it has no rows.")
    rows: list[dict[str, Cell]] = []
    for model in models:
        data = folder / f"{model}.json"
        data.write_text(json.dumps({"data": [model_inputs(model, files)]}))
        for protocol, concurrency in loads:
            url = server.http_url if protocol == "http" else server.grpc_url
            program.run(Load(model, protocol, url, concurrency, WARM_UP), data)
            found = program.run(Load(model, protocol, url, concurrency, REQUESTS), data)
            row: dict[str, Cell] = {
                "model": model,
                "protocol": protocol,
                "concurrency": concurrency,
            }
            rows.append({**row, **asdict(found)})
    return Part("perf_analyzer", _COLUMNS, rows, notes)


def model_inputs(model: str, files: Files, size: int = SIZE) -> dict[str, Any]:
    """Inputs of a model from the example pair, in perf_analyzer's JSON format."""
    if model == SEGMENTER.name:
        image = np.ascontiguousarray(transfer_inputs(files, size).content)
        return {"IMAGE": {"content": _base64(image.tobytes()), "shape": list(image.shape)}}
    # perf_analyzer sends the decoded base64 unchanged, so BYTES elements need a length prefix.
    photos = {
        name.upper(): {"content": _base64(len(data).to_bytes(4, "little") + data), "shape": [1]}
        for name, data in asdict(files).items()
    }
    return {**photos, "SIZE": {"content": [size], "shape": [1]}}


def _base64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode("ascii")}

"""NVIDIA's perf_analyzer: load on `stylize` and the segmenter at 256 pixels."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pictures import Files
from serving import BenchmarkFailed
from tables import Cell, Column, Part

from photoreal.client.perf_data.requests import perf_data, segmenter_request, stylize_requests
from photoreal.contract import SEGMENTER, STYLIZE
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.launch.environment import check_environment
from photoreal.serve.launch.launcher import Server

INSTALLER = Path(__file__).with_name("install-perf-analyzer")
SIZE = 256
REQUESTS = 30
WARM_UP = 4
LOADS = (("http", 1), ("http", 4), ("grpc", 1))
"""Protocols, and numbers of requests in flight."""

_TIMEOUT_S = 600
_FIGURES = {"p50_s": "p50 latency", "p90_s": "p90 latency", "p95_s": "p95 latency"}
_COLUMNS = {
    "model": Column("model"),
    "protocol": Column("protocol"),
    "concurrency": Column("at once"),
    **{key: Column(f"{key[:3]} s", 3) for key in _FIGURES},
    "throughput_per_s": Column("requests/s", 2),
}


class Load(NamedTuple):
    """Requests to a model, `concurrency` of them in flight."""

    model: str
    protocol: str
    url: str
    concurrency: int


def send(binary: Path, load: Load, data: Path, requests: int) -> dict[str, float]:
    """Send requests with the inputs in the JSON file `data`; raises BenchmarkFailed.

    Returns percentiles of the latency that a client sees, and requests per second.
    """
    report = data.with_suffix(".csv")
    report.unlink(missing_ok=True)
    call = [
        str(binary),
        *("-m", load.model),
        *("-i", load.protocol),
        *("-u", load.url),
        *("--input-data", str(data)),
        *("--concurrency-range", str(load.concurrency)),
        *("--request-count", str(requests)),
        *("--percentile", "50"),
        *("-f", str(report)),
    ]
    paths = [str(binary.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}
    _check_call(f"perf_analyzer on {load.model} over {load.protocol}", call, env=environment)
    return parse_report(report.read_text() if report.exists() else "")


def parse_report(text: str) -> dict[str, float]:
    """Parse the CSV report of one concurrency; raises BenchmarkFailed if it cannot be parsed."""
    try:
        (row,) = csv.DictReader(io.StringIO(text))
        found = {key: float(row[heading]) / 1e6 for key, heading in _FIGURES.items()}
        return found | {"throughput_per_s": float(row["Inferences/Second"])}
    except (KeyError, TypeError, ValueError):
        raise BenchmarkFailed(
            "The report of perf_analyzer has other columns or rows than expected."
        ) from None


def install(folder: Path) -> Path:
    """Return the program in a folder, into which a script installs it the first time.

    Raises BenchmarkFailed, or ServeError when the server's wheel is missing.
    """
    binary = folder / "bin" / "perf_analyzer"
    if not binary.exists():
        libraries = check_environment().libraries
        call = [str(INSTALLER), sys.executable, str(folder), str(libraries)]
        _check_call("The installation of perf_analyzer", call)
    return binary


def _check_call(what: str, call: Sequence[str], **options: Any) -> None:
    """Run a program; raises BenchmarkFailed with its last line when it fails or takes too long."""
    try:
        subprocess.run(
            call, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S, **options
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"{what} took more than {_TIMEOUT_S} s.") from None
    except subprocess.CalledProcessError as error:
        lines = f"{error.stdout}\n{error.stderr}".split("\n")
        said = [line.strip() for line in lines if line.strip()] or ["it wrote nothing"]
        raise BenchmarkFailed(f"{what} failed: {said[-1].rstrip('.')}.") from None


def measure_loads(
    binary: Path,
    server: Server,
    repository: Path,
    files: Files,
    loads: Sequence[tuple[str, int]],
    folder: Path,
) -> Part:
    """Send every load after a warm-up; `folder` takes the inputs. Raises BenchmarkFailed."""
    note = (
        f"{REQUESTS} requests a row after a warm-up of {WARM_UP}, {SIZE} pixels, as `photoreal"
        " perf-data` writes them; those of stylize are default ones with a known style."
    )
    notes = [note]
    models = {STYLIZE.name: stylize_requests(vars(files.without_masks()), size=SIZE)}
    if is_exported(repository, SEGMENTER.name):
        models[SEGMENTER.name] = [segmenter_request(files.content, SIZE)]
    else:
        notes.append("No segmenter is exported, so it has no rows.")
    rows: list[dict[str, Cell]] = []
    for model, requests in models.items():
        data = folder / f"{model}.json"
        data.write_text(perf_data(requests))
        for protocol, concurrency in loads:
            url = server.http_url if protocol == "http" else server.grpc_url
            load = Load(model, protocol, url, concurrency)
            send(binary, load, data, WARM_UP)
            found = send(binary, load, data, REQUESTS)
            row = {"model": model, "protocol": protocol, "concurrency": str(concurrency)}
            rows.append({**row, **found})
    return Part("perf_analyzer", _COLUMNS, rows, notes)

"""Which loads perf_analyzer sends, what is in them, and how many fit into the time there is."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import log2
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from serving import Files, transfer_inputs
from tables import Cell, Column, Part

from photoreal.contract import SEGMENTER, STYLIZE, WCT2
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.launch.launcher import Server
from speed.perf_analyzer import Load, PerfAnalyzer

PROTOCOLS = ("http", "grpc")
CONCURRENCIES = (1, 2, 4)
SIZES = (256, 512, 1024)
_FEW_FROM = 1024

_LEAST_TIMEOUT_S = 120.0
_PATIENCE = 10.0
_OVERHEAD_S = 1.5  # the program looks once a second whether its requests are done

_COLUMNS = {
    "model": Column("model"),
    "size": Column("size"),
    "protocol": Column("protocol"),
    "concurrency": Column("at once"),
    "requests": Column("requests"),
    "p50_s": Column("p50 s", 3),
    "p99_s": Column("p99 s", 3),
    "throughput_per_s": Column("requests/s", 3),
    "queue_s": Column("queue s", 3),
    "compute_s": Column("compute s", 3),
}


class Row(NamedTuple):
    """One load to send."""

    model: str
    size: int
    protocol: str
    concurrency: int

    @property
    def requests(self) -> int:
        """How many requests: few, and no fewer than are under way at once."""
        return max(2 if self.size >= _FEW_FROM else 3, self.concurrency)


def plan(models: Sequence[str], sizes: Sequence[int]) -> list[Row]:
    """Every combination, the most telling first.

    A row is less telling by a step for each doubling of the size, and by a step each for more
    than one client, for gRPC and for the inner model. Among equals the larger size is first.
    """
    rows = [
        Row(model, size, protocol, concurrency)
        for model in models
        for size in sizes
        for protocol in PROTOCOLS
        for concurrency in CONCURRENCIES
    ]

    def rank(row: Row) -> tuple[float, int]:
        extras = (row.concurrency > 1) + (row.protocol != PROTOCOLS[0]) + (row.model == WCT2.name)
        return extras + log2(row.size / min(sizes)), -row.size

    return sorted(rows, key=rank)


def name_rows(rows: Sequence[Row]) -> str:
    """Rows in words, those that differ in concurrency alone together."""
    together: dict[tuple[str, int, str], list[str]] = {}
    for row in sorted(rows):
        together.setdefault(row[:3], []).append(str(row.concurrency))
    return "; ".join(
        f"{model} at {size} over {protocol}, {', '.join(counts)} at once"
        for (model, size, protocol), counts in together.items()
    )


class Forecast:
    """Expected seconds of a row, from the rows before it."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], float] = {}

    def learn(self, row: Row, seconds_a_request: float) -> None:
        """Take note of what a request took."""
        self._seconds[row.model, row.size] = seconds_a_request

    def expect(self, row: Row) -> float:
        """Seconds that the row will take; 0 when nothing is known of its model.

        Time grows with the area; the size nearest to the row's tells most.
        """
        known = {size: s for (model, size), s in self._seconds.items() if model == row.model}
        if not known:
            return 0.0
        nearest = min(known, key=lambda size: abs(log2(size / row.size)))
        return _OVERHEAD_S + row.requests * known[nearest] * (row.size / nearest) ** 2


def measure_loads(
    program: PerfAnalyzer,
    server: Server,
    repository: Path,
    files: Files,
    sizes: Sequence[int],
    budget_s: float,
    folder: Path,
) -> Part:
    """Send as many loads as fit into `budget_s`; `folder` takes the inputs.

    Raises BenchmarkFailed when perf_analyzer fails.
    """
    models = [STYLIZE.name, WCT2.name]
    note = (
        "The server keeps no styles here, so every request is a whole one. p99 is the slowest"
        " request; queue and compute are the server's averages. perf_analyzer closes its window on"
        " a whole second, so requests/s of few short requests read low."
    )
    notes = [note]
    if is_exported(repository, SEGMENTER.name):
        models.append(SEGMENTER.name)
    else:
        notes.append("No segmenter is exported, so it has no rows.")
    deadline = time.monotonic() + budget_s
    forecast = Forecast()
    rows: list[dict[str, Cell]] = []
    left_out: list[Row] = []
    for row in plan(models, sizes):
        expected = forecast.expect(row)
        if expected > deadline - time.monotonic():
            left_out.append(row)
            continue
        data = folder / f"{row.model}-{row.size}.json"
        if not data.exists():
            data.write_text(json.dumps({"data": [model_inputs(row.model, files, row.size)]}))
        url = server.http_url if row.protocol == PROTOCOLS[0] else server.grpc_url
        load = Load(row.model, row.protocol, url, row.concurrency, row.requests)
        timeout_s = max(_LEAST_TIMEOUT_S, _PATIENCE * (expected or budget_s))
        found = program.run(load, data, timeout_s)
        forecast.learn(row, found.p50_s / row.concurrency)
        rows.append({**row._asdict(), "requests": row.requests, **asdict(found)})
    rows.sort(key=_order)
    if left_out:
        notes.append(f"Left out for want of time ({budget_s:.0f} s): {name_rows(left_out)}.")
    return Part("perf_analyzer", _COLUMNS, rows, notes)


def _order(row: Mapping[str, Cell]) -> tuple[Any, ...]:
    return row["model"], row["size"], row["protocol"] != PROTOCOLS[0], row["concurrency"]


def model_inputs(model: str, files: Files, size: int) -> dict[str, Any]:
    """Inputs of a model from the example pair, as perf_analyzer's JSON wants them."""
    if model == STYLIZE.name:
        encoded = asdict(files)
        tensors = {name.upper(): blob_tensor(data) for name, data in encoded.items()}
        return {**tensors, "SIZE": {"content": [size], "shape": [1]}}
    given = transfer_inputs(files, size)
    if model == SEGMENTER.name:
        return {"IMAGE": array_tensor(given.content)}
    return {
        "CONTENT": array_tensor(given.content),
        "STYLE": array_tensor(given.style),
        "CONTENT_LABELS": array_tensor(given.content_labels),
        "STYLE_LABELS": array_tensor(given.style_labels),
    }


def blob_tensor(data: bytes) -> dict[str, Any]:
    """A BYTES tensor [1]: perf_analyzer sends what it decodes, so the length comes with it."""
    return {"content": {"b64": _base64(len(data).to_bytes(4, "little") + data)}, "shape": [1]}


def array_tensor(array: npt.NDArray[Any]) -> dict[str, Any]:
    """A tensor of numbers, as its bytes."""
    return {
        "content": {"b64": _base64(np.ascontiguousarray(array).tobytes())},
        "shape": list(array.shape),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

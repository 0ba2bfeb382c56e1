"""Times of the stages of one request: files, regions, every level of the networks, transform.

The request runs in this process through the code of the server's models, with an engine that
times each level.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from serving import LIMITS, Files, in_process, networks
from tables import Cell, Column, Part, Spread
from torch import Tensor

from photoreal.contract import LEVELS, SEGMENTER, SEGMENTER_CLASSES_FILE
from photoreal.networks.vgg import Encoded, Skips
from photoreal.pipeline.request import FloatImage, Models, StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.backend.onnxruntime.session import open_session
from photoreal.transfer.progressive import Engine, NetworkEngine

STAGES = (
    "decode",
    "segment",
    *(f"encoder {level}" for level in LEVELS),
    "transform",
    *(f"decoder {level}" for level in reversed(LEVELS)),
    "encode",
)

_COLUMNS = {
    "stage": Column("stage"),
    "seconds": Column("s", 3),
    "share": Column("share of the request", 2),
}


class TimingEngine:
    """An engine that sums the seconds of each level, over content and style."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds: dict[str, float] = {}

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""
        started = time.perf_counter()
        result = self._engine.encode(level, x)
        self._add(f"encoder {level}", started)
        return result

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""
        started = time.perf_counter()
        result = self._engine.decode(level, x, skips)
        self._add(f"decoder {level}", started)
        return result

    def _add(self, stage: str, started: float) -> None:
        elapsed = time.perf_counter() - started
        self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed


def measure_stages(repository: Path, files: Files, size: int, runs: int) -> Part:
    """Time the stages of a request at a working size; medians over `runs`.

    Regions come from the repository's segmenter, or from the drawn masks if there is none.
    """
    engine = NetworkEngine(*networks(repository))
    segmenter = open_segmenter(repository)
    request = StylizeRequest(
        files.content,
        files.style,
        None if segmenter else files.content_mask,
        None if segmenter else files.style_mask,
        size=size,
        method="published",
    )
    stage_seconds(request, engine, segmenter)  # warm-up: allocates memory
    found = [stage_seconds(request, engine, segmenter) for _ in range(runs)]
    totals = [one["total"] for one in found]
    rows: list[dict[str, Cell]] = [
        {
            "stage": stage,
            "seconds": Spread.of(one[stage] for one in found),
            "share": Spread.of(one[stage] / one["total"] for one in found),
        }
        for stage in STAGES
    ]
    source = "the segmenter" if segmenter else "masks, since no segmenter is exported"
    note = (
        f"One request of size {size} in this process, {runs} runs; regions come from {source}. The"
        " levels and the transform count content and style, the style not being known."
    )
    rows.append({"stage": "total", "seconds": Spread.of(totals)})
    return Part("Stages", _COLUMNS, rows, [note])


def stage_seconds(
    request: StylizeRequest, engine: Engine, segmenter: _Segmenter | None = None
) -> dict[str, float]:
    """Seconds of every stage of one request, and in "total"; raises InvalidRequest."""
    timing = TimingEngine(engine)

    run = in_process(timing)
    models = Models(run) if segmenter is None else Models(run, segmenter, segmenter.classes)
    report = json.loads(stylize(request, models, LIMITS).report)["seconds"]
    found = {**dict.fromkeys(STAGES, 0.0), **report, **timing.seconds}
    found["transform"] = found.pop("transfer") - sum(timing.seconds.values())
    return found


class _Segmenter:
    """The repository's segmenter in this process, (3, H, W) to probabilities (classes, h, w)."""

    def __init__(self, folder: Path) -> None:
        self._session = open_session(folder / "1" / "model.onnx")
        self.classes = tuple((folder / SEGMENTER_CLASSES_FILE).read_text().splitlines())

    def __call__(self, image: FloatImage) -> FloatImage:
        feed = {SEGMENTER.inputs[0].name: np.ascontiguousarray(image[None])}
        found: FloatImage = self._session.run([SEGMENTER.outputs[-1].name], feed)[0][0]
        return found


def open_segmenter(repository: Path) -> _Segmenter | None:
    """Open the repository's segmenter; None if none is exported."""
    if not is_exported(repository, SEGMENTER.name):
        return None
    return _Segmenter(repository / SEGMENTER.name)

"""Times of the stages of one request: files, regions, every level of the networks, transform.

The request runs in this process through the code of the server's models, with an engine that
times each level.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from pictures import LIMITS, Files
from serving import networks
from tables import Cell, Column, Part, Spread
from torch import Tensor

from photoreal.contract import LEVELS, SEGMENTER, SEGMENTER_CLASSES_FILE
from photoreal.networks.vgg import Encoded, Skips
from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.request import FloatImage, StylizeRequest
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

_BAR = 50  # characters of a bar that is a whole request
_COLUMNS = {
    "stage": Column("stage"),
    "seconds": Column("s", 3),
    "share": Column("share of the request"),
    "bar": Column(""),
}

Segmenter = tuple[Callable[[FloatImage], FloatImage], tuple[str, ...]]
"""Function from (3, H, W) to probabilities (classes, h, w), and the names of its classes."""


class TimingEngine:
    """An engine that sums the seconds of each level, over content and style."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds: dict[str, float] = defaultdict(float)

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""
        with self._timed(f"encoder {level}"):
            return self._engine.encode(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""
        with self._timed(f"decoder {level}"):
            return self._engine.decode(level, x, skips)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - started


def measure_stages(repository: Path, files: Files, size: int, runs: int) -> Part:
    """Time the stages of a request at a working size; medians over `runs`.

    Regions come from the repository's segmenter, or from the drawn masks if there is none.
    """
    engine = NetworkEngine(*networks(repository))
    segmenter = open_segmenter(repository)
    drawn = files if segmenter is None else replace(files, content_mask=None, style_mask=None)
    request = drawn.request(size)
    stage_seconds(request, engine, segmenter)  # warm-up: allocates memory
    found = [stage_seconds(request, engine, segmenter) for _ in range(runs)]
    rows: list[dict[str, Cell]] = []
    for stage in (*STAGES, "total"):
        shares = [one[stage] / one["total"] for one in found]
        rows.append(
            {
                "stage": stage,
                "seconds": Spread.of(one[stage] for one in found),
                "share": Spread.of(shares),
                "bar": "█" * round(_BAR * median(shares)),
            }
        )
    source = "the segmenter" if segmenter else "masks, since no segmenter is exported"
    note = (
        f"One request of size {size} in this process, {runs} runs, method `published`; regions come"
        f" from {source}. The levels and the transform count content and style, the style not being"
        " known."
    )
    return Part("Stages", _COLUMNS, rows, [note])


def stage_seconds(
    request: StylizeRequest, engine: Engine, segmenter: Segmenter | None = None
) -> dict[str, float]:
    """Seconds of every stage of one request, and in "total"; raises InvalidRequest."""
    timing = TimingEngine(engine)
    models = in_process_models(timing, cache_bytes=0)
    if segmenter is not None:
        models = replace(models, segment=segmenter[0], segmenter_classes=segmenter[1])
    report = json.loads(stylize(request, models, LIMITS).report)["seconds"]
    found = {**dict.fromkeys(STAGES, 0.0), **report, **timing.seconds}
    found["transform"] = found.pop("transfer") - sum(timing.seconds.values())
    return found


def open_segmenter(repository: Path) -> Segmenter | None:
    """Open the repository's segmenter in this process; None if none is exported."""
    if not is_exported(repository, SEGMENTER.name):
        return None
    folder = repository / SEGMENTER.name
    session = open_session(folder / "1" / "model.onnx")

    def segment(image: FloatImage) -> FloatImage:
        feed = {SEGMENTER.inputs[0].name: np.ascontiguousarray(image[None])}
        found: FloatImage = session.run([SEGMENTER.outputs[-1].name], feed)[0][0]
        return found

    return segment, tuple((folder / SEGMENTER_CLASSES_FILE).read_text().splitlines())

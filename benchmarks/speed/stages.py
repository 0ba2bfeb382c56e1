"""Times of the stages of a default request: files, regions, colors, networks, transform.

The request runs in this process through the code of the server's models, with an engine that
times the levels of the networks.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from pictures import LIMITS, Files
from serving import networks
from tables import Cell, Column, Part, Spread

from photoreal.contract import SEGMENTER, SEGMENTER_CLASSES_FILE
from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.request import FloatImage, Models, StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.backend.onnxruntime.session import open_session
from photoreal.transfer.progressive import Engine, NetworkEngine

STAGES = {
    "decode": "decode",
    "segment": "find regions",
    "colors": "align colors",
    "encode levels": "encoder",
    "transform": "transform",
    "decode levels": "decoder",
    "upsample": "upsample",
    "encode": "encode",
}
"""Names of the stages in reports, and those that the engine adds, in words."""

_BAR = 50  # characters of a bar that is a whole request
_COLUMNS = {
    "stage": Column("stage"),
    "seconds": Column("s", 3),
    "share": Column("share of the request"),
    "bar": Column(""),
}


class TimingEngine:
    """An engine that sums the seconds of the encoder's and decoder's levels."""

    def __init__(self, engine: Engine) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.depth = engine.depth
        self.encode = self._timed("encode levels")(engine.encode)
        self.decode = self._timed("decode levels")(engine.decode)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - started


def measure_stages(repository: Path, files: Files, runs: int) -> Part:
    """Time the stages of a default request for the photos of `files`; medians over `runs`."""
    engine = TimingEngine(NetworkEngine(*networks(repository)))
    models = models_of(repository, engine)
    request = files.without_masks().request(content_labels=False, style_labels=False)
    stage_seconds(request, models, engine)  # warm-up: allocates memory
    found = [stage_seconds(request, models, engine) for _ in range(runs)]
    rows: list[dict[str, Cell]] = []
    for stage, words in (STAGES | {"total": "total"}).items():
        shares = [one[stage] / one["total"] for one in found]
        rows.append(
            {
                "stage": words,
                "seconds": Spread.of(one[stage] for one in found),
                "share": Spread.of(shares),
                "bar": "█" * round(_BAR * median(shares)),
            }
        )
    source = "are found" if models.segment else "are whole photos, since no segmenter is exported"
    note = (
        f"A default request in this process, {runs} runs; regions {source}. The style is not known:"
        " encoder, transform and decoder count content and style."
    )
    return Part("Stages", _COLUMNS, rows, [note])


def stage_seconds(
    request: StylizeRequest, models: Models, engine: TimingEngine
) -> dict[str, float]:
    """Seconds of every stage of one request, and in "total"; raises InvalidRequest."""
    engine.seconds.clear()
    report = stylize(request, models, LIMITS).seconds
    found = {**dict.fromkeys(STAGES, 0.0), **report, **engine.seconds}
    found["transform"] = found.pop("transfer") - sum(engine.seconds.values())
    return found


def models_of(repository: Path, engine: Engine) -> Models:
    """The server's models in this process, with an engine and no cache."""
    models = in_process_models(engine, cache_bytes=0)
    if not is_exported(repository, SEGMENTER.name):
        return models
    folder = repository / SEGMENTER.name
    session = open_session(folder / "1" / "model.onnx")

    def segment(image: FloatImage) -> FloatImage:
        feed = {SEGMENTER.inputs[0].name: np.ascontiguousarray(image[None])}
        found: FloatImage = session.run([SEGMENTER.outputs[-1].name], feed)[0][0]
        return found

    classes = (folder / SEGMENTER_CLASSES_FILE).read_text().splitlines()
    return replace(models, segment=segment, segmenter_classes=tuple(classes))

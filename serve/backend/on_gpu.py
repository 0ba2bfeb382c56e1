"""Models of `stylize` in its own process, where they run on a GPU.

Copying photos between processes and computing their pixels on the CPU takes several times as long
as the networks take on a GPU. So `stylize` runs the networks itself; `wct2` and `segmenter` stay
for callers that use them directly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photoreal.contract import SEGMENTER, WCT2
from photoreal.networks.segmenter import Segmenter
from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.request import Models
from photoreal.serve.backend.device import require_cuda
from photoreal.serve.backend.engines import make_engine
from photoreal.serve.backend.variables import cache_limit
from photoreal.weights.segmenters import DEFAULT_SEGMENTER, SEGMENTER_FILE, load_segmenter

WORKERS = 4
"""Requests that are worked on at a time: one is decoded or encoded while another is computed."""


def models_on_gpu(
    triton: Any, model_config: str, repository: Path, classes: tuple[str, ...]
) -> Models:
    """Load the networks of a repository onto the GPU.

    Without the weights of a segmenter with these `classes`, the models have no segmenter. Raises
    ServeError and WeightsError.
    """
    require_cuda()
    engine = make_engine(triton, model_config, repository / WCT2.name / "1")
    segmenter = _segmenter(repository, classes) if classes else None
    return in_process_models(
        *(engine, segmenter, classes), cache_bytes=cache_limit(), device="cuda"
    )


def _segmenter(repository: Path, classes: tuple[str, ...]) -> Segmenter | None:
    file = repository / SEGMENTER.name / "1" / SEGMENTER_FILE
    segmenter, names = load_segmenter(file if file.exists() else DEFAULT_SEGMENTER)
    return segmenter.to("cuda") if names == classes else None

"""The models that `stylize` calls: those of the server, or on a GPU its own.

On a GPU, copying photos between processes and computing their pixels on the CPU takes several
times as long as the networks. So there `stylize` runs the networks in its own process; `wct2` and
`segmenter` stay for callers that use them directly.
"""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path
from typing import Any

from photoreal.contract import BLAS_THREADS_VARIABLE, SEGMENTER, WCT2
from photoreal.pipeline.request import Models, Transferred
from photoreal.pipeline.tensors import Array, blob
from photoreal.pipeline.wct2.style_strip import measuring_inputs, soft_inputs, wct2_inputs
from photoreal.serve.backend.adapter import call_model
from photoreal.serve.backend.watch import Watch

GPU_WORKERS = 4
"""Requests processed at a time on a GPU: one is decoded or encoded while another is computed."""
_TRANSFERRED = ("IMAGE", "STYLE_CACHED")


def server_models(triton: Any, request: Any, watch: Watch, classes: tuple[str, ...]) -> Models:
    """The models of the server, called for one request; `classes` are the segmenter's."""

    def transferred(inputs: dict[str, Array]) -> Transferred:
        outputs = call_model(triton, WCT2, inputs, request, _TRANSFERRED, watch)
        return Transferred(outputs["IMAGE"], bool(outputs["STYLE_CACHED"].all()))

    def segment(image: Any) -> Any:
        inputs = {"IMAGE": image[None]}
        outputs = call_model(triton, SEGMENTER, inputs, request, ["PROBABILITIES"], watch)
        return outputs["PROBABILITIES"][0]

    def transfer(content: Any, content_labels: Any, styles: Any, **how: Any) -> Transferred:
        return transferred(wct2_inputs(content, content_labels, styles, **how))

    def transfer_soft(content: Any, regions: Any, styles: Any, **how: Any) -> Transferred:
        return transferred(soft_inputs(content, regions, styles, **how))

    def measure(image: Any, regions: Any, key: bytes) -> bytes:
        inputs = measuring_inputs(image, regions)
        outputs = call_model(triton, WCT2, inputs, request, ["STYLE_MEASURES"], watch)
        return blob(outputs["STYLE_MEASURES"])

    return Models(
        *(transfer, segment if classes else None, classes, transfer_soft),
        measure=measure,
        # With more threads, numpy would hold up those of the segmenter.
        segments_elsewhere=os.environ.get(BLAS_THREADS_VARIABLE) == "1",
    )


def models_on_gpu(
    triton: Any, model_config: str, repository: Path, classes: tuple[str, ...]
) -> Models:
    """Load the networks of a repository onto the GPU.

    Without the weights of a segmenter with these `classes`, the models have no segmenter. Raises
    ServeError and WeightsError.
    """
    # Imported here: on a CPU, the process of `stylize` needs no PyTorch.
    from photoreal.pipeline.in_process import in_process_models
    from photoreal.serve.backend.device import require_cuda
    from photoreal.serve.backend.engines import make_engine, weights_of
    from photoreal.serve.backend.variables import cache_limit

    require_cuda()
    folder = repository / WCT2.name / "1"
    engine = make_engine(triton, model_config, folder)
    segmenter = load_exported(repository, classes) if classes else None
    if segmenter is not None:
        segmenter.to("cuda")
    return in_process_models(
        *(engine, segmenter, classes),
        cache_bytes=cache_limit(),
        device="cuda",
        weights=cache(partial(weights_of, model_config, folder)),
    )


def load_exported(repository: Path, classes: tuple[str, ...]) -> Any:
    """Load the segmenter of a repository; None if there are no weights with its `classes`."""
    from photoreal.weights.segmenters import (
        DEFAULT_SEGMENTER,
        SEGMENTER_FILE,
        load_segmenter,
    )

    file = repository / SEGMENTER.name / "1" / SEGMENTER_FILE
    segmenter, names = load_segmenter(file if file.exists() else DEFAULT_SEGMENTER)
    return segmenter if names == classes else None

"""Triton adapter of `photoreal.pipeline.stylize`: tensors in, one call, tensors out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import SEGMENTER, STYLIZE, WCT2
from photoreal.pipeline.known_regions import KnownRegions
from photoreal.pipeline.request import Models, Transferred
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.pipeline.tensors import (
    read_request,
    response_tensors,
)
from photoreal.pipeline.wct2.style_strip import soft_inputs, wct2_inputs
from photoreal.serve.backend.adapter import (
    call_model,
    is_on_gpu,
    read_inputs,
    segmenter_classes,
)
from photoreal.serve.backend.metrics import RequestMetrics, StageMetrics
from photoreal.serve.backend.request_queue import stylize_queue
from photoreal.serve.backend.watch import Guard, Watch


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        repository = Path(args["model_repository"]).parent
        self._classes = segmenter_classes(repository)
        self._on_gpu: Models | None = None
        workers = 1
        if is_on_gpu(args["model_config"]):
            from photoreal.serve.backend import on_gpu

            workers = on_gpu.WORKERS
            self._on_gpu = on_gpu.models_on_gpu(
                triton, args["model_config"], repository, self._classes
            )
        self._guard = Guard()
        self._memories = SteadyRegions(), KnownRegions()
        self._metrics = RequestMetrics(triton, STYLIZE.name)
        self._stages = StageMetrics(triton)
        self._queue = stylize_queue(triton, self._serve, self._metrics, self._guard, workers)

    def execute(self, requests: list[Any]) -> None:
        self._queue.put(requests)

    def finalize(self) -> None:
        self._queue.close()

    def _serve(self, request: Any) -> dict[str, Any]:
        values = read_inputs(triton, STYLIZE, request)
        wanted = request.requested_output_names() or STYLIZE.output_names()
        asked = read_request(values, wanted)
        with self._guard.watch(request) as watch:
            models = self._models(request, watch)
            response = stylize(asked, models, self._guard.limits, *self._memories, watch.poll)
        self._stages.observe(response.seconds)
        return response_tensors(response, wanted)

    def _models(self, request: Any, watch: Watch) -> Models:
        def segment(image: Any) -> Any:
            inputs = {"IMAGE": image[None]}
            outputs = call_model(triton, SEGMENTER, inputs, request, ["PROBABILITIES"], watch)
            return outputs["PROBABILITIES"][0]

        def transfer(content: Any, content_labels: Any, styles: Any, **how: Any) -> Any:
            inputs = wct2_inputs(content, content_labels, styles, **how)
            outputs = call_model(triton, WCT2, inputs, request, watch=watch)
            return Transferred(outputs["IMAGE"], bool(outputs["STYLE_CACHED"].all()))

        def transfer_soft(content: Any, regions: Any, styles: Any, **how: Any) -> Any:
            inputs = soft_inputs(content, regions, styles, **how)
            outputs = call_model(triton, WCT2, inputs, request, watch=watch)
            return Transferred(outputs["IMAGE"], bool(outputs["STYLE_CACHED"].all()))

        found = segment if self._classes else None
        if self._on_gpu is not None:
            return replace(self._on_gpu, segment=self._on_gpu.segment or found)
        return Models(transfer, found, self._classes, transfer_soft)

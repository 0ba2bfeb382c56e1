"""Triton adapter of `photoreal.pipeline.stylize`: tensors in, one call, tensors out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import STYLIZE
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.request import Models
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.pipeline.tensors import read_request, response_tensors
from photoreal.serve.backend.adapter import is_on_gpu, read_inputs, segmenter_classes
from photoreal.serve.backend.metrics import RequestMetrics, StageMetrics
from photoreal.serve.backend.request_queue import stylize_queue
from photoreal.serve.backend.stylize_models import GPU_WORKERS, models_on_gpu, server_models
from photoreal.serve.backend.watch import Guard


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        repository = Path(args["model_repository"]).parent
        self._classes = segmenter_classes(repository)
        self._on_gpu: Models | None = None
        if is_on_gpu(args["model_config"]):
            self._on_gpu = models_on_gpu(triton, args["model_config"], repository, self._classes)
        self._guard = Guard()
        self._memories = SteadyRegions(), KnownRegions()
        self._metrics = RequestMetrics(triton, STYLIZE.name)
        self._stages = StageMetrics(triton)
        workers = 1 if self._on_gpu is None else GPU_WORKERS
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
            models = server_models(triton, request, watch, self._classes)
            if self._on_gpu is not None:
                models = replace(self._on_gpu, segment=self._on_gpu.segment or models.segment)
            response = stylize(asked, models, self._guard.limits, *self._memories, watch.poll)
        self._stages.observe(response.seconds)
        return response_tensors(response, wanted)

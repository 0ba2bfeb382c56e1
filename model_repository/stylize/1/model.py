"""Triton adapter of `photoreal.serve.stylize`: tensors in, one call, tensors out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from photoreal.contract import SEGMENTER, STYLIZE, WCT2
from photoreal.preprocess import Limits
from photoreal.serve.adapter import (
    answer,
    blob,
    bytes_tensor,
    call_model,
    read_inputs,
    segmenter_classes,
    text,
)
from photoreal.serve.metrics import RequestMetrics, StageMetrics
from photoreal.serve.stylize import Models, StylizeRequest, Transferred, stylize


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._classes = segmenter_classes(Path(args["model_repository"]).parent)
        self._metrics = RequestMetrics(triton, STYLIZE.name)
        self._stages = StageMetrics(triton)

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, STYLIZE, requests, self._serve, self._metrics)

    def _serve(self, request: Any) -> dict[str, Any]:
        values = read_inputs(triton, STYLIZE, request)
        convert: dict[str, Callable[[Any], Any]] = {
            "CONTENT": blob,
            "STYLE": blob,
            "CONTENT_MASK": blob,
            "STYLE_MASK": blob,
            "ALPHA": lambda value: float(value.item()),
            "SIZE": lambda value: int(value.item()),
            "TRANSFER_AT": text,
            "SEGMENT": lambda value: bool(value.item()),
            "MATCH": text,
            "BLEND": lambda value: int(value.item()),
        }
        given: dict[str, Any] = {name.lower(): convert[name](v) for name, v in values.items()}
        response = stylize(StylizeRequest(**given), self._models(request), Limits())
        self._stages.observe(response.seconds)
        return {
            name: bytes_tensor(getattr(response, name.lower())) for name in STYLIZE.output_names()
        }

    def _models(self, request: Any) -> Models:
        def segment(image: Any) -> Any:
            inputs = {"IMAGE": image[None]}
            outputs = call_model(triton, SEGMENTER, inputs, request, ["PROBABILITIES"])
            return outputs["PROBABILITIES"][0]

        def transfer(
            content: Any, style: Any, content_labels: Any, style_labels: Any, **how: Any
        ) -> Any:
            pairs = [(p.content, -1 if p.style is None else p.style) for p in how["pairs"]]
            inputs = {
                "CONTENT": content,
                "STYLE": style,
                "CONTENT_LABELS": content_labels,
                "STYLE_LABELS": style_labels,
                "PAIRS": np.array(pairs, dtype=np.int32).reshape(-1, 2),
                "ALPHA": np.array([how["alpha"]], dtype=np.float32),
                "TRANSFER_AT": bytes_tensor(",".join(how["places"])),
                "BLEND": np.array([how["blend"]], dtype=np.int32),
            }
            outputs = call_model(triton, WCT2, inputs, request)
            return Transferred(outputs["IMAGE"], bool(outputs["STYLE_CACHED"].item()))

        return Models(transfer, segment if self._classes else None, self._classes)

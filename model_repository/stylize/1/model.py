"""Triton adapter of `photoreal.serve.stylize`: tensors in, one call, tensors out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import SEGMENTER, SEGMENTER_CLASSES_FILE, STYLIZE, WCT2
from photoreal.preprocess import Limits
from photoreal.serve.adapter import (
    answer,
    blob,
    blobs,
    bytes_tensor,
    call_model,
    is_exported,
    read_inputs,
    text,
)
from photoreal.serve.known_regions import KnownRegions
from photoreal.serve.request import Models, StylizeRequest, Transferred
from photoreal.serve.sequences import SteadyRegions
from photoreal.serve.style_strip import wct2_inputs
from photoreal.serve.stylize import stylize


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        repository = Path(args["model_repository"]).parent
        self._classes: tuple[str, ...] = ()
        self._sequences, self._known = SteadyRegions(), KnownRegions()
        if is_exported(repository, SEGMENTER.name):
            listing = repository / SEGMENTER.name / SEGMENTER_CLASSES_FILE
            self._classes = tuple(listing.read_text().splitlines())

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, STYLIZE, requests, self._serve)

    def _serve(self, request: Any) -> dict[str, Any]:
        values = read_inputs(triton, STYLIZE, request)
        convert: dict[str, Callable[[Any], Any]] = {
            "CONTENT": blob,
            "STYLE": blobs,
            "CONTENT_MASK": blob,
            "STYLE_MASK": blobs,
            "STYLE_WEIGHTS": lambda value: value.tolist(),
            "ALPHA": lambda value: float(value.item()),
            "SIZE": lambda value: int(value.item()),
            "TRANSFER_AT": text,
            "SEGMENT": lambda value: bool(value.item()),
            "MATCH": text,
            "BLEND": lambda value: int(value.item()),
            "SEQUENCE": blob,
            "STEADY": lambda value: float(value.item()),
        }
        given: dict[str, Any] = {name.lower(): convert[name](v) for name, v in values.items()}
        models = self._models(request.request_id())
        memories = self._sequences, self._known
        response = stylize(StylizeRequest(**given), models, Limits(), *memories)
        return {
            name: bytes_tensor(getattr(response, name.lower())) for name in STYLIZE.output_names()
        }

    def _models(self, request_id: str) -> Models:
        def segment(image: Any) -> Any:
            inputs = {"IMAGE": image[None]}
            outputs = call_model(triton, SEGMENTER, inputs, request_id, ["PROBABILITIES"])
            return outputs["PROBABILITIES"][0]

        def transfer(content: Any, content_labels: Any, styles: Any, **how: Any) -> Any:
            inputs = wct2_inputs(content, content_labels, styles, **how)
            outputs = call_model(triton, WCT2, inputs, request_id)
            return Transferred(outputs["IMAGE"], bool(outputs["STYLE_CACHED"].all()))

        return Models(transfer, segment if self._classes else None, self._classes)

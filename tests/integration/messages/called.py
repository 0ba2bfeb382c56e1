"""A Triton model that fails with the exception class TARGET and the message TEXT."""

from typing import Any, NoReturn

import triton_python_backend_utils as triton

from photoreal import errors
from photoreal.contract import ModelSpec, TensorSpec
from photoreal.pipeline.tensors import text
from photoreal.serve.backend.adapter import answer, read_inputs
from photoreal.serve.backend.metrics import RequestMetrics

CALLED = ModelSpec(
    "called",
    "python",
    (TensorSpec("TARGET", "BYTES", (1,)), TensorSpec("TEXT", "BYTES", (1,))),
    (TensorSpec("ERROR", "BYTES", (1,)),),
)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._metrics = RequestMetrics(triton, CALLED.name)

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, CALLED, requests, self._serve, self._metrics)

    def _serve(self, request: Any) -> NoReturn:
        inputs = read_inputs(triton, CALLED, request)
        raise getattr(errors, text(inputs["TARGET"]))(text(inputs["TEXT"]))

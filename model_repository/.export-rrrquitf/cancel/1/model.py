"""Triton adapter of `photoreal.serve.backend.canceled`: marks a request as canceled by its key."""

from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from photoreal.contract import CANCEL
from photoreal.pipeline.tensors import text
from photoreal.serve.backend.adapter import answer, read_inputs
from photoreal.serve.backend.canceled import CanceledKeys
from photoreal.serve.backend.metrics import RequestMetrics


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._canceled = CanceledKeys()
        self._metrics = RequestMetrics(triton, CANCEL.name)

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, CANCEL, requests, self._serve, self._metrics)

    def _serve(self, request: Any) -> dict[str, Any]:
        self._canceled.add(text(read_inputs(triton, CANCEL, request)["KEY"]))
        return {"ACCEPTED": np.array([True])}

    def finalize(self) -> None:
        self._canceled.close()

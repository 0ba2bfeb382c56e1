"""Triton adapter of `photoreal.serve.wct2`: tensors in, one call, tensors out."""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import WCT2
from photoreal.serve.adapter import answer, read_inputs
from photoreal.serve.wct2 import make_engine, serve_wct2


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        self._engine = make_engine(triton, args["model_config"], folder)

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, WCT2, requests, self._serve)

    def _serve(self, request: Any) -> dict[str, Any]:
        return serve_wct2(read_inputs(triton, WCT2, request), self._engine)

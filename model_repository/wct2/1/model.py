"""Triton adapter of `photoreal.serve.wct2`: tensors in, one call, tensors out."""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import WCT2
from photoreal.serve.adapter import answer, read_inputs
from photoreal.serve.metrics import RequestMetrics, StyleCacheMetrics
from photoreal.serve.style_cache import StyleCache, cache_limit
from photoreal.serve.wct2 import engine_for, make_engine, serve_wct2


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        self._engine = make_engine(triton, args["model_config"], folder)
        self._cache = StyleCache(cache_limit())
        self._lookups = StyleCacheMetrics(triton)
        self._metrics = RequestMetrics(triton, WCT2.name)

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, WCT2, requests, self._serve, self._metrics)

    def _serve(self, request: Any) -> dict[str, Any]:
        inputs = read_inputs(triton, WCT2, request)
        outputs = serve_wct2(inputs, engine_for(self._engine, request), self._cache)
        self._lookups.looked_up(outputs["STYLE_CACHED"].item(), self._cache.bytes)
        return outputs

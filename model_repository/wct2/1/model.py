"""Triton adapter of `photoreal.serve.wct2`: tensors in, one call, tensors out."""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import CANARY_ID, WCT2
from photoreal.serve.adapter import answer, read_inputs
from photoreal.serve.style_cache import StyleCache, cache_limit
from photoreal.serve.wct2 import make_engine, serve_wct2


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        self._engine = make_engine(triton, args["model_config"], folder)
        self._cache = StyleCache(cache_limit())
        self._no_cache = StyleCache(0)
        self._lookups = triton.MetricFamily(  # Triton's metrics end with their family
            name="photoreal_style_cache_lookups_total",
            description="Styles looked up in the cache, by whether they were known.",
            kind=triton.MetricFamily.COUNTER,
        )
        self._counts = {
            cached: self._lookups.Metric(labels={"result": "hit" if cached else "miss"})
            for cached in (True, False)
        }
        self._size = triton.MetricFamily(
            name="photoreal_style_cache_bytes",
            description="Bytes that known styles take.",
            kind=triton.MetricFamily.GAUGE,
        )
        self._bytes = self._size.Metric(labels={})

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer(triton, WCT2, requests, self._serve)

    def _serve(self, request: Any) -> dict[str, Any]:
        inputs = read_inputs(triton, WCT2, request)
        if request.request_id() == CANARY_ID:
            return serve_wct2(inputs, self._engine, self._no_cache)
        outputs = serve_wct2(inputs, self._engine, self._cache)
        self._counts[outputs["STYLE_CACHED"].item()].increment(1)
        self._bytes.set(self._cache.bytes)
        return outputs

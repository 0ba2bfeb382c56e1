"""Triton adapter of `photoreal.pipeline.wct2.model`: tensors in, one call, tensors out."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton

from photoreal.contract import CANARY_ID, WCT2
from photoreal.pipeline.memory import check_transfer_memory
from photoreal.pipeline.sequences import SequenceStore
from photoreal.pipeline.wct2.model import serve_wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.pipeline.wct2.style_strip import style_photos
from photoreal.preprocess import check_sides
from photoreal.serve.backend.adapter import answer, read_inputs
from photoreal.serve.backend.engines import engine_for, make_engine, weights_of
from photoreal.serve.backend.heap import FreedMemory, idle_seconds
from photoreal.serve.backend.metrics import LevelMetrics, RequestMetrics, StyleCacheMetrics
from photoreal.serve.backend.stoppable import StoppableEngine
from photoreal.serve.backend.variables import cache_limit
from photoreal.serve.backend.watch import Guard
from photoreal.transfer.steady import SteadyMoments


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        self._engine = make_engine(triton, args["model_config"], folder)
        weights = cache(partial(weights_of, args["model_config"], folder))
        self._cache = StyleCache(cache_limit(), weights)
        self._no_cache = StyleCache(0, weights)
        self._sequences = SequenceStore(SteadyMoments)
        self._guard = Guard()
        self._lookups = StyleCacheMetrics(triton)
        self._levels = LevelMetrics(triton)
        self._metrics = RequestMetrics(triton, WCT2.name)
        self._freed = FreedMemory(idle_seconds())

    def execute(self, requests: list[Any]) -> list[Any]:
        try:
            return answer(triton, WCT2, requests, self._serve, self._metrics)
        finally:
            # Canaries arrive even when the server is idle; they must not reset the idle timer.
            if any(request.request_id() != CANARY_ID for request in requests):
                self._freed.after_request()

    def _serve(self, request: Any) -> dict[str, Any]:
        inputs = read_inputs(triton, WCT2, request)
        photos = [inputs["CONTENT"], *style_photos(inputs)]
        check_sides(photos, self._guard.limits)
        check_transfer_memory(photos, self._guard.limits)
        self._freed.before_request(max(photo[0].size for photo in photos))
        watch = self._guard.watch(request)

        def before_level() -> None:
            watch.check()
            self._levels.begun()

        engine = StoppableEngine(engine_for(self._engine, request), before_level)
        wanted = request.requested_output_names() or WCT2.output_names()
        if request.request_id() == CANARY_ID:
            return serve_wct2(inputs, engine, self._no_cache, wanted=wanted)
        outputs = serve_wct2(inputs, engine, self._cache, self._sequences, wanted)
        for cached in outputs["STYLE_CACHED"].tolist():
            self._lookups.looked_up(cached, self._cache.bytes)
        return outputs

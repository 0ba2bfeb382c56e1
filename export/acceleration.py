"""ONNX Runtime on a GPU: CUDA provider options, TensorRT acceleration and the engine cache."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.contract import ModelSpec
from photoreal.export.tensorrt import profiles

ACCELERATORS = ("cuda", "tensorrt")
"""Execution providers on a GPU: ONNX Runtime's own CUDA kernels, or TensorRT for the subgraphs
that it supports."""
ENGINE_CACHE = "/var/cache/photoreal/engines"
"""Default folder of TensorRT engines, in the container; the server needs write access to it."""


@dataclass(frozen=True)
class Acceleration:
    """The TensorRT execution provider of ONNX Runtime.

    Engines are built for the installed GPU when a model is first loaded, which takes minutes, and
    are read from the folder `cache` on later loads. `precision`: "fp32" or "fp16".
    """

    precision: str = "fp32"
    cache: str = ENGINE_CACHE


CUDA_PARAMETERS = {
    # Triton's default benchmarks every algorithm for each new image size, which takes seconds.
    "cudnn_conv_algo_search": "1",  # heuristic
    # Each model has its own memory arena, which would otherwise grow in powers of two.
    "arena_extend_strategy": "1",  # same as requested
}
"""CUDA provider options, as parameters of Triton's ONNX Runtime backend."""


def optimization(spec: ModelSpec, acceleration: Acceleration, max_side: int) -> str:
    """Return the config section that enables TensorRT, with the shapes of the engines' profiles."""
    parameters = {
        "precision_mode": acceleration.precision.upper(),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": acceleration.cache,
        "trt_engine_cache_prefix": spec.name,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": acceleration.cache,
        **_shapes(spec, max_side),
    }
    lines = [
        f'      parameters {{ key: "{key}" value: "{value}" }}' for key, value in parameters.items()
    ]
    return "\n".join(
        [
            "optimization {",
            "  execution_accelerators {",
            "    gpu_execution_accelerator [ {",
            '      name: "tensorrt"',
            *lines,
            "    } ]",
            "  }",
            "}",
        ]
    )


def _shapes(spec: ModelSpec, max_side: int) -> dict[str, str]:
    """Minimum, maximum and optimum shape of every input, formatted as INPUT:1x3x16x16."""
    found = profiles(spec, max_side)
    kinds = {"min": "smallest", "max": "largest", "opt": "best"}
    return {
        f"trt_profile_{short}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, getattr(profile, kind)))}"
            for name, profile in found.items()
        )
        for short, kind in kinds.items()
    }

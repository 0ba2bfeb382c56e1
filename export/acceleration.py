"""How ONNX Runtime runs a network on a GPU: through TensorRT, with engines kept on disk."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.contract import ModelSpec
from photoreal.export.tensorrt import profiles

ACCELERATORS = ("cuda", "tensorrt")
"""What ONNX Runtime takes on a GPU: its own kernels, or TensorRT where that can run a part."""
ENGINE_CACHE = "/var/cache/photoreal/engines"
"""Where the container keeps TensorRT engines; the server has to be able to write there."""


@dataclass(frozen=True)
class Acceleration:
    """TensorRT inside ONNX Runtime.

    Engines are built for the GPU at hand when a model is first loaded, which takes minutes, and
    are read from the folder `cache` from then on. `precision`: "fp32" or "fp16".
    """

    precision: str = "fp32"
    cache: str = ENGINE_CACHE


CUDA_PARAMETERS = {
    # Triton's default times every algorithm for every new size of picture, which takes seconds.
    "cudnn_conv_algo_search": "1",  # heuristic
    # Each model has an arena of its own, which would grow to powers of two.
    "arena_extend_strategy": "1",  # as requested
}
"""Options of ONNX Runtime's CUDA provider, in the words of Triton's backend."""


def optimization(spec: ModelSpec, acceleration: Acceleration, max_side: int) -> str:
    """The part of a model's config that asks for it; the shapes are those of the engines."""
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
    """The smallest, largest and best shape of every input, as in INPUT:1x3x16x16."""
    found = profiles(spec, max_side)
    kinds = {"min": "smallest", "max": "largest", "opt": "best"}
    return {
        f"trt_profile_{short}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, getattr(profile, kind)))}"
            for name, profile in found.items()
        )
        for short, kind in kinds.items()
    }

"""How ONNX Runtime runs a network on a GPU: through TensorRT, with engines kept on disk."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.contract import ModelSpec
from photoreal.export.tensorrt import profiles

DEVICES = ("cpu", "gpu")
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


def optimization(spec: ModelSpec, acceleration: Acceleration) -> str:
    """The part of a model's config that asks for it; the shapes are those of the engines."""
    parameters = {
        "precision_mode": acceleration.precision.upper(),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": acceleration.cache,
        "trt_engine_cache_prefix": spec.name,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": acceleration.cache,
        **_shapes(spec),
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


def _shapes(spec: ModelSpec) -> dict[str, str]:
    """The smallest, largest and best shape of every input, as in INPUT:1x3x16x16."""
    found = profiles(spec)
    kinds = {"min": "smallest", "max": "largest", "opt": "best"}
    return {
        f"trt_profile_{short}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, getattr(profile, kind)))}"
            for name, profile in found.items()
        )
        for short, kind in kinds.items()
    }

"""Build TensorRT engines from ONNX files; needs the tensorrt package and a GPU."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import torch

from photoreal.contract import SEGMENTER, ModelSpec, TensorSpec
from photoreal.errors import ExportError

MIN_SIDE, BEST_SIDE = 16, 1024
"""Image sides in pixels: the smallest that an engine accepts, and the side it is optimized for.

The smallest is that of the server, whose health checks also use it.
"""
DEFAULT_MAX_SIDE = 1536
"""Default longest side in pixels; each engine reserves memory that grows with its square."""
_SEGMENTER_SIDE = 448
"""Side that the segmenter is optimized for; most of its inputs have about 200,000 pixels."""


class Profile(NamedTuple):
    """Smallest, best and largest shape (N, C, H, W) of one input."""

    smallest: tuple[int, ...]
    best: tuple[int, ...]
    largest: tuple[int, ...]


def profiles(spec: ModelSpec, max_side: int = DEFAULT_MAX_SIDE) -> dict[str, Profile]:
    """Optimization profile of each input, by name, for batches of one image."""
    best = _SEGMENTER_SIDE if spec.name == SEGMENTER.name else BEST_SIDE
    sides = (MIN_SIDE, min(best, max_side), max_side)
    return {
        tensor.name: Profile(*(_shape(tensor, side) for side in sides)) for tensor in spec.inputs
    }


def _shape(tensor: TensorSpec, side: int) -> tuple[int, ...]:
    return (1, *(size if size > 0 else side // tensor.stride for size in tensor.dims))


def require_tensorrt() -> Any:
    """Return the tensorrt module; raises ExportError if it is not installed or there is no GPU."""
    if importlib.util.find_spec("tensorrt") is None:
        raise ExportError(
            "The package tensorrt is missing; install it on the machine whose GPU will run the"
            " engines, or export without --tensorrt."
        )
    if not torch.cuda.is_available():
        raise ExportError(
            "TensorRT engines are built on the GPU that will run them, but there is no GPU here;"
            " export without --tensorrt."
        )
    return importlib.import_module("tensorrt")


def build_engine(
    spec: ModelSpec,
    onnx_file: Path,
    plan_file: Path,
    precision: str,
    max_side: int = DEFAULT_MAX_SIDE,
) -> None:
    """Build the engine of one model; raises ExportError with TensorRT's error messages."""
    trt = require_tensorrt()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    flags = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if flags is None else 1 << int(flags))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_file.read_bytes()):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f"TensorRT cannot read {spec.name}: {reasons}.")
    config = builder.create_builder_config()
    if precision == "fp16" and hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    for name, bounds in profiles(spec, max_side).items():
        profile.set_shape(name, *bounds)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ExportError(f"TensorRT could not build an engine for {spec.name}; see its log.")
    plan_file.write_bytes(bytes(engine))

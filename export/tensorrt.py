"""ONNX files to TensorRT engines, where the tensorrt package and a GPU are there."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import torch

from photoreal.contract import ModelSpec, TensorSpec
from photoreal.errors import ExportError

MIN_SIDE, BEST_SIDE, MAX_SIDE = 16, 1024, 2048
"""Picture sides in pixels that an engine serves, and the one that it is tuned for.

The smallest is the server's own, at which it also tries whether it works.
"""


class Profile(NamedTuple):
    """Smallest, best and largest shape (N, C, H, W) of one input."""

    smallest: tuple[int, ...]
    best: tuple[int, ...]
    largest: tuple[int, ...]


def profiles(spec: ModelSpec) -> dict[str, Profile]:
    """Optimisation profile of each input, by name."""
    return {tensor.name: _profile(tensor, spec.max_batch_size) for tensor in spec.inputs}


def _profile(tensor: TensorSpec, batches: int) -> Profile:
    def shape(batch: int, side: int) -> tuple[int, ...]:
        return (batch, *(size if size > 0 else side // tensor.stride for size in tensor.dims))

    return Profile(shape(1, MIN_SIDE), shape(1, BEST_SIDE), shape(batches, MAX_SIDE))


def require_tensorrt() -> Any:
    """The tensorrt module; raises ExportError when it or a GPU is not there."""
    if importlib.util.find_spec("tensorrt") is None:
        raise ExportError(
            "TensorRT engines need the tensorrt package, which is not installed; install it on"
            " the machine with the GPU that will serve, or export without --tensorrt."
        )
    if not torch.cuda.is_available():
        raise ExportError(
            "TensorRT engines are built on the GPU that will serve them, and there is none here;"
            " export without --tensorrt."
        )
    return importlib.import_module("tensorrt")


def build_engine(spec: ModelSpec, onnx_file: Path, plan_file: Path, precision: str) -> None:
    """Build the engine of one model; raises ExportError with TensorRT's own words."""
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
    for name, bounds in profiles(spec).items():
        profile.set_shape(name, *bounds)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ExportError(f"TensorRT built no engine for {spec.name}; its log tells why.")
    plan_file.write_bytes(bytes(engine))

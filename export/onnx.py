"""Export of a network module to an ONNX file, and the check that the two agree."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from photoreal.contract import SEGMENTER, ModelSpec
from photoreal.errors import ExportError
from photoreal.export.wrappers import Half
from photoreal.serve.backend.onnxruntime.session import open_session

Array = npt.NDArray[Any]

OPSET = 18
TRACED = (2, 64, 96)
"""Batch, height and width of the input that the export is traced with."""
CHECKED = ((2, 64, 96), (1, 48, 112))
"""Input sizes of the check; the second differs from the traced size in every dimension."""

# Largest error relative to the largest magnitude, for WCT2's levels and for the segmenter, whose
# fifty layers and softmax accumulate more rounding; for label maps, the share of pixels that
# differ.
_TOLERANCES = {"fp32": (1e-4, 1e-3), "fp16": (1e-2, 2e-2)}


def sample_inputs(spec: ModelSpec, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Random inputs of a model in 0..1, with the shapes that an image of this size produces."""
    generator = torch.Generator().manual_seed(height * width + batch)
    shapes = [
        (
            batch,
            *(
                d if d > 0 else size // tensor.stride
                for d, size in zip(tensor.dims, (0, height, width), strict=True)
            ),
        )
        for tensor in spec.inputs
    ]
    return tuple(torch.rand(shape, generator=generator) for shape in shapes)


def export_onnx(module: nn.Module, spec: ModelSpec, path: Path, precision: str) -> None:
    """Write `module`, in evaluation mode, to `path` with dynamic batch, height and width."""
    samples = sample_inputs(spec, *TRACED)
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    # Variadic arguments count as one: all inputs of Half, and the skips of a decoder level.
    shapes: tuple[object, ...] = (free, (free,) * (len(samples) - 1))[: len(samples)]
    if precision == "fp16":
        shapes = ((free,) * len(samples),)
    with _quiet():
        torch.onnx.export(
            Half(module) if precision == "fp16" else module,
            samples,
            path,
            input_names=spec.input_names(),
            output_names=spec.output_names(),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@torch.inference_mode()
def check_onnx(module: nn.Module, spec: ModelSpec, path: Path, precision: str) -> float:
    """Return the largest error of the ONNX file against `module` in float32, at two sizes.

    The file runs in ONNX Runtime. The error is relative to the largest value of its tensor; for
    label maps it is the share of pixels that differ. Raises ExportError if it exceeds the tolerance
    of `precision`.
    """
    session = open_session(path)
    level, segmenter = _TOLERANCES[precision]
    limit = segmenter if spec.name == SEGMENTER.name else level
    worst = 0.0
    for size in CHECKED:
        inputs = sample_inputs(spec, *size)
        feed = {name: x.numpy() for name, x in zip(spec.input_names(), inputs, strict=True)}
        results: Sequence[Array] = session.run(spec.output_names(), feed)
        for tensor, expected, found in zip(spec.outputs, module(*inputs), results, strict=True):
            error = _error(expected.numpy(), found)
            if not error <= limit:
                raise ExportError(
                    f"{spec.name} does not agree with its network: {tensor.name} is off by"
                    f" {error:.1e} at {size[1]}x{size[2]}, allowed {limit:.0e}."
                )
            worst = max(worst, error)
    return worst


def _error(expected: Array, found: Array) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    if expected.dtype == np.uint8:
        return float(np.mean(expected != found))
    return float(np.abs(expected - found).max() / max(np.abs(expected).max(), 1e-6))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress output and its warnings about packages that are not used."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

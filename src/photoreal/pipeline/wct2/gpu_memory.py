"""Requests for which a GPU has too little memory are refused with a size that may fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch

from photoreal.errors import NO_ROOM_ON_GPU, InvalidOption, ModelFailed
from photoreal.pipeline.tensors import Array

# What the models of the bls engine say; ONNX Runtime has words of its own.
_NO_ROOM_MARKS = ("out of memory", "Failed to allocate memory")

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def within_gpu_memory(
    serve: Callable[Concatenate[dict[str, Array], _Given], _Result],
) -> Callable[Concatenate[dict[str, Array], _Given], _Result]:
    """Let what serves the inputs of `wct2` refuse those for which a GPU has too little memory.

    That raises InvalidOption. What the request had taken is given back, for the next one.
    """

    @wraps(serve)
    def run(inputs: dict[str, Array], /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return serve(inputs, *args, **kwargs)
        except torch.OutOfMemoryError:
            pass
        except ModelFailed as error:
            if not any(mark in str(error) for mark in _NO_ROOM_MARKS):
                raise
        # Outside of the handler: until its end the traceback holds on to the tensors.
        torch.cuda.empty_cache()
        height, width = inputs["CONTENT"].shape[1:]
        smaller = math.floor(min(height, width) * math.sqrt(0.5))
        raise InvalidOption(
            f"{NO_ROOM_ON_GPU} a content of {width}x{height} pixels; a size of {smaller} takes"
            " about half of that."
        )

    return run

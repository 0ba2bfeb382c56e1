"""Where the local engine runs its networks, in which precision, and what may be wrong with that."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import torch

from photoreal.contract import (
    DEVICE_PARAMETER,
    DEVICE_VARIABLE,
    DEVICES,
    PRECISION_PARAMETER,
    PRECISION_VARIABLE,
    PRECISIONS,
)
from photoreal.errors import InvalidOption, ServeError
from photoreal.serve.adapter import NO_ROOM_ON_GPU, Array, ModelFailed, parameter
from photoreal.serve.driver import check_driver

ASKED = "The device cuda is asked for"
INSTEAD = "give it a GPU, or serve with --device cpu."

# What the models of the bls engine say; ONNX Runtime has words of its own.
_NO_ROOM_MARKS = ("out of memory", "Failed to allocate memory")

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Placement(NamedTuple):
    """A torch device by name, and whether networks are in half precision there."""

    device: str
    half: bool


def chosen_placement(model_config: str) -> Placement:
    """What the environment or else the config asks for; raises ServeError.

    On a GPU half precision is the default, on a CPU it would be slower.
    """
    device = _chosen(model_config, DEVICE_VARIABLE, DEVICE_PARAMETER, DEVICES, DEVICES[0])
    usual = "fp16" if device == "cuda" else "fp32"
    precision = _chosen(model_config, PRECISION_VARIABLE, PRECISION_PARAMETER, PRECISIONS, usual)
    if device == "cpu" and precision == "fp16":
        raise ServeError("The precision fp16 is for the device cuda; expected fp32 on the cpu.")
    return Placement(device, precision == "fp16")


def _chosen(model_config: str, variable: str, name: str, allowed: Sequence[str], usual: str) -> str:
    chosen = os.environ.get(variable) or parameter(model_config, name, usual)
    if chosen not in allowed:
        raise ServeError(f"The {name} {chosen!r} is not known; expected {' or '.join(allowed)}.")
    return chosen


def require_cuda() -> None:
    """Raise ServeError unless PyTorch can use a GPU here."""
    check_driver(ASKED, INSTEAD, torch.version.cuda, "this PyTorch")
    if torch.version.cuda is None:
        raise ServeError(
            f"{ASKED}, but this PyTorch is built without CUDA; install a build with it, or serve"
            " with --device cpu."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sentence below says it
        usable = torch.cuda.is_available()
    if not usable:
        raise ServeError(f"{ASKED} and PyTorch can use none here; {INSTEAD}")


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

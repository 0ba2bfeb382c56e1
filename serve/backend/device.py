"""Device and precision of the local engine, and the check that CUDA can be used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch

from photoreal.contract import (
    DEVICE_PARAMETER,
    DEVICE_VARIABLE,
    DEVICES,
    PRECISION_PARAMETER,
    PRECISION_VARIABLE,
    PRECISIONS,
)
from photoreal.errors import ServeError
from photoreal.serve.backend.adapter import parameter
from photoreal.serve.backend.driver import check_driver

ASKED = "The device is set to cuda"
INSTEAD = "use a machine with a GPU, or serve with --device cpu."


class Placement(NamedTuple):
    """Name of a torch device, and whether the networks run in half precision on it."""

    device: str
    half: bool


def chosen_placement(model_config: str) -> Placement:
    """Return the placement from the environment or else from the config; raises ServeError.

    Half precision is the default on a GPU; on a CPU it would be slower than float32.
    """
    device = _chosen(model_config, DEVICE_VARIABLE, DEVICE_PARAMETER, DEVICES, DEVICES[0])
    usual = "fp16" if device == "cuda" else "fp32"
    precision = _chosen(model_config, PRECISION_VARIABLE, PRECISION_PARAMETER, PRECISIONS, usual)
    if device == "cpu" and precision == "fp16":
        raise ServeError("The precision fp16 requires the device cuda; expected fp32 on cpu.")
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
        warnings.simplefilter("ignore")  # the error below reports it
        usable = torch.cuda.is_available()
    if not usable:
        raise ServeError(f"{ASKED}, but PyTorch cannot use a GPU here; {INSTEAD}")

"""Building the tensors of a request to the model ``stylize``, as its contract says."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype

from photoreal.client.errors import InvalidInput
from photoreal.client.inputs import encode_image
from photoreal.contract import STYLIZE, TensorSpec

Tensors: TypeAlias = dict[str, NDArray[Any]]
"""Tensors by their names in the contract, of the contract's types and shapes."""

IMAGES = ("content", "style", "content_mask", "style_mask")
"""The arguments that are images; all the others are options."""

ARGUMENTS = {"STYLE_WEIGHTS": "weights"}
"""Arguments that are called otherwise than their tensors."""

# What a Python value must be to become a tensor of Triton's type, and how messages call it.
_PYTHON_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "FP32": ((numbers.Real,), "number"),
    "INT32": ((numbers.Integral,), "whole number"),
    "BOOL": ((bool, np.bool_), "bool"),
    "BYTES": ((str,), "str"),
}


def build_inputs(**arguments: Any) -> Tensors:
    """Input tensors for the arguments of ``stylize``; those that are None are left out.

    Args:
        arguments: an argument's name is its tensor's in lower case, or in `ARGUMENTS`. What may
            be several is one value, or a list or tuple of them.

    Raises:
        InvalidInput: an argument has the wrong Python type, or names no readable file.
    """
    tensors: Tensors = {}
    for spec in STYLIZE.inputs:
        name = ARGUMENTS.get(spec.name, spec.name.lower())
        value: Any = arguments.get(name)
        if value is None and spec.optional:
            continue
        values = _several(name, value) if spec.dims == (-1,) else [value]
        if name in IMAGES:
            numbers = [f" {i + 1}" for i in range(len(values))] if len(values) > 1 else [""]
            files = [_image(name, *one) for one in zip(values, numbers, strict=True)]
            tensors[spec.name] = np.array(files, dtype=triton_to_np_dtype(spec.dtype))
        elif name == "pairs":
            tensors[spec.name] = _pairs(value, spec)
        else:
            options = [_option(name, _joined(name, one), spec) for one in values]
            tensors[spec.name] = np.concatenate(options)
    return tensors


def _several(name: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value]
    if not value:
        raise InvalidInput(f"{name} is empty; expected one or more.")
    return list(value)


def _image(name: str, value: Any, number: str) -> bytes:
    role = name.replace("_", " ")
    return encode_image(value, f"{role}{number}", mask=name.endswith("mask"))


def _joined(name: str, value: object) -> object:
    """Join the places of ``transfer_at`` to the one string that is sent."""
    if name != "transfer_at" or isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        places = list(value)
        if all(isinstance(place, str) for place in places):
            return ",".join(places)
    raise InvalidInput(f"transfer_at is {value!r}; expected a str or several of them.")


def _pairs(value: Any, spec: TensorSpec) -> NDArray[Any]:
    """A row a pair: content label, style label; -1 stands for None, the whole style photo."""
    try:
        rows = [(ours, -1 if theirs is None else theirs) for ours, theirs in value]
    except (TypeError, ValueError):
        rows = [("", "")]
    if not all(_is_label(ours, 0) and _is_label(theirs, -1) for ours, theirs in rows):
        raise InvalidInput(
            f"pairs is {value!r}; expected pairs of labels, 0 to 255, such as [(1, 1), (2, None)]."
        )
    return np.array(rows, dtype=triton_to_np_dtype(spec.dtype)).reshape(-1, 2)


def _option(name: str, value: Any, spec: TensorSpec) -> NDArray[Any]:
    types, words = _PYTHON_TYPES[spec.dtype]
    is_bool = isinstance(value, bool | np.bool_)  # Python counts True as a number
    if not isinstance(value, types) or (is_bool and spec.dtype != "BOOL"):
        raise InvalidInput(f"{name} is {value!r}; expected a {words}.")
    if isinstance(value, str):
        value = value.encode()
    dtype = np.dtype(triton_to_np_dtype(spec.dtype))
    if dtype.kind == "i" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise InvalidInput(f"{name} is {value}, which does not fit {spec.dtype}.")
    with np.errstate(over="ignore"):  # too large a float is sent as infinite, and refused
        return np.array([value], dtype=dtype)


def _is_label(value: Any, lowest: int) -> bool:
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_number and lowest <= value <= 255

"""Input tensors of a request to the model ``stylize``, as its contract defines them."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput
from photoreal.contract import STYLIZE, TensorSpec
from photoreal.options import STYLIZE_OPTIONS, Option

Tensors: TypeAlias = dict[str, NDArray[Any]]
"""Tensors by name, with the types and shapes of the contract."""

IMAGES = STYLIZE.inputs[: -len(STYLIZE_OPTIONS)]
"""The image inputs; all other inputs are options."""

# Python types accepted for each of Triton's types, and their name in error messages.
_PYTHON_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "FP32": ((numbers.Real,), "number"),
    "INT32": ((numbers.Integral,), "whole number"),
    "BOOL": ((bool, np.bool_), "bool"),
    "BYTES": ((str,), "str"),
}


def build_inputs(**arguments: Any) -> Tensors:
    """Build the input tensors of ``stylize``; arguments that are None are left out.

    Args:
        arguments: images by the lower-case name of their tensor, and options by name. An argument
            that allows several values is one value, or a list or tuple of them.

    Raises:
        InvalidInput: an argument has the wrong Python type, or a file cannot be read.
    """
    tensors: Tensors = {}
    for spec in IMAGES:
        name = spec.name.lower()
        value: Any = arguments.get(name)
        if value is not None or not spec.optional:
            tensors[spec.name] = _images(name, value, spec)
    for option in STYLIZE_OPTIONS:
        value = arguments.get(option.name)
        if value is not None:
            tensors[option.tensor] = _tensor(option, value)
    return tensors


def _images(name: str, value: Any, spec: TensorSpec) -> NDArray[Any]:
    values = _several(name, value) if spec.dims == (-1,) else [value]
    numbers = [f" {i + 1}" for i in range(len(values))] if len(values) > 1 else [""]
    files = [_image(name, *one) for one in zip(values, numbers, strict=True)]
    return np.array(files, dtype=np.object_)


def _tensor(option: Option, value: Any) -> NDArray[Any]:
    if option.kind == "pairs":
        return _pairs(option, value)
    if option.kind == "words":
        value = _joined(option.name, value)
    values = _several(option.name, value) if option.kind == "numbers" else [value]
    return np.concatenate([_element(option, one) for one in values])


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
    """Join several words with commas, as they are sent."""
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        words = list(value)
        if all(isinstance(word, str) for word in words):
            return ",".join(words)
    raise InvalidInput(f"{name} is {value!r}; expected a str or a list of them.")


def _pairs(option: Option, value: Any) -> NDArray[Any]:
    """Rows (content label, style label); -1 means None, the whole style photo."""
    try:
        rows = [(ours, -1 if theirs is None else theirs) for ours, theirs in value]
    except (TypeError, ValueError):
        rows = [("", "")]
    if not all(_is_label(ours, 0) and _is_label(theirs, -1) for ours, theirs in rows):
        raise InvalidInput(
            f"{option.name} is {value!r}; expected pairs of labels, 0 to 255, such as [(1, 1),"
            " (2, None)]."
        )
    return np.array(rows, dtype=np.int32).reshape(-1, 2)


def _element(option: Option, value: Any) -> NDArray[Any]:
    """Encode one value as a tensor [1]."""
    name = option.name
    types, words = _PYTHON_TYPES[option.dtype]
    if option.kind == "id":
        types, words = (str, bytes), "str"
    is_bool = isinstance(value, bool | np.bool_)  # Python counts True as a number
    if not isinstance(value, types) or (is_bool and option.dtype != "BOOL"):
        raise InvalidInput(f"{name} is {value!r}; expected a {words}.")
    if isinstance(value, str):
        value = value.encode()
    dtype = np.dtype(triton_to_np_dtype(option.dtype))
    if dtype.kind == "i" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise InvalidInput(f"{name} is {value}, which is out of range for {option.dtype}.")
    with np.errstate(over="ignore"):  # overflow becomes inf, which the server rejects
        return np.array([value], dtype=dtype)


def _is_label(value: Any, lowest: int) -> bool:
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_number and lowest <= value <= 255

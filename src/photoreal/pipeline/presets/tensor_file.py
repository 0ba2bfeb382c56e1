"""Bounded reading and deterministic writing of safetensors with one JSON object as metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

Array = npt.NDArray[Any]

MAX_HEADER = 1 << 16
"""Maximum size in bytes of the header, which lists the tensors; that of a preset has about 8000."""
_LENGTH = 8  # bytes before the header: its length
_ABOUT = "photoreal"


def is_tensor_file(data: bytes) -> bool:
    """Whether a file begins like safetensors with a header of acceptable size, as no image does."""
    length = int.from_bytes(data[:_LENGTH], "little")
    return data[_LENGTH : _LENGTH + 1] == b"{" and length <= MAX_HEADER


def write_tensors(about: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """Write tensors; the same content gives the same bytes."""
    # A single key: safetensors writes several keys in random order.
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    return save(ordered, {_ABOUT: json.dumps(about, ensure_ascii=False, sort_keys=True)})


def read_tensors(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `write_tensors` wrote; raises ValueError, with a reason, for any other file.

    The arrays are read-only.
    """
    if not is_tensor_file(data):
        raise ValueError("it is no safetensors file")
    try:
        tensors = load(data)
        length = int.from_bytes(data[:_LENGTH], "little")
        header = json.loads(data[_LENGTH : _LENGTH + length])
        about = json.loads(header["__metadata__"][_ABOUT])
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("its header or its tensors are damaged") from error
    if not isinstance(about, dict):
        raise ValueError("its metadata is no JSON object")
    return about, tensors


def take(tensors: Mapping[str, Array], name: str, dtype: str, *shape: int | None) -> Array:
    """Return a tensor with the given type and shape, None for any size, and finite values.

    Raises ValueError with a reason.
    """
    found = tensors.get(name)
    if found is None:
        raise ValueError(f"{name} is missing")
    fits = found.ndim == len(shape) and all(
        wanted is None or wanted == size for wanted, size in zip(shape, found.shape, strict=False)
    )
    if found.dtype != np.dtype(dtype) or not fits:
        raise ValueError(f"{name} has another type or shape")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds values that are not finite")
    return found


def take_regions(tensors: Mapping[str, Array], name: str, count: int) -> list[int]:
    """Return the ascending indices of regions below `count`; raises ValueError."""
    found: list[int] = take(tensors, name, "uint8", None).tolist()
    if found != sorted(set(found)) or any(region >= count for region in found):
        raise ValueError(f"{name} does not list regions")
    return found

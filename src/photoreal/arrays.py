"""Arrays on the CPU (numpy) or on a GPU (PyTorch), for code that handles both alike.

Element-wise arithmetic is written once with the functions of the Python array API standard
(`namespace`); the few operations that the standard lacks are here. PyTorch is imported only for
tensors, so a process without it can handle numpy arrays.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from PIL import Image

Floats: TypeAlias = Any
"""A float32 numpy array or a float32 tensor."""

Namespace: TypeAlias = Any


def namespace(*arrays: Floats) -> Namespace:
    """Array API functions for the type of the arrays."""
    return array_namespace(*arrays)


def is_tensor(array: Floats) -> bool:
    """Whether an array is a PyTorch tensor."""
    return not isinstance(array, np.ndarray)


def to_host(array: Floats) -> npt.NDArray[Any]:
    """The array as a numpy array; a tensor is copied if it is on a GPU or not contiguous."""
    if not is_tensor(array):
        return np.asarray(array)
    values: npt.NDArray[Any] = array.contiguous().cpu().numpy()
    return values


def like(array: npt.NDArray[Any], other: Floats) -> Floats:
    """A numpy array in the form of another one: unchanged, or as a tensor on its device."""
    if not is_tensor(other):
        return array
    import torch

    from photoreal.devices import send

    return send(torch.from_numpy(np.array(array)), other.device)


def cube_root(values: Floats) -> Floats:
    """Cube root of values from 0 up."""
    return values ** (1 / 3) if is_tensor(values) else np.cbrt(values)


PLANES_PIXELS = 1 << 22
"""Pixels of all planes that are computed together on a GPU, at up to 150 bytes each."""


def batches(count: int, pixels: int, other: Floats) -> list[slice]:
    """Batches of planes: on a GPU as many at once as its memory allows, on a CPU one by one.

    A GPU takes no longer for several small planes than for one. A CPU's cache holds one.
    """
    step = max(PLANES_PIXELS // pixels, 1) if is_tensor(other) else 1
    return [slice(first, first + step) for first in range(0, count, step)]


def median(values: Floats) -> Floats:
    """Median of all values."""
    return values.flatten().quantile(0.5) if is_tensor(values) else np.median(values)


def sums_by_key(keys: Floats, values: Floats, count: int) -> Floats:
    """Sum of the values (n,) of each key 0..count in keys (n,), in double precision."""
    if not is_tensor(values):
        return np.bincount(keys, values, count)
    sums = values.new_zeros(count).double()
    return sums.index_add_(0, keys, values.double())


def resize(planes: Floats, height: int, width: int) -> Floats:
    """Resize planes (K, H, W) bilinearly; with a filter as wide as the step when it shrinks."""
    if not is_tensor(planes):
        return np.stack([_resized(plane, height, width) for plane in planes])
    if tuple(planes.shape[1:]) == (height, width):
        return planes.clone()
    from torch.nn import functional as F

    shrinks = planes.shape[1] > height or planes.shape[2] > width
    return F.interpolate(
        planes[None], (height, width), mode="bilinear", align_corners=False, antialias=shrinks
    )[0]


def _resized(plane: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    if plane.shape == (height, width):
        return plane.copy()
    if plane.shape[0] <= height and plane.shape[1] <= width:
        return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))
    image = Image.fromarray(np.ascontiguousarray(plane))  # OpenCV would skip pixels
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))

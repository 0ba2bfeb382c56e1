"""Box filter: the mean over square windows, at a cost that hardly grows with the window."""

from __future__ import annotations

from typing import Literal

import numpy as np

from photoreal.arrays import Floats, is_tensor

Border = Literal["edge", "symmetric"]


def box_mean(planes: Floats, side: int, border: Border = "edge") -> Floats:
    """Mean over the windows around each pixel of planes (K, H, W); `side` is odd.

    Beyond its border a plane repeats its outermost pixel ("edge") or is mirrored ("symmetric").
    """
    half = side // 2
    if is_tensor(planes):
        from torch.nn import functional as F

        return F.avg_pool2d(F.avg_pool2d(_padded(planes, half, border), (side, 1), 1), (1, side), 1)

    wide = _wider(_wider(planes, half, border, -2), half, border, -1)
    means = _sums(_sums(wide, side, -2), side, -1)
    means /= np.float32(side**2)
    return means


def _wider(planes: Floats, half: int, border: Border, axis: int) -> Floats:
    """Extend planes by `half` pixels on both sides of an axis."""
    size = planes.shape[axis]
    beyond = np.zeros(half, dtype=np.int64)
    if border == "symmetric":
        beyond = np.arange(half) % (2 * size)
        beyond = np.minimum(beyond, 2 * size - 1 - beyond)
    parts = planes.take(beyond[::-1], axis), planes, planes.take(size - 1 - beyond, axis)
    return np.concatenate(parts, axis)


def _sums(values: Floats, side: int, axis: int) -> Floats:
    """Sums of `side` adjacent values along an axis: of pairs, pairs of pairs and so on."""
    count = values.shape[axis] - side + 1
    total, start, width = None, 0, 1
    while True:
        if side & width:
            part = _cut(values, axis, start, count)
            total = part if total is None else total + part
            start += width
        if 2 * width > side:
            return total
        length = values.shape[axis] - width
        values = _cut(values, axis, 0, length) + _cut(values, axis, width, length)
        width *= 2


def _cut(values: Floats, axis: int, start: int, count: int) -> Floats:
    cut = slice(start, start + count)
    return values[..., cut] if axis == -1 else values[..., cut, :]


def _padded(planes: Floats, half: int, border: Border) -> Floats:
    from torch.nn import functional as F

    if border == "edge":
        return F.pad(planes[None], (half, half, half, half), mode="replicate")[0]
    return _mirrored(_mirrored(planes, half).mT, half).mT


def _mirrored(planes: Floats, half: int) -> Floats:
    """Extend the rows of planes by their mirror images, border pixels included."""
    from torch import cat

    far = planes.shape[-1] - half
    return cat((planes[..., :half].flip(-1), planes, planes[..., far:].flip(-1)), -1)

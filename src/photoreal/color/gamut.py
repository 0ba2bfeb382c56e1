"""Colors outside the display's range, brought back without a change of hue.

Clipping each channel turns bright colors into flat patches of another hue. Here luma gets a
soft shoulder at both ends, and what still leaves the range moves toward its own gray.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.color.spaces import luma

KNEE = 0.05
"""Luma within this of black or white makes room for luma beyond it, so that nothing is cut off
flat."""


def compress_range(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A picture (3, H, W) of any values as one in 0..1; a picture in 0..1 does not change."""
    gray = luma(picture)
    color = picture - gray
    bent = _shoulder(gray)
    # How far each channel may go from the gray before it leaves the range.
    room = np.where(color > 0, 1.0 - bent, bent)
    reach = (room / np.maximum(np.abs(color), 1e-6)).min(axis=0)
    inside: npt.NDArray[np.float32] = bent + np.minimum(reach, 1.0) * color
    return np.asarray(np.clip(inside, 0.0, 1.0), dtype=np.float32)


def _shoulder(gray: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Luma in 0..1: beyond the knees bent as far as the most extreme values need."""
    return 1.0 - _below_one(1.0 - _below_one(gray))


def _below_one(gray: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Values with the largest at 1 or below, monotone, and of slope 1 up to the knee."""
    reach = float(gray.max()) - (1.0 - KNEE)
    if reach <= KNEE:
        return gray
    over = np.maximum(gray - (1.0 - KNEE), 0.0)
    bent = over / (1.0 + (reach - KNEE) / (reach * KNEE) * over)
    return np.asarray(np.minimum(gray, 1.0 - KNEE) + bent, dtype=np.float32)

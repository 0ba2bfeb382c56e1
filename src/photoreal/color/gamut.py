"""Gamut compression: bring colors outside the display range back without changing their hue.

Clipping each channel turns bright colors into flat patches of a different hue. Here luma gets a
soft shoulder at both ends, and colors still out of range are desaturated toward their gray.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.color.spaces import luma

KNEE = 0.05
"""Luma within this distance of black or white is compressed to make room for luma out of range."""


def compress_range(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Compress an image (3, H, W) of any values to 0..1; an image in 0..1 is unchanged."""
    gray = luma(picture)
    color = picture - gray
    bent = _shoulder(gray)
    # Maximum distance of each channel from the gray within the range.
    room = np.where(color > 0, 1.0 - bent, bent)
    reach = (room / np.maximum(np.abs(color), 1e-6)).min(axis=0)
    inside: npt.NDArray[np.float32] = bent + np.minimum(reach, 1.0) * color
    return np.asarray(np.clip(inside, 0.0, 1.0), dtype=np.float32)


def _shoulder(gray: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Luma in 0..1, compressed beyond the knees as much as the extreme values require."""
    return 1.0 - _below_one(1.0 - _below_one(gray))


def _below_one(gray: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Compress values to at most 1, monotonically, with slope 1 up to the knee."""
    reach = float(gray.max()) - (1.0 - KNEE)
    if reach <= KNEE:
        return gray
    over = np.maximum(gray - (1.0 - KNEE), 0.0)
    bent = over / (1.0 + (reach - KNEE) / (reach * KNEE) * over)
    return np.asarray(np.minimum(gray, 1.0 - KNEE) + bent, dtype=np.float32)

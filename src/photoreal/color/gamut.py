"""Colors outside the display's range, brought back without a change of hue.

Clipping each channel turns bright colors into flat patches of another hue. Here luma gets a
soft shoulder at both ends, and what still leaves the range moves toward its own gray.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.color.spaces import luma

KNEE = 0.05
"""Luma within this of black or white is compressed, so that nothing is cut off flat."""


def compress_range(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A picture (3, H, W) of any values as one in 0..1; pictures well inside 0..1 do not change."""
    gray = luma(picture)
    color = picture - gray
    bent = _shoulder(gray)
    # How far each channel may go from the gray before it leaves the range.
    room = np.where(color > 0, 1.0 - bent, bent)
    reach = (room / np.maximum(np.abs(color), 1e-6)).min(axis=0)
    inside: npt.NDArray[np.float32] = bent + np.minimum(reach, 1.0) * color
    return np.asarray(np.clip(inside, 0.0, 1.0), dtype=np.float32)


def _shoulder(gray: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Values that bend toward 0 and 1 from `KNEE` away on, with the slope 1 there."""
    over = np.maximum(gray - (1.0 - KNEE), 0.0)
    under = np.maximum(KNEE - gray, 0.0)
    middle = np.clip(gray, KNEE, 1.0 - KNEE)
    bent = middle + KNEE * (1.0 - np.exp(-over / KNEE)) - KNEE * (1.0 - np.exp(-under / KNEE))
    return np.asarray(bent, dtype=np.float32)

"""Pixels of 8 or 16 bits a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
"""Colors (H, W, 3), uint8 or uint16."""


def highest(pixels: Pixels) -> int:
    """The value of white: 255 or 65535."""
    return int(np.iinfo(pixels.dtype).max)


def in_8_bits(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Pixels rounded to uint8; pixels of that type as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)

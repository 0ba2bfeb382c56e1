"""Gamut compression: bring colors outside the display range back without changing their hue.

Clipping each channel turns bright colors into flat patches of a different hue. Here luma gets a
soft shoulder at both ends, and colors still out of range are desaturated toward their gray.
"""

from __future__ import annotations

from photoreal.arrays import Floats, namespace
from photoreal.color.spaces import luma

KNEE = 0.05
"""Luma within this distance of black or white is compressed to make room for luma out of range."""


def compress_range(picture: Floats) -> Floats:
    """Compress an image (3, H, W) of any values to 0..1; an image in 0..1 is unchanged."""
    xp = namespace(picture)
    gray = luma(picture)
    color = picture - gray
    bent = _shoulder(gray)
    # Maximum distance of each channel from the gray within the range.
    room = xp.where(color > 0, 1.0 - bent, bent)
    reach = xp.min(room / xp.clip(xp.abs(color), min=1e-6), axis=0)
    inside = bent + xp.clip(reach, max=1.0) * color
    return xp.astype(xp.clip(inside, 0.0, 1.0), xp.float32)


def _shoulder(gray: Floats) -> Floats:
    """Luma in 0..1, compressed beyond the knees as much as the extreme values require."""
    return 1.0 - _below_one(1.0 - _below_one(gray))


def _below_one(gray: Floats) -> Floats:
    """Compress values to at most 1, monotonically, with slope 1 up to the knee."""
    xp = namespace(gray)
    reach = float(xp.max(gray)) - (1.0 - KNEE)
    if reach <= KNEE:
        return gray
    over = xp.clip(gray - (1.0 - KNEE), min=0.0)
    bent = over / (1.0 + (reach - KNEE) / (reach * KNEE) * over)
    return xp.astype(xp.clip(gray, max=1.0 - KNEE) + bent, xp.float32)

"""Conversions between color spaces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, cube_root, like, namespace

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (Rec. ITU-R BT.601)."""

# sRGB to XYZ (IEC 61966-2-1) with each row divided by the white point D65.
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_TO_XYZ /= _TO_XYZ.sum(axis=1, keepdims=True)
_LAB_KNEE = 6 / 29


def luma(picture: Floats) -> Floats:
    """Luma (H, W) of an image (3, H, W), in the same range (Rec. ITU-R BT.601)."""
    return _weighted(LUMA, picture)


def lab(picture: Floats) -> Floats:
    """Convert an sRGB image to CIELAB (3, H, W): L* in 0..100, a*, b* in about -110..110, D65.

    CIE 15:2004 for CIELAB, IEC 61966-2-1 for sRGB. A distance of about 1 is just noticeable.
    Computed in the dtype of the image.
    """
    xp = namespace(picture)
    values = xp.clip(picture, 0.0, 1.0)
    linear = xp.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    relative = _weighted(_TO_XYZ, linear)
    straight = relative / (3 * _LAB_KNEE**2) + 4 / 29
    x, y, z = xp.where(relative > _LAB_KNEE**3, cube_root(relative), straight)
    return xp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _weighted(weights: npt.NDArray[np.float64], picture: Floats) -> Floats:
    xp = namespace(picture)
    return xp.tensordot(xp.astype(like(weights, picture), picture.dtype), picture, axes=1)

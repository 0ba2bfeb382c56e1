"""Color alignment of content regions with style regions, used before or without WCT2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from photoreal.arrays import Floats, like, namespace
from photoreal.color.gamut import compress_range
from photoreal.color.transport import ColorMap, ColorMoments, color_moments


def region_colors(photo: Floats, weights: Floats) -> list[ColorMoments | None]:
    """Color moments of each region of a photo (3, H, W), None for a region without pixels."""
    return [color_moments(photo, plane) if float(plane.sum()) >= 1.0 else None for plane in weights]


def align_colors(photo: Floats, weights: Floats, maps: Sequence[ColorMap | None]) -> Floats:
    """Apply each region's map to a photo (3, H, W) in 0..1, weighted by the region weights.

    A region without a map keeps its colors. The result is in 0..1.
    """
    aligned = namespace(photo).zeros_like(photo)
    for plane, found in zip(weights, maps, strict=True):
        aligned += plane * (photo if found is None else apply_map(found, photo))
    return compress_range(aligned)


def apply_map(found: ColorMap, photo: Floats) -> Floats:
    """Apply one map to a photo (3, H, W); the result is not clipped."""
    matrix, offset = (like(part.astype(np.float32), photo) for part in found)
    return namespace(photo).tensordot(matrix, photo, axes=1) + offset[:, None, None]

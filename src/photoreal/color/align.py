"""Color alignment of content regions with style regions, used before or without WCT2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from photoreal.color.gamut import compress_range
from photoreal.color.transport import ColorMap, ColorMoments, color_moments
from photoreal.render.local_linear import FloatArray


def region_colors(photo: FloatArray, weights: FloatArray) -> list[ColorMoments | None]:
    """Color moments of each region of a photo (3, H, W), None for a region without pixels."""
    return [
        color_moments(photo, plane) if plane.sum(dtype=np.float64) >= 1.0 else None
        for plane in weights
    ]


def align_colors(
    photo: FloatArray, weights: FloatArray, maps: Sequence[ColorMap | None]
) -> FloatArray:
    """Apply each region's map to a photo (3, H, W) in 0..1, weighted by the region weights.

    A region without a map keeps its colors. The result is in 0..1.
    """
    aligned = np.zeros_like(photo)
    for plane, found in zip(weights, maps, strict=True):
        aligned += plane * (photo if found is None else apply_map(found, photo))
    return compress_range(aligned)


def apply_map(found: ColorMap, photo: FloatArray) -> FloatArray:
    """Apply one map to a photo (3, H, W); the result is not clipped."""
    matrix = found.matrix.astype(np.float32)
    mapped: npt.NDArray[np.float32] = np.tensordot(matrix, photo, axes=1)
    return mapped + found.offset.astype(np.float32)[:, None, None]

"""Local linear model of an image in a guide image, the basis of guided filters.

In every window a plane of values is fitted as a linear function of the colors of a guide (He,
Sun and Tang, "Guided Image Filtering", TPAMI 2013, color guide of section 3.5), and the fits of
all windows that contain a pixel are averaged. Slopes and offsets vary slowly, so they can be
computed on a small image and applied to a large one (He and Sun, "Fast Guided Filter", 2015).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

FloatArray = npt.NDArray[np.float32]


def fit_local_linear(
    values: FloatArray,
    guide: FloatArray,
    side: int,
    ridge: float,
    prior: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Fit planes (K, H, W) as linear in a guide: slopes (K, 3, H, W) and offsets (K, H, W).

    Args:
        values: the planes to fit.
        guide: an image (3, H, W) in 0..1.
        side: side of the square windows in pixels, odd.
        ridge: variance of the guide below which a window counts as flat; there the slopes of the
            prior are used.
        prior: fallback slopes (K, 3, H, W); zero by default.
    """

    def mean(plane: FloatArray) -> FloatArray:
        smooth: FloatArray = ndimage.uniform_filter(plane, side, mode="nearest")
        return smooth

    center = np.stack([mean(channel) for channel in guide])
    covariance = np.empty((3, 3, *guide.shape[1:]), dtype=np.float32)
    for i in range(3):
        for j in range(i, 3):
            product = mean(guide[i] * guide[j]) - center[i] * center[j]
            covariance[i, j] = covariance[j, i] = product
        covariance[i, i] += np.float32(ridge)
    inverse = _inverse(covariance)
    slopes = np.empty((len(values), *guide.shape), dtype=np.float32)
    offsets = np.empty_like(values, dtype=np.float32)
    for index, value in enumerate(values):
        level = mean(value)
        shared = np.stack([mean(guide[i] * value) - center[i] * level for i in range(3)])
        if prior is not None:
            shared += np.float32(ridge) * prior[index]
        slope = (inverse * shared).sum(axis=1)
        offset = level - (slope * center).sum(axis=0)
        slopes[index] = [mean(channel) for channel in slope]
        offsets[index] = mean(offset)
    return slopes, offsets


def apply_local_linear(slopes: FloatArray, offsets: FloatArray, guide: FloatArray) -> FloatArray:
    """Apply a model of `fit_local_linear` to a guide (3, H, W) of any size; returns (K, H, W)."""
    _, height, width = guide.shape
    planes = np.empty((len(offsets), height, width), dtype=np.float32)
    for plane, slope, offset in zip(planes, slopes, offsets, strict=True):
        plane[:] = resize_plane(offset, height, width)
        for channel, color in zip(slope, guide, strict=True):
            plane += resize_plane(channel, height, width) * color
    return planes


def resize_plane(plane: FloatArray, height: int, width: int) -> FloatArray:
    """Resize a plane (H, W) bilinearly."""
    if plane.shape == (height, width):
        return plane.copy()
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def _inverse(matrices: FloatArray) -> FloatArray:
    """Invert symmetric matrices (3, 3, H, W) in closed form; LAPACK would work pixel by pixel."""
    (a, b, c), (_, d, e), (_, _, f) = matrices
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    fourth, fifth, sixth = a * f - c * c, b * c - a * e, a * d - b * b
    adjugate = np.stack([first, second, third, second, fourth, fifth, third, fifth, sixth])
    inverse: FloatArray = (adjugate / (a * first + b * second + c * third)).reshape(matrices.shape)
    return inverse

"""Refinement of a segmenter's coarse probabilities to regions whose borders follow the photo.

A segmenter outputs its classes at an eighth of its input's size. Each class's probability is
upsampled to the photo's pixels by a guided filter (He, Sun and Tang, "Guided Image Filtering",
TPAMI 2013, section 3, color guide of section 3.5), computed on a downscaled photo (He and Sun,
"Fast Guided Filter", 2015); then each pixel takes its most probable class, and specks are merged
into their surroundings.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from photoreal.regions import LabelMap
from photoreal.render.local_linear import FloatArray, fit_local_linear, resize_plane

GUIDE_PIXELS = 100_000
"""Approximate pixel count of the downscaled photo on which the filter is solved."""
SPECK_SHARE = 0.003
"""Minimum share of the photo for a patch to be a region of its own."""

_EPSILON = 1e-3  # variance of the guide (0..1) below which an area counts as flat
_PRESENT = 0.2  # a class that never exceeds this probability wins no significant area


def refine_labels(
    probabilities: FloatArray, photo: FloatArray, background: int | None = None
) -> LabelMap:
    """Label map (H, W) of a photo (3, H, W) in 0..1 from coarse probabilities (K, h, w).

    The probabilities of a pixel sum to 1; a label is an index in 0..K - 1, K at most 256. Patches
    entirely inside the `background` are merged into it, such as clouds in the sky.
    """
    height, width = photo.shape[1:]
    peaks = probabilities.max(axis=(1, 2))
    present = np.flatnonzero(peaks >= min(_PRESENT, peaks.max()))
    best: FloatArray = np.full((height, width), -np.inf, dtype=np.float32)
    labels = np.zeros((height, width), dtype=np.uint8)
    # One class at a time: all of them at full size would need as much memory as the features.
    slopes, offsets = _guided_filter(probabilities[present], photo)
    for label, slope, offset in zip(present.tolist(), slopes, offsets, strict=True):
        value = resize_plane(offset, height, width)
        for channel in range(3):
            value += resize_plane(slope[channel], height, width) * photo[channel]
        better = value > best
        labels[better] = label
        np.maximum(best, value, out=best)
    labels = merge_specks(labels)
    if background is not None:
        labels[ndimage.binary_fill_holes(labels == background)] = background
    return labels


def _guided_filter(values: FloatArray, photo: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit `values` (K, h, w) as linear in the photo: slopes (K, 3, a, b) and offsets (K, a, b)."""
    height, width = photo.shape[1:]
    scale = min(1.0, math.sqrt(GUIDE_PIXELS / (height * width)))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    guide = np.stack([resize_plane(channel, rows, columns) for channel in photo])
    # A window two coarse cells wide smooths their staircase borders.
    side = 2 * max(1, round(rows / values.shape[1])) + 1
    fine = np.stack([resize_plane(plane, rows, columns) for plane in values])
    return fit_local_linear(fine, guide, side, _EPSILON)


def merge_specks(labels: LabelMap, share: float = SPECK_SHARE) -> LabelMap:
    """Remove connected patches below a share of the photo from a label map (H, W).

    Their pixels take the label of the nearest pixel outside all such patches.
    """
    specks = np.zeros(labels.shape, dtype=bool)
    for label in np.unique(labels):
        patches, _ = ndimage.label(labels == label)
        small = np.bincount(patches.ravel()) < share * labels.size
        small[0] = False  # pixels of other labels
        specks |= small[patches]
    if not specks.any() or specks.all():
        return labels
    nearest = ndimage.distance_transform_edt(specks, return_distances=False, return_indices=True)
    merged: LabelMap = labels[tuple(nearest)]
    return merged

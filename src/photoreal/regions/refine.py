"""From a segmenter's coarse probabilities to regions whose borders follow the photo.

A segmenter knows its classes at an eighth of its input's size. Each class's probability is
carried to the photo's pixels by a guided filter (He, Sun and Tang, "Guided Image Filtering",
TPAMI 2013, section 3, color guide of section 3.5), computed on a smaller copy of the photo (He
and Sun, "Fast Guided Filter", 2015); then each pixel takes its likeliest class, and specks
join what surrounds them.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from photoreal.regions import LabelMap
from photoreal.render.local_linear import FloatArray, fit_local_linear, resize_plane

GUIDE_PIXELS = 100_000
"""The filter is solved on a copy of the photo of about this many pixels."""
SPECK_SHARE = 0.003
"""A patch smaller than this share of the photo is no region of its own."""

_EPSILON = 1e-3  # variance of the guide (0..1) below which an area counts as flat
_PRESENT = 0.2  # a class that is nowhere likelier than this cannot win anywhere that matters


def refine_labels(
    probabilities: FloatArray, photo: FloatArray, background: int | None = None
) -> LabelMap:
    """Label map (H, W) of a photo (3, H, W) in 0..1 from coarse probabilities (K, h, w).

    The probabilities of a pixel add up to 1; a label is a position in 0..K - 1, K at most 256.
    Patches that lie wholly inside the `background` join it: what floats in the sky is a cloud.
    """
    height, width = photo.shape[1:]
    peaks = probabilities.max(axis=(1, 2))
    present = np.flatnonzero(peaks >= min(_PRESENT, peaks.max()))
    best: FloatArray = np.full((height, width), -np.inf, dtype=np.float32)
    labels = np.zeros((height, width), dtype=np.uint8)
    # One class at a time: all of them at full size would be as large as the features.
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
    """Slopes (K, 3, a, b) and offsets (K, a, b) of `values` (K, h, w) as linear in the photo."""
    height, width = photo.shape[1:]
    scale = min(1.0, math.sqrt(GUIDE_PIXELS / (height * width)))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    guide = np.stack([resize_plane(channel, rows, columns) for channel in photo])
    # A window as wide as two coarse cells sees past the staircase that they make.
    side = 2 * max(1, round(rows / values.shape[1])) + 1
    fine = np.stack([resize_plane(plane, rows, columns) for plane in values])
    return fit_local_linear(fine, guide, side, _EPSILON)


def merge_specks(labels: LabelMap, share: float = SPECK_SHARE) -> LabelMap:
    """Label map (H, W) in which each connected patch below a share of the photo is gone.

    The pixels of such a patch take the label of the nearest pixel outside of any.
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

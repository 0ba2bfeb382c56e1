"""Soft regions: a weight for every pixel and region, found in a photo or made from a mask.

The weights of a pixel add up to 1. A region of the content takes a mixture of the style's
regions, so nothing is torn along a border that only the segmenter sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal import classes
from photoreal.local_linear import FloatArray, apply_local_linear, fit_local_linear, resize_plane
from photoreal.regions.clusters import find_centers, follow_colors, join_sure, memberships
from photoreal.regions.features import RegionFeatures, region_features
from photoreal.regions.labels import LabelMap, resize_labels

_SIDE, _RIDGE = 21, 1e-3
"""Window in pixels and ridge of the filter that carries found regions to the photo's pixels."""
_MASK_SIDE, _MASK_RIDGE = 17, 1e-4
_SOLID = 0.98
"""A weight above this counts as 1: most pixels then have a single region, which costs less."""


class RegionInfo(NamedTuple):
    """What a person is told of a region: a name and how sure the segmenter is of it, 0..1."""

    name: str
    sure: float


class SoftRegions(NamedTuple):
    """The regions of one photo.

    `weights` (K, H, W) in 0..1 add up to 1 at every pixel; `traits` (K, D) are the regions'
    mean features, by which they are matched, none (K, 0) for regions of a mask.
    """

    weights: FloatArray
    traits: FloatArray
    infos: Sequence[RegionInfo]

    @property
    def shares(self) -> FloatArray:
        """The regions' parts (K,) of the photo."""
        return self.weights.mean(axis=(1, 2))

    @property
    def labels(self) -> LabelMap:
        """The strongest region of every pixel, (H, W)."""
        strongest: LabelMap = self.weights.argmax(axis=0).astype(np.uint8)
        return strongest


def find_regions(
    photo: FloatArray, probabilities: FloatArray | None, centers: FloatArray | None = None
) -> tuple[SoftRegions, FloatArray]:
    """The regions of a photo (3, H, W) in 0..1, and the centers they were found by.

    `probabilities` (groups, a, b) are the segmenter's. Centers of another frame of the same
    shot keep a video's regions the same.
    """
    features = region_features(photo, probabilities)
    values = features.for_clusters()
    if centers is None:
        centers = find_centers(values)
    weights = memberships(values, centers)
    weights = join_sure(weights, features.classes.reshape(len(features.classes), -1))
    planes = follow_colors(weights.reshape(-1, *features.rank.shape), features.color)
    traits = _means(planes, features.for_matching())
    slopes, offsets = fit_local_linear(planes, features.guide, _SIDE // 2 | 1, _RIDGE)
    fine = settle(apply_local_linear(slopes, offsets, photo))
    return SoftRegions(fine, traits, _describe(planes, features)), centers


def mask_regions(
    labels: LabelMap, wanted: Sequence[int], photo: FloatArray, *, edges: bool = True
) -> FloatArray:
    """Weights (K + 1, H, W) of a mask's labels (any size) for a photo (3, H, W) in 0..1.

    The last plane is what has none of the wanted labels. With `edges` borders are moved to the
    photo's own within a band around them (He, Sun and Tang, "Guided Image Filtering", TPAMI 2013).
    """
    _, height, width = photo.shape
    small = resize_labels(labels, height, width)
    hard = np.stack([*(small == label for label in wanted), ~np.isin(small, wanted)])
    planes = hard.astype(np.float32)
    if not edges or len(np.unique(small)) < 2:
        return planes
    slopes, offsets = fit_local_linear(planes, photo, _MASK_SIDE, _MASK_RIDGE)
    return settle(apply_local_linear(slopes, offsets, photo))


def settle(weights: FloatArray, solid: float = _SOLID) -> FloatArray:
    """Weights (K, H, W) in 0..1 that add up to 1, with those near 0 or 1 at 0 or 1.

    A pixel that no region claims goes to the one with the largest share.
    """
    low = (1.0 - solid) / 2
    weights = np.clip((weights - low) / (1.0 - 2.0 * low), 0.0, 1.0)
    total = weights.sum(axis=0)
    weights[weights.mean(axis=(1, 2)).argmax()][total <= 0] = 1.0
    settled: FloatArray = weights / np.maximum(total, 1e-6)
    settled[:, total <= 0] = weights[:, total <= 0]
    return settled


def _means(planes: FloatArray, values: FloatArray) -> FloatArray:
    weights = planes.reshape(len(planes), -1)
    means: FloatArray = weights @ values / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    return means


def _describe(planes: FloatArray, features: RegionFeatures) -> list[RegionInfo]:
    means = _means(planes, features.classes.reshape(len(features.classes), -1).T)
    infos = []
    for number, mean in enumerate(means, start=1):
        best = int(mean.argmax())
        known = mean[best] >= 0.5
        name = classes.GROUPS[best] if known else f"area {number}"
        infos.append(RegionInfo(name, round(float(mean[best]), 3)))
    return infos


def resize_weights(weights: FloatArray, height: int, width: int) -> FloatArray:
    """Weights (K, H, W) at another size, bilinear."""
    return np.stack([resize_plane(plane, height, width) for plane in weights])


Coupling = npt.NDArray[np.float64]

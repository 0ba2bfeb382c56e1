"""Soft regions: a weight for every pixel and region, found in a photo or made from a mask.

The weights of a pixel add up to 1. A region of the content takes a mixture of the style's
regions, so nothing is torn along a border that only the segmenter sees. Where the segmenter is
sure, a region is a class; elsewhere regions are clusters of color and place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from photoreal.color.spaces import lab
from photoreal.regions import classes, clusters
from photoreal.regions.features import RegionFeatures, region_features
from photoreal.regions.joining import join_clusters
from photoreal.regions.labels import LabelMap, resize_labels
from photoreal.render.local_linear import FloatArray, apply_local_linear, fit_local_linear

AREA_LABEL = 100
"""Label of the first region that is no class, in label maps; classes have their group's."""

_SIDE, _RIDGE = 11, 1e-3
"""Window in pixels of the small copy, and ridge: of the filter from there to the photo."""
_MASK_SPREAD = 15
"""Window in pixels in which a mask's region may claim what has its colors."""
_MASK_SIDE, _MASK_RIDGE = 17, 1e-4
_LEAST_SHARE = 0.004
"""A smaller region has no dependable statistics."""
_NAMED = 0.5
"""Mean probability from which on a region is called by its class."""
_SOLID = 0.98
"""A weight above this counts as 1: most pixels then have a single region, which costs less."""


class RegionInfo(NamedTuple):
    """What a person is told of a region: its label in maps, a name, and how sure it is, 0..1.

    A region of a gray mask is called by its label.
    """

    label: int
    name: str | int
    sure: float


class SoftRegions(NamedTuple):
    """The regions of one photo.

    `weights` (K, H, W) in 0..1 add up to 1 at every pixel; `traits` (K, D) are the regions'
    mean features, by which they are matched, of D = 0 for regions of a mask.
    """

    weights: FloatArray
    traits: FloatArray
    infos: Sequence[RegionInfo]

    @property
    def shares(self) -> FloatArray:
        """The regions' parts (K,) of the photo."""
        shares: FloatArray = self.weights.mean(axis=(1, 2))
        return shares

    @property
    def labels(self) -> LabelMap:
        """The label of the strongest region of every pixel, (H, W)."""
        table = np.array([info.label for info in self.infos], dtype=np.uint8)
        strongest: LabelMap = table[self.weights.argmax(axis=0)]
        return strongest

    @property
    def nbytes(self) -> int:
        """Bytes that the weights take."""
        return self.weights.nbytes


class RegionPlan(NamedTuple):
    """How the regions of a photo were found, so that the next frame of a shot has the same.

    `centers` (k, D) are those of the clusters, `groups` (k,) the region of each cluster, -1 for
    one too small to be a region, and `infos` describe the regions.
    """

    centers: FloatArray
    groups: Sequence[int]
    infos: Sequence[RegionInfo]


def find_regions(
    photo: FloatArray, probabilities: FloatArray | None, plan: RegionPlan | None = None
) -> tuple[SoftRegions, RegionPlan]:
    """The regions of a photo (3, H, W) in 0..1, and how they were found.

    `probabilities` (groups, a, b) are the segmenter's, None without one. With the plan of
    another frame of the same shot the regions are the same.
    """
    features = region_features(photo, probabilities)
    values = features.for_clusters()
    if plan is None:
        plan = _plan(values, features)
    shares = clusters.memberships(values, plan.centers)
    weights = clusters.joined(shares, plan.groups)
    planes = clusters.follow_colors(weights.reshape(-1, *features.rank.shape), features.color)
    slopes, offsets = fit_local_linear(planes, features.guide, _SIDE, _RIDGE)
    fine = settle(apply_local_linear(slopes, offsets, photo))
    return SoftRegions(fine, _means(planes, features.for_matching()), plan.infos), plan


def _plan(values: FloatArray, features: RegionFeatures) -> RegionPlan:
    centers = clusters.find_centers(values)
    shares = clusters.memberships(values, centers)
    planes = clusters.follow_colors(shares.reshape(-1, *features.rank.shape), features.color)
    groups = without_small(join_clusters(planes, features.classes, features.color), shares)
    weights = clusters.joined(shares, groups)
    probabilities = features.classes.reshape(len(features.classes), -1)
    means = weights @ probabilities.T / weights.sum(axis=1, keepdims=True)
    return RegionPlan(centers, groups, _described(means))


def without_small(groups: Sequence[int], shares: FloatArray) -> list[int]:
    """The regions of clusters, weights (k, N), with -1 for those too small to be measured."""
    sizes = np.bincount(groups, weights=shares.mean(axis=1))
    large = sizes >= min(_LEAST_SHARE, sizes.max())
    names = np.where(large, np.cumsum(large) - 1, -1)
    return [int(names[group]) for group in groups]


def _described(means: FloatArray) -> list[RegionInfo]:
    """What regions of these mean probabilities (K, groups) are: a class each, or an area."""
    infos: list[RegionInfo] = []
    areas = 0
    for mean in means:
        best, sure = int(mean.argmax()), round(float(mean.max()), 3)
        taken = any(info.label == best for info in infos)
        if best == classes.OTHER or sure < _NAMED or taken:
            infos.append(RegionInfo(AREA_LABEL + areas, f"area {areas + 1}", sure))
            areas += 1
        else:
            infos.append(RegionInfo(best, classes.GROUPS[best], sure))
    return infos


def whole_photo(photo: FloatArray) -> SoftRegions:
    """A photo (3, H, W) as one region."""
    weights = np.ones((1, *photo.shape[1:]), dtype=np.float32)
    return SoftRegions(weights, np.zeros((1, 0), np.float32), [RegionInfo(0, "whole photo", 1.0)])


def mask_regions(
    labels: LabelMap, names: Sequence[str], photo: FloatArray, *, edges: bool
) -> SoftRegions:
    """The regions of a mask (any size) for a photo (3, H, W) in 0..1.

    `names` are those of the labels, as far as they have one. With `edges` the borders are moved
    to the photo's own within a band around them: pixels go to the region whose colors they have,
    and a guided filter follows the finest edges (He, Sun and Tang, "Guided Image Filtering",
    TPAMI 2013).
    """
    small = resize_labels(labels, *photo.shape[1:])
    present = np.unique(small).tolist()
    planes = np.stack([small == label for label in present]).astype(np.float32)
    if edges and len(present) > 1:
        planes = clusters.follow_colors(planes, lab(photo), 1, _MASK_SPREAD)
        slopes, offsets = fit_local_linear(planes, photo, _MASK_SIDE, _MASK_RIDGE)
        planes = settle(apply_local_linear(slopes, offsets, photo))
    infos = [
        RegionInfo(label, names[label] if label < len(names) else label, 1.0) for label in present
    ]
    return SoftRegions(planes, np.zeros((len(planes), 0), np.float32), infos)


def settle(weights: FloatArray, solid: float = _SOLID) -> FloatArray:
    """Weights (K, H, W) of about 0..1 as ones that add up to 1.

    Those above `solid` become 1 and those below 1 - `solid` become 0. A pixel at which all are
    below goes to the strongest there, or to the largest region where there is nothing at all.
    """
    low = 1.0 - solid
    sharp = np.clip((weights - low) / (solid - low), 0.0, 1.0)
    total = sharp.sum(axis=0)
    nobody = total <= 1e-3
    if nobody.any():
        left = weights[:, nobody]
        largest = sharp.mean(axis=(1, 2)).argmax()
        sharp[:, nobody] = 0.0
        sharp[np.where(left.max(axis=0) > 0.0, left.argmax(axis=0), largest), nobody] = 1.0
        total = sharp.sum(axis=0)
    settled: FloatArray = (sharp / total).astype(np.float32)
    return settled


def _means(planes: FloatArray, values: FloatArray) -> FloatArray:
    weights = planes.reshape(len(planes), -1)
    means: FloatArray = weights @ values / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    return means

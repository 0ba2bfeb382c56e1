"""Soft regions: a weight for every pixel and region, found in a photo or made from a mask.

The weights of a pixel sum to 1. A region of the content takes a mixture of the style's regions,
which avoids visible seams along borders that only the segmenter sees. Where the segmenter is
confident, a region is a class; elsewhere regions are clusters of color and position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from photoreal.arrays import Floats, is_tensor, like, namespace, resize, to_host
from photoreal.color.spaces import lab
from photoreal.regions import classes, clusters
from photoreal.regions.features import RegionFeatures, downscaled, region_features
from photoreal.regions.flat import pool_flat_zones
from photoreal.regions.islands import without_islands
from photoreal.regions.joining import join_clusters
from photoreal.regions.labels import LabelMap, resize_labels
from photoreal.render.box_filter import box_mean
from photoreal.render.local_linear import FloatArray, apply_local_linear, fit_local_linear

AREA_LABEL = 100
"""First label of regions without a class in label maps; classes use their group's label."""

_SIDE, _RIDGE = 11, 1e-3
"""Window (in pixels of the downscaled photo) and ridge of the upsampling filter."""
_MASK_SPREAD = 7
"""Window, in pixels of the downscaled photo, in which a mask's region may claim its colors."""
_MASK_SIDE, _MASK_RIDGE = 9, 1e-4
_UNKNOWN_WHOLE = 0.7
"""Share of the whole photo's change in a photo of a kind that the segmenter does not know."""
_LEAST_SHARE = 0.004
"""Minimum share of a region; a smaller one has no reliable statistics."""
_NAMED = 0.5
"""Minimum mean probability for a region to be named after its class."""
_INTERIOR_SIDE = 17
_SOLID = 0.98
"""Weights above this are set to 1, so that most pixels have a single region, which is faster."""
_FLAT_SOLID = 0.7
"""The same where the photo is flat: a faint weight of the neighbor would show there as a glow."""
_FLAT_SIDE, _FLAT_VARIANCE = 5, (2.5 / 255) ** 2


class RegionInfo(NamedTuple):
    """Description of a region: its label in maps, its name, and a confidence in 0..1.

    The name of a region from a gray mask is its label.
    """

    label: int
    name: str | int
    sure: float


class SoftRegions(NamedTuple):
    """The regions of one photo.

    `weights` (K, H, W) in 0..1 sum to 1 at every pixel, on the device of the photo; `traits`
    (K, D) are the regions' mean features, used for matching, with D = 0 for regions of a mask.
    `whole` in 0..1 is the share of the change that the regions leave to the photo as a whole,
    where the segmenter that found them is in doubt.
    """

    weights: Floats
    traits: FloatArray
    infos: Sequence[RegionInfo]
    whole: float = 0.0

    @property
    def shares(self) -> FloatArray:
        """Area shares (K,) of the regions in the photo."""
        shares: FloatArray = to_host(namespace(self.weights).mean(self.weights, axis=(1, 2)))
        return shares

    @property
    def labels(self) -> LabelMap:
        """Label map (H, W) of the region with the largest weight at every pixel."""
        table = np.array([info.label for info in self.infos], dtype=np.uint8)
        strongest: LabelMap = to_host(like(table, self.weights)[self.weights.argmax(axis=0)])
        return strongest

    @property
    def nbytes(self) -> int:
        """Size of the weights in bytes."""
        return int(self.weights.nbytes)


class RegionPlan(NamedTuple):
    """Clustering of a photo, reused so that the next frame of a shot has the same regions.

    `centers` (k, D) are the cluster centers, `groups` (k,) the region of each cluster, -1 for
    clusters too small to be a region, and `infos` describe the regions.
    """

    centers: FloatArray
    groups: Sequence[int]
    infos: Sequence[RegionInfo]


def find_regions(
    photo: Floats, probabilities: FloatArray | None, plan: RegionPlan | None = None
) -> tuple[SoftRegions, RegionPlan]:
    """Find the regions of a photo (3, H, W) in 0..1; also returns the plan for later frames.

    `probabilities` (groups, a, b) are the segmenter's, None without one. Pass the plan of another
    frame of the same shot to get the same regions.
    """
    features = region_features(photo, probabilities)
    values = features.for_clusters()
    centers = clusters.find_centers(values) if plan is None else plan.centers
    shares = clusters.memberships(values, centers)
    if plan is None:
        plan = _plan(centers, shares, features)
    weights = clusters.joined(shares, plan.groups).reshape(-1, *features.rank.shape)
    planes = without_islands(clusters.follow_colors(weights, features.color), features.color)
    planes = pool_flat_zones(planes, features.zones)
    fine = _upsampled(planes, features.guide, photo, _SIDE, _RIDGE)
    fine = normalize_weights(fine, _solid_from(photo))
    traits = _means(planes, features.for_matching())
    return SoftRegions(fine, traits, plan.infos, _UNKNOWN_WHOLE * features.doubt), plan


def _plan(centers: FloatArray, shares: Floats, features: RegionFeatures) -> RegionPlan:
    planes = clusters.follow_colors(shares.reshape(-1, *features.rank.shape), features.color)
    groups = without_small(join_clusters(planes, features.classes, features.color), shares)
    weights = clusters.joined(shares, groups)
    probabilities = features.classes.reshape(len(features.classes), -1)
    means = weights @ probabilities.T / namespace(weights).sum(weights, axis=1, keepdims=True)
    return RegionPlan(centers, groups, _described(to_host(means)))


def without_small(groups: Sequence[int], shares: Floats) -> list[int]:
    """Region of each cluster, with -1 for regions too small to measure; weights are (k, N)."""
    sizes = np.bincount(groups, weights=to_host(namespace(shares).mean(shares, axis=1)))
    large = sizes >= min(_LEAST_SHARE, sizes.max())
    names = np.where(large, np.cumsum(large) - 1, -1)
    return [int(names[group]) for group in groups]


def _described(means: FloatArray) -> list[RegionInfo]:
    """Describe regions by their mean probabilities (K, groups), as a class or a plain area."""
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


def whole_photo(photo: Floats) -> SoftRegions:
    """A photo (3, H, W) as one region."""
    weights = namespace(photo).ones_like(photo[:1])
    return SoftRegions(weights, np.zeros((1, 0), np.float32), [RegionInfo(0, "whole photo", 1.0)])


def mask_regions(
    labels: LabelMap, names: Sequence[str], photo: Floats, *, edges: bool
) -> SoftRegions:
    """Build the regions of a mask (any size) for a photo (3, H, W) in 0..1.

    `names` are the names of the labels, possibly fewer than labels. With `edges` the borders are
    snapped to the photo's edges within a band around them: pixels go to the region with their
    color, and a guided filter follows the finest edges (He, Sun and Tang, "Guided Image
    Filtering", TPAMI 2013).
    """
    small = resize_labels(labels, *photo.shape[1:])
    present = np.unique(small).tolist()
    planes = like(np.stack([small == label for label in present]).astype(np.float32), photo)
    if edges and len(present) > 1:
        size = downscaled(*photo.shape[1:])
        guide, coarse = resize(photo, *size), resize(planes, *size)
        coarse = clusters.follow_colors(coarse, lab(guide), 1, _MASK_SPREAD)
        planes = normalize_weights(_upsampled(coarse, guide, photo, _MASK_SIDE, _MASK_RIDGE))
    infos = [
        RegionInfo(label, names[label] if label < len(names) else label, 1.0) for label in present
    ]
    return SoftRegions(planes, np.zeros((len(planes), 0), np.float32), infos)


def _upsampled(planes: Floats, guide: Floats, photo: Floats, side: int, ridge: float) -> Floats:
    """Weights (K, h, w) that sum to 1, from the downscaled photo to the photo, along its edges."""
    xp = namespace(photo)
    if len(planes) == 1:
        return xp.ones_like(photo[:1])
    slopes, offsets = fit_local_linear(planes[:-1], guide, side, ridge)
    most = apply_local_linear(slopes, offsets, photo)
    return xp.concat([most, 1.0 - xp.sum(most, axis=0, keepdims=True)])  # the fit is linear


def _solid_from(photo: Floats) -> Floats:
    """Weight (H, W) from which a pixel has a single region, for a photo (3, H, W)."""
    xp = namespace(photo)
    gray = xp.mean(photo, axis=0)
    mean, square = box_mean(xp.stack([gray, gray * gray]), _FLAT_SIDE, "symmetric")
    variance = xp.maximum(square - mean * mean, 0.0)
    flat = _FLAT_VARIANCE / (_FLAT_VARIANCE + variance)
    return _SOLID - (_SOLID - _FLAT_SOLID) * flat


def normalize_weights(weights: Floats, solid: float | Floats = _SOLID) -> Floats:
    """Normalize weights (K, H, W) of about 0..1 to sum to 1 at every pixel.

    Weights above `solid`, a number or a plane (H, W), become 1 and those below 1 - `solid` become
    0. A pixel with only small
    weights goes to the largest of them, or to the largest region if all are 0.
    """
    xp = namespace(weights)
    low = 1.0 - solid
    sharp = xp.clip((weights - low) / (solid - low), 0.0, 1.0)
    total = xp.sum(sharp, axis=0)
    nobody = total <= 1e-3
    if is_tensor(weights) or xp.any(nobody):  # to look would synchronize a GPU
        largest = xp.argmax(xp.mean(sharp, axis=(1, 2)))
        winner = xp.where(xp.max(weights, axis=0) > 0.0, xp.argmax(weights, axis=0), largest)
        regions = like(np.arange(len(weights))[:, None, None], weights)
        sharp = xp.where(nobody, xp.astype(winner == regions, sharp.dtype), sharp)
        total = xp.sum(sharp, axis=0)
    return xp.astype(sharp / total, xp.float32)


def interior(weights: Floats, side: int = _INTERIOR_SIDE) -> Floats:
    """How far inside a region a pixel is, (H, W) in 0..1, for weights (K, H, W).

    0 at a border, 1 where a window of `side` pixels has one region only.
    """
    xp = namespace(weights)
    same = xp.sum(weights * box_mean(weights, side, "symmetric"), axis=0)
    return xp.clip(2.0 * same - 1.0, 0.0, 1.0)


def _means(planes: Floats, values: Floats) -> FloatArray:
    xp = namespace(planes)
    weights = planes.reshape(len(planes), -1)
    means: FloatArray = to_host(
        weights @ values / xp.maximum(xp.sum(weights, axis=1, keepdims=True), 1e-6)
    )
    return means

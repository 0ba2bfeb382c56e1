"""Pixel features for finding regions and for matching them between photos.

Every pixel of a downscaled photo is described by its color, its position, the fineness of its
texture, its geodesic distance from the image border, and the segmenter's class probabilities.
Regions are clusters of these features (`photoreal.regions.clusters`); they are matched between
photos by their means (`photoreal.regions.coupling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from photoreal.arrays import Floats, like, namespace, resize, to_host
from photoreal.color.spaces import lab
from photoreal.regions import classes
from photoreal.regions.flat import FlatZones, flat_zones, pool_flat_zones
from photoreal.render.box_filter import box_mean
from photoreal.render.local_linear import FloatArray, apply_local_linear, fit_local_linear

SIDE = 160
"""Shorter side in pixels of the downscaled photo in which regions are found."""

# Clustering: CIELAB divided by its typical deviation, the rest in 0..1, each with a weight.
_COLOR_UNITS = np.array([30.0, 20.0, 20.0], dtype=np.float32)[:, None, None]
_CLUSTER = {"color": 0.3, "height": 1.5, "classes": 2.0, "depth": 1.0, "texture": 0.5}
# Matching: lightness by rank, since styles are darker or brighter as a whole.
_MATCH = {"rank": 1.0, "height": 1.0, "classes": 1.5, "depth": 1.0, "texture": 1.0}

_CLASSES_AT = 2  # planes of features for matching before those of the classes

_CLASS_RIDGE = 1e-3
_KNOWN = (0.6, 0.5)
"""Mean probability of the best class below which a photo is doubted, and is doubted fully.

Photos of the kinds that the default segmenter was trained on are seldom below the first.
"""
_TEXTURE_SIDE = 15
_TEXTURE_UNIT = 3.0  # log(1 + L*) of a rough texture
_GEODESIC_SIDE = 64
_GEODESIC_STEP = 1.5  # L*a*b* between neighboring pixels: smaller steps are shading and noise
_GEODESIC_UNIT = 40.0


@dataclass(frozen=True)
class RegionFeatures:
    """Features of a downscaled photo, planes (h, w) or stacks of them, on the photo's device.

    `guide` (3, h, w) is the downscaled photo, `color` its CIELAB, `classes` (groups, h, w) the
    refined probabilities; `rank`, `height`, `depth` and `texture` are in about 0..1. `doubt` in
    0..1 is how unlike the photos that the segmenter knows the photo is.
    """

    guide: Floats
    color: Floats
    classes: Floats
    rank: Floats
    height: Floats
    depth: Floats
    texture: Floats
    zones: FlatZones
    doubt: float

    def for_clusters(self) -> Floats:
        """Features (pixels, D) for clustering into regions."""
        return self._stacked(_CLUSTER)

    def for_matching(self) -> Floats:
        """Features (pixels, D) for matching the regions of two photos."""
        return self._stacked(_MATCH)

    def _stacked(self, weights: dict[str, float]) -> Floats:
        planes = []
        for name, weight in weights.items():
            values = getattr(self, name)
            if name == "color":
                values = values / like(_COLOR_UNITS, values)
            planes.append(weight * values.reshape(-1, values.shape[-2] * values.shape[-1]))
        return namespace(self.color).concat(planes).T


def region_features(photo: Floats, probabilities: FloatArray | None) -> RegionFeatures:
    """Compute the features of a photo (3, H, W) in 0..1.

    `probabilities` (groups, a, b) are the segmenter's for `photoreal.regions.classes.GROUPS`, at
    a lower resolution than the photo; None without a segmenter.
    """
    height, width = downscaled(*photo.shape[1:])
    small = resize(photo, height, width)
    xp, color = namespace(small), lab(small)
    lightness = color[0]
    rank = xp.zeros_like(lightness).reshape(-1)
    steps = np.linspace(0.0, 1.0, rank.shape[0], endpoint=False, dtype=np.float32)
    rank[xp.argsort(lightness.reshape(-1), stable=True)] = like(steps, rank)
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)
    doubt = photo_doubt(probabilities)
    zones = flat_zones(to_host(color))
    found = pool_flat_zones(_refined(probabilities, small), zones)
    if doubt > 0.0:  # what is doubted does not tell one place from another
        found += doubt * (xp.mean(found, axis=(1, 2), keepdims=True) - found)
    return RegionFeatures(
        guide=small,
        color=color,
        classes=found,
        rank=rank.reshape(height, width),
        height=like(np.repeat(rows[:, None], width, axis=1), small),
        depth=border_distance(color),
        texture=_texture(lightness),
        zones=zones,
        doubt=doubt,
    )


def mean_classes(traits: FloatArray) -> FloatArray:
    """Mean class probabilities (K, groups) of regions, from their mean features for matching.

    All 0 for a whole photo, which has no features (K, 0).
    """
    if traits.shape[1] == 0:
        return np.zeros((len(traits), len(classes.GROUPS)), dtype=np.float32)
    return traits[:, _CLASSES_AT : _CLASSES_AT + len(classes.GROUPS)] / _MATCH["classes"]


def photo_doubt(probabilities: FloatArray | None) -> float:
    """Doubt in 0..1 about the class probabilities (groups, a, b) of a photo as a whole.

    On a photo of a kind that it was not trained on, a segmenter is unsure nearly everywhere
    (Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks", ICLR 2017), and what it is sure of is often wrong as well.
    """
    if probabilities is None:
        return 1.0
    return float(np.interp(probabilities.max(axis=0).mean(), _KNOWN[::-1], (1.0, 0.0)))


def downscaled(tall: int, wide: int) -> tuple[int, int]:
    """Size (height, width) in which the regions of a photo are found."""
    scale = min(1.0, SIDE / min(tall, wide))
    return max(1, round(tall * scale)), max(1, round(wide * scale))


def _refined(probabilities: FloatArray | None, guide: Floats) -> Floats:
    """Refine class probabilities to follow edges in the photo; patches inside sky become sky."""
    _, height, width = guide.shape
    if probabilities is None:
        return like(np.zeros((len(classes.GROUPS), height, width), dtype=np.float32), guide)
    xp = namespace(guide)
    planes = resize(like(probabilities, guide), height, width)
    present = np.flatnonzero(to_host(xp.max(planes, axis=(1, 2))) > 0.01).tolist()
    fine = xp.zeros_like(planes)
    if not present:
        return fine
    # A window two coarse cells wide smooths their staircase borders.
    side = 2 * max(1, round(height / probabilities.shape[1])) + 1
    slopes, offsets = fit_local_linear(planes[present], guide, side, _CLASS_RIDGE)
    fine[present] = xp.clip(apply_local_linear(slopes, offsets, guide), 0.0, 1.0)
    fine /= xp.maximum(xp.sum(fine, axis=0), 1e-6)
    if classes.SKY not in present:
        return fine
    sky = to_host(fine[classes.SKY] > 0.5)
    clouds = ndimage.binary_fill_holes(sky) & ~sky
    is_sky = np.arange(len(fine))[:, None, None] == classes.SKY
    return xp.where(like(clouds, fine), xp.astype(like(is_sky, fine), xp.float32), fine)


def _texture(lightness: Floats) -> Floats:
    xp = namespace(lightness)
    planes = xp.stack([lightness, lightness * lightness])
    mean, square = box_mean(planes, _TEXTURE_SIDE, "symmetric")
    deviation = xp.sqrt(xp.maximum(square - mean * mean, 0.0))
    return xp.log1p(deviation) / _TEXTURE_UNIT


def border_distance(color: Floats) -> Floats:
    """Geodesic distance in 0..1 of each pixel of a CIELAB image (3, h, w) from the image border.

    The length of the path with the least color change (Wei et al., "Geodesic Saliency Using
    Background Priors", ECCV 2012): near 0 in the background, large on foreground objects.
    """
    _, tall, wide = color.shape
    scale = min(1.0, _GEODESIC_SIDE / min(tall, wide))
    height, width = max(2, round(tall * scale)), max(2, round(wide * scale))
    small = to_host(resize(color, height, width))
    index = np.arange(height * width).reshape(height, width)
    border = np.unique(np.concatenate([index[0], index[-1], index[:, 0], index[:, -1]]))
    outside = index.size
    tails = [index[1:].ravel(), index[:, 1:].ravel(), np.full(border.size, outside)]
    heads = [index[:-1].ravel(), index[:, :-1].ravel(), border]
    steps = [_steps(small, axis).ravel() for axis in (1, 2)]
    lengths = np.concatenate([*steps, np.full(border.size, _LEAST_STEP)])
    graph = coo_matrix(
        (lengths, (np.concatenate(tails), np.concatenate(heads))), shape=(outside + 1,) * 2
    ).tocsr()
    distance = dijkstra(graph, directed=False, indices=outside)[:outside]
    near = np.minimum(distance / _GEODESIC_UNIT, 1.0).astype(np.float32)
    return resize(like(near.reshape(1, height, width), color), tall, wide)[0]


_LEAST_STEP = 1e-3  # a sparse graph treats 0 as no edge


def _steps(color: FloatArray, axis: int) -> npt.NDArray[np.float64]:
    change = np.sqrt((np.diff(color, axis=axis) ** 2).sum(axis=0)).astype(np.float64)
    return np.asarray(np.maximum(change - _GEODESIC_STEP, 0.0) + _LEAST_STEP)

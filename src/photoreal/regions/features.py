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

from photoreal.arrays import Floats, like, resize, to_host
from photoreal.color.spaces import lab
from photoreal.regions import classes
from photoreal.render.box_filter import box_mean
from photoreal.render.local_linear import (
    FloatArray,
    apply_local_linear,
    fit_local_linear,
    resize_plane,
)

SIDE = 160
"""Shorter side in pixels of the downscaled photo in which regions are found."""

# Clustering: CIELAB divided by its typical deviation, the rest in 0..1, each with a weight.
_COLOR_UNITS = np.array([30.0, 20.0, 20.0], dtype=np.float32)[:, None, None]
_CLUSTER = {"color": 0.3, "height": 1.5, "classes": 2.0, "depth": 1.0, "texture": 0.5}
# Matching: lightness by rank, since styles are darker or brighter as a whole.
_MATCH = {"rank": 1.0, "height": 1.0, "classes": 1.5, "depth": 1.0, "texture": 1.0}

_CLASS_RIDGE = 1e-3
_TEXTURE_SIDE = 15
_TEXTURE_UNIT = 3.0  # log(1 + L*) of a rough texture
_GEODESIC_SIDE = 64
_GEODESIC_STEP = 1.5  # L*a*b* between neighboring pixels: smaller steps are shading and noise
_GEODESIC_UNIT = 40.0


@dataclass(frozen=True)
class RegionFeatures:
    """Features of a downscaled photo, planes (h, w) or stacks of them.

    `guide` (3, h, w) is the downscaled photo, `color` its CIELAB, `classes` (groups, h, w) the
    refined probabilities; `rank`, `height`, `depth` and `texture` are in about 0..1.
    """

    guide: FloatArray
    color: FloatArray
    classes: FloatArray
    rank: FloatArray
    height: FloatArray
    depth: FloatArray
    texture: FloatArray

    def for_clusters(self) -> FloatArray:
        """Features (pixels, D) for clustering into regions."""
        return self._stacked(_CLUSTER)

    def for_matching(self) -> FloatArray:
        """Features (pixels, D) for matching the regions of two photos."""
        return self._stacked(_MATCH)

    def _stacked(self, weights: dict[str, float]) -> FloatArray:
        planes = []
        for name, weight in weights.items():
            values = getattr(self, name)
            if name == "color":
                values = values / _COLOR_UNITS
            planes.append(weight * values.reshape(-1, values.shape[-2] * values.shape[-1]))
        return np.asarray(np.concatenate(planes).T, dtype=np.float32)


def region_features(photo: Floats, probabilities: FloatArray | None) -> RegionFeatures:
    """Compute the features of a photo (3, H, W) in 0..1.

    `probabilities` (groups, a, b) are the segmenter's for `photoreal.regions.classes.GROUPS`, at
    a lower resolution than the photo; None without a segmenter.
    """
    _, tall, wide = photo.shape
    scale = min(1.0, SIDE / min(tall, wide))
    height, width = max(1, round(tall * scale)), max(1, round(wide * scale))
    small = resize(photo, height, width)
    guide, color = to_host(small), to_host(lab(small))
    lightness = color[0]
    order = lightness.ravel().argsort(kind="stable").argsort()
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)
    return RegionFeatures(
        guide=guide,
        color=color,
        classes=_refined(probabilities, small),
        rank=(order / order.size).astype(np.float32).reshape(height, width),
        height=np.repeat(rows[:, None], width, axis=1),
        depth=border_distance(color),
        texture=_texture(lightness),
    )


def _refined(probabilities: FloatArray | None, guide: Floats) -> FloatArray:
    """Refine class probabilities to follow edges in the photo; patches inside sky become sky."""
    _, height, width = guide.shape
    if probabilities is None:
        return np.zeros((len(classes.GROUPS), height, width), dtype=np.float32)
    planes: FloatArray = resize(probabilities, height, width)
    present = np.flatnonzero(planes.max(axis=(1, 2)) > 0.01)
    fine = np.zeros_like(planes)
    if not present.size:
        return fine
    # A window two coarse cells wide smooths their staircase borders.
    side = 2 * max(1, round(height / probabilities.shape[1])) + 1
    slopes, offsets = fit_local_linear(like(planes[present], guide), guide, side, _CLASS_RIDGE)
    fine[present] = to_host(apply_local_linear(slopes, offsets, guide)).clip(0.0, 1.0)
    fine /= np.maximum(fine.sum(axis=0), 1e-6)
    sky = fine[classes.SKY] > 0.5
    clouds = ndimage.binary_fill_holes(sky) & ~sky
    fine[:, clouds] = 0.0
    fine[classes.SKY, clouds] = 1.0
    return fine


def _texture(lightness: FloatArray) -> FloatArray:
    planes = np.stack([lightness, lightness * lightness])
    mean, square = box_mean(planes, _TEXTURE_SIDE, "symmetric")
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return np.asarray(np.log1p(deviation) / _TEXTURE_UNIT, dtype=np.float32)


def border_distance(color: FloatArray) -> FloatArray:
    """Geodesic distance in 0..1 of each pixel of a CIELAB image (3, h, w) from the image border.

    The length of the path with the least color change (Wei et al., "Geodesic Saliency Using
    Background Priors", ECCV 2012): near 0 in the background, large on foreground objects.
    """
    _, tall, wide = color.shape
    scale = min(1.0, _GEODESIC_SIDE / min(tall, wide))
    height, width = max(2, round(tall * scale)), max(2, round(wide * scale))
    small = np.stack([resize_plane(plane, height, width) for plane in color])
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
    return resize_plane(near.reshape(height, width), tall, wide)


_LEAST_STEP = 1e-3  # a sparse graph treats 0 as no edge


def _steps(color: FloatArray, axis: int) -> npt.NDArray[np.float64]:
    change = np.sqrt((np.diff(color, axis=axis) ** 2).sum(axis=0)).astype(np.float64)
    return np.asarray(np.maximum(change - _GEODESIC_STEP, 0.0) + _LEAST_STEP)

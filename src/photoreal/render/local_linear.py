"""Local linear model of an image in a guide image, the basis of guided filters.

In every window a plane of values is fitted as a linear function of the colors of a guide (He,
Sun and Tang, "Guided Image Filtering", TPAMI 2013, color guide of section 3.5), and the fits of
all windows that contain a pixel are averaged. Slopes and offsets vary slowly, so they can be
computed on a small image and applied to a large one (He and Sun, "Fast Guided Filter", 2015).

Arrays are numpy arrays or tensors (`photoreal.arrays`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, batches, is_tensor, namespace, resize
from photoreal.cores import map_on_cores
from photoreal.render.box_filter import box_mean

FloatArray = npt.NDArray[np.float32]
Mean = Callable[[Floats], Floats]
"""Means over the windows around each pixel of planes (K, H, W)."""

_LARGE = 100_000
"""Pixels from which an image on the CPU is processed in strips on several threads."""
_STRIP = 1 << 15
"""Pixels of a strip."""


def fit_local_linear(
    values: Floats,
    guide: Floats,
    side: int,
    ridge: float,
    prior: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Fit planes (K, H, W) as linear in a guide: slopes (K, 3, H, W) and offsets (K, H, W).

    Args:
        values: the planes to fit.
        guide: an image (3, H, W) in 0..1.
        side: side of the square windows in pixels, odd.
        ridge: variance of the guide below which a window counts as flat; there the slopes of the
            prior are used.
        prior: fallback slopes (K, 3, H, W); zero by default.
    """
    mean = partial(box_mean, side=side)
    if is_tensor(guide) or guide[0].size < _LARGE:
        return _fitted(values, guide, mean, mean, ridge, prior)
    _, height, width = guide.shape
    slopes = np.empty((len(values), *guide.shape), dtype=np.float32)
    offsets = np.empty((len(values), height, width), dtype=np.float32)
    halo = side - 1  # the filter runs twice
    rows = max(2 * halo, _STRIP // width, 1)

    def work(first: int) -> None:
        top = max(first - halo, 0)
        cut = np.s_[:, top : first + rows + halo]
        own_prior = None if prior is None else prior[:, cut[0], cut[1]]
        found = _fitted(values[cut], guide[cut], mean, mean, ridge, own_prior)
        inner = slice(first - top, first - top + rows)
        slopes[:, :, first : first + rows] = found[0][:, :, inner]
        offsets[:, first : first + rows] = found[1][:, inner]

    # Strips whose intermediate results fit into the CPU's cache.
    map_on_cores(work, range(0, height, rows))
    return slopes, offsets


def fit_coarse_slopes(values: Floats, guide: Floats, side: int, step: int, ridge: float) -> Floats:
    """Slopes (K, 3, H, W) of `fit_local_linear` for wide windows, at a fraction of the cost.

    The moments of `step` x `step` pixels are averaged first, then windows of `side` x `side` such
    cells are fitted, and their slopes are interpolated.
    """

    def mean(planes: Floats) -> Floats:
        return box_mean(_pooled(planes, step), side)

    slopes, _ = _fitted(values, guide, mean, partial(box_mean, side=side), ridge, None)
    count, _, rows, columns = slopes.shape
    height, width = guide.shape[1:]
    fine = resize(slopes.reshape(-1, rows, columns), rows * step, columns * step)
    return fine.reshape(count, 3, rows * step, columns * step)[..., :height, :width]


def _pooled(planes: Floats, step: int) -> Floats:
    """Means of `step` x `step` pixels; cells beyond the border repeat the outermost pixels."""
    if is_tensor(planes):
        from torch.nn import functional as F

        beyond = (0, -planes.shape[2] % step, 0, -planes.shape[1] % step)
        return F.avg_pool2d(F.pad(planes[None], beyond, mode="replicate")[0], step)
    for axis in (-2, -1):
        length = planes.shape[axis]
        total: Floats = None
        for shift in range(step):
            part = planes[..., shift::step, :] if axis == -2 else planes[..., shift::step]
            if part.shape[axis] * step < length:  # the last cell is cut off by the border
                last = planes[..., -1:, :] if axis == -2 else planes[..., -1:]
                part = namespace(planes).concat([part, last], axis=axis)
            total = part if total is None else total + part
        planes = total / step
    return planes


def _fitted(
    values: Floats,
    guide: Floats,
    mean: Mean,
    smooth: Mean,
    ridge: float,
    prior: Floats | None,
) -> tuple[Floats, Floats]:
    """Fit with `mean` over each window, then average the fits of windows with `smooth`."""
    xp = namespace(guide)
    center = mean(guide)
    inverse = _inverse_covariance(guide, center, mean, ridge)
    stack = (-1, *center.shape)
    _, height, width = guide.shape
    slopes, offsets = [], []
    for some in batches(len(values), height * width, guide):
        value = values[some]
        products = (guide * value[:, None]).reshape(-1, height, width)
        means = mean(xp.concat([value, products]))
        level, shared = means[: len(value)], means[len(value) :].reshape(stack)
        shared = shared - center * level[:, None]
        if prior is not None:
            shared = shared + ridge * prior[some]
        slope = xp.sum(inverse * shared[:, None], axis=2)
        offset = level - xp.sum(slope * center, axis=1)
        means = smooth(xp.concat([offset, slope.reshape(-1, *center.shape[1:])]))
        offsets.append(means[: len(value)])
        slopes.append(means[len(value) :].reshape(stack))
    return xp.concat(slopes), xp.concat(offsets)


def apply_local_linear(slopes: Floats, offsets: Floats, guide: Floats) -> Floats:
    """Apply a model of `fit_local_linear` to a guide (3, H, W) of any size; returns (K, H, W)."""
    height, width = guide.shape[1:]
    found = []
    for some in batches(len(offsets), height * width, guide):
        planes = resize(offsets[some], height, width)
        for channel in range(3):
            planes += resize(slopes[some, channel], height, width) * guide[channel]
        found.append(planes)
    return namespace(guide).concat(found)


def resize_plane(plane: FloatArray, height: int, width: int) -> FloatArray:
    """Resize a plane (H, W) bilinearly."""
    resized: FloatArray = resize(plane[None], height, width)[0]
    return resized


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _inverse_covariance(guide: Floats, center: Floats, mean: Mean, ridge: float) -> Floats:
    """Inverse (3, 3, H, W) of the guide's covariance plus a ridge, in closed form.

    LAPACK would work pixel by pixel.
    """
    xp = namespace(guide)
    _, height, width = guide.shape
    products = [guide[i] * guide[j] for i, j in _PAIRS]
    groups = batches(len(products), height * width, guide)
    means = chain.from_iterable(mean(xp.stack(products[some])) for some in groups)
    a, b, c, d, e, f = (
        value - center[i] * center[j] + (ridge if i == j else 0.0)
        for value, (i, j) in zip(means, _PAIRS, strict=True)
    )
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    fourth, fifth, sixth = a * f - c * c, b * c - a * e, a * d - b * b
    adjugate = [first, second, third, second, fourth, fifth, third, fifth, sixth]
    inverse = xp.stack(adjugate) / (a * first + b * second + c * third)
    return inverse.reshape(3, 3, *center.shape[1:])

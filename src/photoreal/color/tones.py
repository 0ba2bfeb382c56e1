"""Tone curves: the shape of a region's distributions of luma and chroma, beyond their moments.

After the linear map of `photoreal.color.transport` a region has the style's mean and covariance.
A monotone curve along luma and along each of two chroma axes then moves its quantiles toward
those of the style: optimal transport in one dimension (Pitie, Kokaram and Dahyot, "Automated
colour grading using colour distribution transfer", CVIU 2007, section 3), with bounded slopes, so
that nothing is flattened or amplified much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, like, namespace, to_host
from photoreal.color.spaces import LUMA
from photoreal.color.transport import MAX_GAIN

Matrix = npt.NDArray[np.float64]

POINTS = 33
"""Number of quantiles of each axis."""

_RED, _, _BLUE = np.eye(3)
AXES = np.stack([LUMA, 0.5 * (_BLUE - LUMA) / (1 - LUMA[2]), 0.5 * (_RED - LUMA) / (1 - LUMA[0])])
"""Luma, blue difference and red difference (Rec. ITU-R BT.601) in sRGB."""

LUMA_SHARE = {"masks": 0.6, "found": 0.4}
"""Share of the luma curve that is applied, by the source of the regions; chroma takes all of its.

A full luma curve costs more structure than the style that it adds is worth, all the more where a
found region may have the wrong partner.
"""

_PROBABILITIES = np.linspace(0.01, 0.99, POINTS)
_LEAST_SLOPE = 0.5
_MOST_SLOPE = np.array([2.0, 3.0, 3.0])[:, None]  # chroma hardly counts for what is seen as shape
_LOW, _HIGH, _BINS = -0.75, 1.75, 1280
_SAMPLE = 50_000  # pixels that determine the quantiles
_INVERSE = np.linalg.inv(AXES)
_END = 2  # quantiles at each end that do not count toward the curve's level


class ToneCurves(NamedTuple):
    """A curve for each axis: `before` and `after` (3, POINTS), each row not decreasing.

    Beyond its ends a curve has slope 1.
    """

    before: Matrix
    after: Matrix


def measure_tones(colors: Floats, weights: Floats) -> Matrix:
    """Quantiles (3, POINTS) of colors (3, N) along `AXES`; weights (N,) are not all 0."""
    xp = namespace(colors)
    step = (colors.shape[1] // _SAMPLE) | 1  # odd, so that no column of the photo is skipped
    axes = xp.astype(like(AXES, colors), xp.float32)
    values = axes @ colors[:, ::step]
    some = xp.astype(weights[::step], xp.float64)
    if step > 1 and not float(xp.sum(some)) > 0.0:  # a sparse region between the samples
        values, some = axes @ colors, xp.astype(weights, xp.float64)
    places = xp.astype(
        xp.clip((values - _LOW) * (_BINS / (_HIGH - _LOW)), 0.0, _BINS - 1.0), xp.int64
    )
    counts = xp.stack([xp.bincount(row, weights=some, minlength=_BINS) for row in places])
    sums = np.cumsum(to_host(counts), axis=1)
    edges = np.linspace(_LOW, _HIGH, _BINS + 1)
    return np.stack([_inverse(np.append(0.0, row) / row[-1], edges) for row in sums])


def mixture_tones(parts: Sequence[Matrix], shares: Sequence[float]) -> Matrix:
    """Quantiles of the union of all parts' colors, weighted by shares."""
    weights = np.asarray(shares, dtype=np.float64) / sum(shares)
    mixed = []
    for rows in zip(*parts, strict=True):
        values = np.unique(np.concatenate(rows))
        below = [np.interp(values, row, _PROBABILITIES, left=0.0, right=1.0) for row in rows]
        mixed.append(_inverse(np.tensordot(weights, below, axes=1), values))
    return np.stack(mixed)


def barycenter_tones(parts: Sequence[Matrix], shares: Sequence[float]) -> Matrix:
    """Quantiles of the Wasserstein barycenter along each axis: their weighted mean."""
    mean: Matrix = np.average(parts, axis=0, weights=shares)
    return mean


def tone_curves(
    content: Matrix, style: Matrix, luma: float = 1.0, map_matrix: Matrix | None = None
) -> ToneCurves:
    """The curves that move quantiles (3, POINTS) of a content toward those of a style.

    `luma` in 0..1 is the share of the luma curve. `map_matrix` (3, 3) is the linear map by which
    the content was changed before: map and curve together amplify chroma no more than `MAX_GAIN`
    times.
    """
    most = _MOST_SLOPE.copy()
    if map_matrix is not None:
        gains = np.linalg.norm(AXES @ map_matrix, axis=1) / np.linalg.norm(AXES, axis=1)
        left = np.maximum(MAX_GAIN / np.maximum(gains, 1e-6), 1.0)
        most[1:] = np.minimum(most[1:], left[1:, None])
    steps = np.maximum(np.diff(content, axis=1), 1e-5)
    slopes = np.clip(np.diff(style, axis=1) / steps, _LEAST_SLOPE, most)
    before = content[:, :1] + np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    after = np.pad(np.cumsum(slopes * steps, axis=1), ((0, 0), (1, 0)))
    after += (style - after)[:, _END:-_END].mean(axis=1, keepdims=True)
    share = np.array([luma, 1.0, 1.0])[:, None]
    return ToneCurves(before, before + share * (after - before))


def apply_tones(curves: ToneCurves, colors: Floats) -> Floats:
    """Apply the curves to colors (3, N) of any values."""
    xp = namespace(colors)
    axes, inverse = (xp.astype(like(one, colors), xp.float32) for one in (AXES, _INVERSE))
    values = axes @ colors
    change = xp.stack([_change(*row) for row in zip(values, *curves, strict=True)])
    return colors + inverse @ change


def _change(values: Floats, before: Matrix, after: Matrix) -> Floats:
    """Difference of a curve's values (N,) from its arguments."""
    xp = namespace(values)
    # A table of equal steps, which costs a lookup a pixel, on a GPU as well.
    grid = np.linspace(before[0], before[-1], 16 * POINTS)
    table = np.interp(grid, before, after - before).astype(np.float32)
    rows = like(np.append(table, table[-1]), values)
    scale = (len(table) - 1) / max(float(before[-1] - before[0]), 1e-6)
    place = xp.clip((values - float(before[0])) * scale, 0.0, len(table) - 1.0)
    first = xp.astype(place, xp.int64)
    share = place - xp.astype(first, xp.float32)
    low = rows[first]
    return low + share * (rows[first + 1] - low)


def _inverse(below: Matrix, values: Matrix) -> Matrix:
    """Quantiles from a distribution function at increasing values."""
    return np.asarray(np.interp(_PROBABILITIES, below, values))

"""Linear color transport: an affine map from one region's color distribution to another's.

The linear Monge-Kantorovich map is the optimal transport between two Gaussians in closed form
(Pitie and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping for Example-Based
Colour Transfer", CVMP 2007): one symmetric 3x3 matrix and an offset. Colors are sRGB in 0..1: of
the spaces compared (also linear light, CIELAB and Oklab), sRGB preserved the most structure at
the same distance from the style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, namespace, to_host

Matrix = npt.NDArray[np.float64]

MAX_GAIN = 4.0
"""Maximum gain of a color direction with little variance in the content; beyond it noise and
8-bit quantization become visible."""

RIDGE = 4e-4
"""Variance, a deviation of 2 % of the range, added to content and style in every direction.

Where the content hardly varies, the map then stays closer to a shift: the faint tint of one end of
a wall does not become a stain.
"""


class ColorMoments(NamedTuple):
    """Mean (3,) and covariance (3, 3) of a region's colors."""

    mean: Matrix
    covariance: Matrix


class ColorMap(NamedTuple):
    """y = matrix x + offset, with `matrix` (3, 3) and `offset` (3,)."""

    matrix: Matrix
    offset: Matrix


def color_moments(picture: Floats, weights: Floats) -> ColorMoments:
    """Weighted moments of an image (3, H, W) or of pixels (3, N).

    The weights, (H, W) or (N,), are at least 0 and not all 0.
    """
    xp = namespace(picture)
    colors, shares = picture.reshape(3, -1), weights.reshape(-1)
    total = float(xp.sum(shares, dtype=xp.float64))
    mean = xp.sum(colors * shares, axis=1, dtype=xp.float64) / total
    # Center first: float32 would otherwise lose the variance of a flat region.
    centered = colors - xp.astype(mean, xp.float32)[:, None]
    covariance = to_host((centered * shares) @ centered.T) / total
    return ColorMoments(to_host(mean), covariance.astype(np.float64))


def mixture(parts: Sequence[ColorMoments], shares: Sequence[float]) -> ColorMoments:
    """Moments of the union of all parts' colors, weighted by shares (at least 0, not all 0)."""
    weights = np.asarray(shares, dtype=np.float64) / sum(shares)
    mean = sum(w * part.mean for w, part in zip(weights, parts, strict=True))
    covariance = sum(
        w * (part.covariance + np.outer(part.mean - mean, part.mean - mean))
        for w, part in zip(weights, parts, strict=True)
    )
    return ColorMoments(np.asarray(mean), np.asarray(covariance))


def barycenter(parts: Sequence[ColorMoments], shares: Sequence[float]) -> ColorMoments:
    """Barycenter of several styles' moments: mean of means, square of the mean of roots.

    The root Euclidean mean of covariances, as in `photoreal.transfer.mixing` for features.
    """
    weights = np.asarray(shares, dtype=np.float64) / sum(shares)
    mean = sum(w * part.mean for w, part in zip(weights, parts, strict=True))
    root = sum(w * _root(part.covariance) for w, part in zip(weights, parts, strict=True))
    return ColorMoments(np.asarray(mean), np.asarray(root) @ np.asarray(root))


def color_map(
    content: ColorMoments,
    style: ColorMoments,
    *,
    gain: float = MAX_GAIN,
    ridge: float = RIDGE,
) -> ColorMap:
    """Compute the map that gives a content region's colors the moments of a style region.

    `ridge` is added to the variances of both, and no color direction is amplified more than `gain`
    times.
    """
    ours, theirs = (one.covariance + ridge * np.eye(3) for one in (content, style))
    half = _root(ours)
    back = np.linalg.inv(half)
    matrix = back @ _root(half @ theirs @ half) @ back
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    matrix = (vectors * np.clip(values, 0.0, gain)) @ vectors.T
    return ColorMap(matrix, style.mean - matrix @ content.mean)


def without_gain(found: ColorMap) -> Matrix:
    """The matrix of a map, with every gain above 1 lowered to 1."""
    values, vectors = np.linalg.eigh(found.matrix)
    matrix: Matrix = (vectors * np.minimum(values, 1.0)) @ vectors.T
    return matrix


def _root(matrix: Matrix) -> Matrix:
    """Symmetric square root of a positive semidefinite matrix (3, 3)."""
    values, vectors = np.linalg.eigh(matrix)
    root: Matrix = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root

"""Linear transport of colors: the map that carries one region's colors to another's.

The linear Monge-Kantorovich map is the optimal transport between two Gaussians in closed form
(Pitie and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping for Example-Based
Colour Transfer", CVMP 2007): one symmetric 3x3 matrix and an offset. Colors are sRGB in 0..1,
the space in which it kept most structure at the same distance from the style (linear light,
CIELAB and Oklab were measured as well).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

MAX_GAIN = 4.0
"""A direction of color that hardly varies in the content is amplified no more than this: beyond
it noise and the steps of 8 bits become visible."""

_RIDGE = 1e-6  # variance, a quarter of the step of 8 bits squared


class ColorMoments(NamedTuple):
    """Mean (3,) and covariance (3, 3) of a region's colors."""

    mean: Matrix
    covariance: Matrix


class ColorMap(NamedTuple):
    """y = matrix x + offset, with `matrix` (3, 3) and `offset` (3,)."""

    matrix: Matrix
    offset: Matrix


def color_moments(
    picture: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]
) -> ColorMoments:
    """Weighted moments of a picture (3, H, W) by weights (H, W) from 0 up, not all of them 0."""
    colors, shares = picture.reshape(3, -1), weights.ravel()
    total = float(shares.sum(dtype=np.float64))
    weighted = colors * shares
    mean = weighted.sum(axis=1, dtype=np.float64) / total
    # Centered first: single precision would lose a flat region's variance otherwise.
    centered = colors - mean.astype(np.float32)[:, None]
    covariance = (centered * shares) @ centered.T / total
    return ColorMoments(mean, covariance.astype(np.float64))


def mixture(parts: Sequence[ColorMoments], shares: Sequence[float]) -> ColorMoments:
    """Moments of all parts' colors together, each part with its share (from 0 up, not all 0)."""
    weights = np.asarray(shares, dtype=np.float64) / sum(shares)
    mean = sum(w * part.mean for w, part in zip(weights, parts, strict=True))
    covariance = sum(
        w * (part.covariance + np.outer(part.mean - mean, part.mean - mean))
        for w, part in zip(weights, parts, strict=True)
    )
    return ColorMoments(np.asarray(mean), np.asarray(covariance))


def barycenter(parts: Sequence[ColorMoments], shares: Sequence[float]) -> ColorMoments:
    """Moments between those of several styles: mean of means, square of the mean of roots.

    The root Euclidean mean of covariances, as `photoreal.transfer.mixing` has it for features.
    """
    weights = np.asarray(shares, dtype=np.float64) / sum(shares)
    mean = sum(w * part.mean for w, part in zip(weights, parts, strict=True))
    root = sum(w * _root(part.covariance) for w, part in zip(weights, parts, strict=True))
    return ColorMoments(np.asarray(mean), np.asarray(root) @ np.asarray(root))


def color_map(
    content: ColorMoments, style: ColorMoments, *, strength: float = 1.0, gain: float = MAX_GAIN
) -> ColorMap:
    """The map that gives a content region's colors a style region's moments.

    `strength` in 0..1 is the share of the whole change; no direction of color is amplified more
    than `gain` times.
    """
    half = _root(content.covariance + _RIDGE * np.eye(3))
    back = np.linalg.inv(half)
    matrix = back @ _root(half @ style.covariance @ half) @ back
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    matrix = (vectors * np.clip(values, 0.0, gain)) @ vectors.T
    offset = style.mean - matrix @ content.mean
    return ColorMap(
        strength * matrix + (1.0 - strength) * np.eye(3),
        strength * offset,
    )


def _root(matrix: Matrix) -> Matrix:
    """Symmetric square root of a positive semidefinite matrix (3, 3)."""
    values, vectors = np.linalg.eigh(matrix)
    root: Matrix = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root

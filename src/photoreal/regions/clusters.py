"""Soft clustering of a photo's features into regions, as weights that sum to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from photoreal.arrays import Floats, like, median, namespace, to_host
from photoreal.render.box_filter import box_mean
from photoreal.render.local_linear import FloatArray

COUNT = 6
"""Initial number of clusters, before they are merged (`photoreal.regions.joining`)."""

_TRIES, _ROUNDS, _SAMPLES = 3, 15, 2500

_SPREAD = 9  # window in pixels within which a region may claim pixels of its color
_COLOR_TRUST = 0.25
_COLOR_FLOOR = 25.0  # (L*a*b*)^2: shades closer than this are one color
_WORST = -8.0


def find_centers(features: Floats, count: int = COUNT) -> FloatArray:
    """Cluster centers (count, D) of features (N, D); deterministic.

    Lloyd's algorithm from the best of a few seeded k-means++ starts (Arthur and Vassilvitskii,
    SODA 2007).
    """
    # Contiguous rows of features (D, n): reductions along short rows of (n, D) are slow.
    sample = np.ascontiguousarray(to_host(features[:: max(1, len(features) // _SAMPLES)]).T)
    best, least = sample[:, :1].T, np.inf
    for seed in range(_TRIES):
        centers = _start(sample, count, np.random.default_rng(seed))
        before = None
        for _ in range(_ROUNDS):
            far = _beyond_own_square(sample, centers)
            own = (far == far.min(axis=0)).astype(np.float32)
            if before is not None and np.array_equal(own, before):
                break
            before, sizes = own, own.sum(axis=1)
            centers = (own @ sample.T / np.maximum(sizes, 1.0)[:, None])[sizes > 0.0]
        cost = float(_distances(sample, centers).min(axis=0).sum())
        if cost < least:
            best, least = centers, cost
    return best


def _start(sample: FloatArray, count: int, random: np.random.Generator) -> FloatArray:
    """First centers (count, D) among the columns of a sample (D, n)."""
    centers = [sample[:, random.integers(sample.shape[1])]]
    far = np.full(sample.shape[1], np.inf)
    while len(centers) < count:
        far = np.minimum(far, ((sample - centers[-1][:, None]) ** 2).sum(axis=0))
        total = far.sum()
        if total < 1e-9:  # fewer different pixels than clusters
            break
        centers.append(sample[:, random.choice(len(far), p=far / total)])
    return np.stack(centers)


def _distances(features: Floats, centers: Floats) -> Floats:
    """Squared distances (K, N) of features (D, N) from centers (K, D)."""
    squares = (features**2).sum(axis=0) + _beyond_own_square(features, centers)
    return namespace(features).maximum(squares, 0.0)


def _beyond_own_square(features: Floats, centers: Floats) -> Floats:
    """Squared distances (K, N) less the features' own squares, which do not change the nearest."""
    return (centers**2).sum(axis=1)[:, None] - 2 * (centers @ features)


def memberships(features: Floats, centers: FloatArray) -> Floats:
    """Cluster weights (K, N) of features (N, D), shared between centers at similar distances."""
    xp = namespace(features)
    distances = _distances(features.T, like(centers, features))
    nearest = xp.min(distances, axis=0)
    weights = xp.exp((nearest - distances) / (median(nearest) + 1e-6))
    return weights / xp.sum(weights, axis=0)


def joined(shares: Floats, groups: Sequence[int]) -> Floats:
    """Merge cluster weights (k, N) into region weights (K, N), which sum to 1 per pixel.

    `groups` (k,) is the region of each cluster, -1 for none: its pixels go to other regions.
    """
    xp = namespace(shares)
    weights = xp.zeros_like(shares[: max(groups) + 1])
    for share, region in zip(shares, groups, strict=True):
        if region >= 0:
            weights[region] += share
    # Pixels of a cluster too small for a region belong to all regions.
    weights = xp.where(xp.sum(weights, axis=0) <= 1e-6, 1.0, weights)
    return weights / xp.sum(weights, axis=0)


def follow_colors(weights: Floats, color: Floats, rounds: int = 2, spread: int = _SPREAD) -> Floats:
    """Align the borders of weights (K, h, w) with color changes in a CIELAB image (3, h, w).

    Each region's colors are modeled as a Gaussian, and pixels near a region that match its colors
    are assigned to it. This is an EM step with a prior smoothed over windows of `spread` pixels.
    """
    xp = namespace(weights)
    monomials = _monomials(color.reshape(3, -1))
    for _ in range(rounds):
        likelihood = _log_likelihoods(monomials, weights.reshape(len(weights), -1))
        likelihood -= xp.max(likelihood, axis=0)
        near = box_mean(weights, spread, "symmetric")
        claim = xp.exp(xp.maximum(_COLOR_TRUST * likelihood, _WORST)).reshape(near.shape)
        weights = (near + 1e-6) * claim
        weights /= xp.sum(weights, axis=0)
    return xp.astype(weights, xp.float32)


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _monomials(pixels: Floats) -> Floats:
    """Monomials (10, N) up to degree 2 of pixels (3, N), centered by their mean."""
    xp = namespace(pixels)
    apart = pixels - xp.mean(pixels, axis=1, keepdims=True)
    products = [apart[i] * apart[j] for i, j in _PAIRS]
    return xp.stack([xp.ones_like(apart[0]), *apart, *products])


def _log_likelihoods(monomials: Floats, weights: Floats) -> Floats:
    """Log-likelihood (K, N) of pixels in the Gaussian of each region's colors.

    Both the moments of a region with weights (K, N) and the logarithm of a Gaussian are linear in
    the monomials (10, N), so each takes one product.
    """
    xp = namespace(monomials)
    total = xp.maximum(xp.sum(weights, axis=1, keepdims=True), 1e-6)
    moments = to_host(weights @ monomials.T / total).astype(np.float64)
    mean = moments[:, 1:4]
    spread = np.empty((len(moments), 3, 3))
    for number, (i, j) in enumerate(_PAIRS, 4):
        spread[:, i, j] = spread[:, j, i] = moments[:, number] - mean[:, i] * mean[:, j]
    spread += _COLOR_FLOOR * np.eye(3)
    inverse = np.linalg.inv(spread)
    slope = (inverse @ mean[:, :, None])[:, :, 0]
    constant = -0.5 * ((slope * mean).sum(axis=1) + np.linalg.slogdet(spread)[1])
    squares = [inverse[:, i, j] * (-0.5 if i == j else -1.0) for i, j in _PAIRS]
    factors = np.column_stack([constant, slope, *squares]).astype(np.float32)
    return like(factors, monomials) @ monomials

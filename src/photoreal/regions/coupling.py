"""Coupling: the share of each style region in the mix of each content region.

Half of the coupling is optimal transport between all regions of both photos, so that every style
region is used (entropic regularization: Cuturi, "Sinkhorn Distances", NIPS 2013); the other half
is each content region's nearest neighbor. A region with two equally good partners takes both.
A large region does not take all its colors from a small partner: what exceeds twice the partner's
area comes from the whole style.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_TEMPERATURE = 0.05
_TRANSPORT_SHARE = 0.5
_ROUNDS = 300
_VANISHED = 1e-6
_SHARPNESS = 3.0
"""Power of the shares: a clear partner is hardly mixed with others, which would tint it."""
_LEAST = 0.02  # smaller shares are dropped
_MOST_AREA = 2.0
"""Maximum area of a content region that takes a style region's colors, in areas of the latter."""


def couple(
    content: npt.NDArray[np.float32],
    style: npt.NDArray[np.float32],
    content_shares: npt.NDArray[np.float32],
    style_shares: npt.NDArray[np.float32],
) -> Matrix:
    """Shares (K, J) of the style regions in each content region's mix; each row sums to 1.

    `content` (K, D) and `style` (J, D) are the regions' mean features
    (`RegionFeatures.for_matching`), the shares (K,) and (J,) their fractions of the photo area.
    """
    cost = ((content[:, None] - style[None]) ** 2).sum(axis=2, dtype=np.float64)
    cost -= cost.min(axis=1, keepdims=True)
    ours, theirs = _present(content_shares), _present(style_shares)
    nearest = theirs * np.exp(-cost / _TEMPERATURE)
    nearest /= nearest.sum(axis=1, keepdims=True)
    transport = _sinkhorn(ours, theirs, cost)
    shares = _TRANSPORT_SHARE * transport + (1.0 - _TRANSPORT_SHARE) * nearest
    shares **= _SHARPNESS
    shares[shares < _LEAST**_SHARPNESS] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    followed = np.minimum(shares, _MOST_AREA * theirs / ours[:, None])
    rest = np.maximum(1.0 - followed.sum(axis=1, keepdims=True), 0.0)
    coupled: Matrix = followed + rest * theirs
    return coupled


def _present(shares: npt.NDArray[np.float32]) -> Matrix:
    """Normalize shares to sum to 1, keeping all above 0 to avoid division by zero."""
    above = np.maximum(shares.astype(np.float64), _VANISHED)
    present: Matrix = above / above.sum()
    return present


def _sinkhorn(ours: Matrix, theirs: Matrix, cost: Matrix) -> Matrix:
    """Entropic transport plan with its rows normalized to sum to 1."""
    kernel = np.exp(-cost / _TEMPERATURE) + 1e-30
    scale = np.ones_like(ours)
    for _ in range(_ROUNDS):
        other = theirs / (kernel.T @ scale)
        scale = ours / (kernel @ other)
    plan: Matrix = scale[:, None] * kernel * other
    rows: Matrix = plan / plan.sum(axis=1, keepdims=True)
    return rows

"""The whitening and coloring transform of one region: pure functions of (C, N) matrices.

Li et al., "Universal Style Transfer via Feature Transforms", NIPS 2017, section 3.2, with the
identity added to each covariance and the result clamped, as WCT2 publishes it. Columns are
the pixels of a region, rows the channels. Everything is computed in the dtype of its input;
float32 is safe because every eigenvalue is at least 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class StyleStatistics(NamedTuple):
    """All that the transform needs of a style region.

    `mean` is (C, 1); `root` (C, C) is the symmetric square root of the covariance plus the
    identity.
    """

    mean: Tensor
    root: Tensor


def _center(features: Tensor) -> tuple[Tensor, Tensor]:
    mean = features.mean(dim=1, keepdim=True)
    return mean, features - mean


def _eigen(centered: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (at least 1) and eigenvectors of the covariance plus the identity.

    The divisor is N - 1, or 1 for a single pixel.
    """
    count = centered.shape[1]
    covariance = (centered @ centered.T) / max(count - 1, 1)
    covariance.diagonal().add_(1.0)
    values, vectors = torch.linalg.eigh(covariance)
    # Rounding may leave an eigenvalue of a flat region just below the 1 that it is.
    return values.clamp_(min=1.0), vectors


def style_statistics(features: Tensor) -> StyleStatistics:
    """Mean and coloring matrix of a style region (C, N), N at least 1."""
    mean, centered = _center(features)
    values, vectors = _eigen(centered)
    return StyleStatistics(mean, (vectors * values.sqrt()) @ vectors.T)


def whiten_and_color(content: Tensor, style: StyleStatistics, alpha: float = 1.0) -> Tensor:
    """Give a content region (C, N), N at least 1, the statistics of a style region.

    The result is clamped to the range of the content's own features (one pair of bounds for
    all channels) and blended with them: alpha 1 is the whole effect, alpha 0 the content.
    """
    low, high = torch.aminmax(content)
    _, centered = _center(content)
    values, vectors = _eigen(centered)
    whitening = (vectors * values.rsqrt()) @ vectors.T
    # One matrix for both steps: whitening and coloring are applied in a single product.
    result = (style.root @ whitening) @ centered
    result.add_(style.mean).clamp_(min=low, max=high)
    if alpha == 1.0:
        return result
    return result.mul_(alpha).add_(content, alpha=1.0 - alpha)

"""Whitening and coloring transform of one region: pure functions of (C, N) matrices.

Li et al., "Universal Style Transfer via Feature Transforms", NIPS 2017, section 3.2, with the
identity added to each covariance and the result clamped, as in the published WCT2 code. Columns
are the pixels of a region, rows the channels. Everything is computed in the dtype of the input,
or in float32 for half precision; float32 is safe because every eigenvalue is at least 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from photoreal import devices
from photoreal.transfer.roots import inverse_roots, roots

_HALVES = (torch.float16, torch.bfloat16)

Bound = float | Tensor
"""A scalar; a zero-dimensional tensor where reading the value would synchronize a device."""


class Moments(NamedTuple):
    """Feature moments of a region, the inputs of its map.

    `mean` is (C, 1), `covariance` (C, C) with the divisor N - 1 (1 for a single pixel); `low`
    and `high` are the range of all values.
    """

    mean: Tensor
    covariance: Tensor
    low: Bound
    high: Bound


class StyleStatistics(NamedTuple):
    """Statistics of a style region, the targets of the transform.

    `mean` is (C, 1); `root` (C, C) is the symmetric square root of the covariance plus the
    identity.
    """

    mean: Tensor
    root: Tensor


@dataclass(frozen=True)
class AffineMap:
    """The transform of one region: y = matrix x + offset, clamped to low..high.

    `matrix` is (C, C), `offset` (C, 1), the bounds scalars for all channels. The result is the
    blend alpha y + (1 - alpha) x, with `alpha` in 0..1. Half-precision features are transformed
    in the matrix's dtype and returned in it.
    """

    matrix: Tensor
    offset: Tensor
    low: Bound
    high: Bound
    alpha: float

    def __call__(self, features: Tensor) -> Tensor:
        """Transform features (C, N), which may be of pixels outside the region."""
        x = features.to(self.matrix.dtype)
        if x.T.is_contiguous():  # channels last, and so is the result
            result = torch.addmm(self.offset[:, 0], x.T, self.matrix.T).T
        else:
            result = torch.addmm(self.offset, self.matrix, x)
        if isinstance(self.low, Tensor) and isinstance(self.high, Tensor):
            result.clamp_(self.low, self.high)
        else:
            result.clamp_(float(self.low), float(self.high))
        if self.alpha != 1.0:
            result.mul_(self.alpha).add_(x, alpha=1.0 - self.alpha)
        return result


def single(features: Tensor) -> Tensor:
    """Convert half-precision features to float32; other dtypes are unchanged."""
    return features.float() if features.dtype in _HALVES else features


class PixelWeights(NamedTuple):
    """Weight of each pixel (n,) in a region, and the sum of the weights."""

    values: Tensor
    total: float


class PartMoments(NamedTuple):
    """Moments of a part of a region: the sum of weights, the scatter (C, C) about the mean (C, 1).

    `low` and `high` are the range of all values.
    """

    total: float
    mean: Tensor
    scatter: Tensor
    low: Tensor
    high: Tensor


def part_moments(part: Tensor, weights: PixelWeights | None = None) -> PartMoments:
    """Moments of pixels (C, n), n at least 1, all of weight 1 without `weights`."""
    part = single(part)
    if weights is None:
        total: float = part.shape[1]
        mean = part.mean(dim=1, keepdim=True)
    else:
        total = weights.total
        mean = (part @ weights.values / total).unsqueeze(1)
    centered = part - mean
    weighted = centered if weights is None else centered * weights.values
    low, high = torch.aminmax(part.T if part.T.is_contiguous() else part)
    return PartMoments(total, mean, weighted @ centered.T, low, high)


def joined_moments(parts: Sequence[PartMoments]) -> Moments:
    """Moments of a region from those of its parts.

    Each part is centered by its own mean and then merged with the previous ones, which reads it
    once and is numerically stable (Chan, Golub & LeVeque, "Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances", 1979).

    Raises ValueError when there are no parts.
    """
    if not parts:
        raise ValueError("A region without pixels has no moments.")
    count, mean, scatter, low, high = parts[0]
    for part in parts[1:]:
        shift = part.mean - mean
        count, before = count + part.total, count
        scatter = scatter.add_(part.scatter)
        scatter.addmm_(shift, shift.T, alpha=before * part.total / count)
        mean = mean + shift * (part.total / count)
    if len(parts) > 1:
        low = torch.stack([part.low for part in parts]).min()
        high = torch.stack([part.high for part in parts]).max()
    covariance = scatter / max(count - 1.0, 1.0)
    if devices.is_queued(mean.device):
        return Moments(mean, covariance, low, high)
    return Moments(mean, covariance, float(low), float(high))


def moments(parts: Iterable[Tensor]) -> Moments:
    """Moments of a region given in parts (C, n); raises ValueError when there are none."""
    return joined_moments([part_moments(part) for part in parts])


def mixture(parts: Sequence[tuple[float, Moments]]) -> Moments:
    """Moments of the union of several regions' pixels, each region weighted by a share above 0."""
    if len(parts) == 1:
        return parts[0][1]
    total = sum(share for share, _ in parts)
    mean = sum((share / total) * part.mean for share, part in parts)
    assert isinstance(mean, Tensor)  # noqa: S101 (there is at least one part)
    covariance = torch.zeros_like(parts[0][1].covariance)
    for share, part in parts:
        shift = part.mean - mean
        covariance.add_(part.covariance, alpha=share / total)
        covariance.addmm_(shift, shift.T, alpha=share / total)
    return Moments(mean, covariance, min(p.low for _, p in parts), max(p.high for _, p in parts))


def style_statistics(region: Moments) -> StyleStatistics:
    """Mean and coloring matrix of a style region."""
    (found,) = styles_statistics([region])
    return found


def styles_statistics(regions: Sequence[Moments]) -> list[StyleStatistics]:
    """`style_statistics` of several regions in one batch."""
    coloring = roots([region.covariance for region in regions])
    return [
        StyleStatistics(region.mean, root) for region, root in zip(regions, coloring, strict=True)
    ]


def affine_map(content: Moments, style: StyleStatistics, alpha: float = 1.0) -> AffineMap:
    """Compute the map that gives a content region a style region's statistics.

    Whitening and coloring are merged into one matrix. The bounds are the range of the content's
    features. `alpha` 1 is the full effect, 0 leaves the content unchanged.
    """
    (found,) = affine_maps([(content, style)], alpha)
    return found


def affine_maps(
    regions: Sequence[tuple[Moments, StyleStatistics]], alpha: float = 1.0
) -> list[AffineMap]:
    """`affine_map` for several regions in one batch."""
    whitening = inverse_roots([content.covariance for content, _ in regions])
    return [_joined(*region, own, alpha) for region, own in zip(regions, whitening, strict=True)]


def _joined(content: Moments, style: StyleStatistics, whitening: Tensor, alpha: float) -> AffineMap:
    """Merge centering, whitening, coloring and shift into one map."""
    matrix = style.root @ whitening
    offset = torch.addmm(style.mean, matrix, content.mean, alpha=-1.0)
    return AffineMap(matrix, offset, content.low, content.high, alpha)


def whiten_and_color(content: Tensor, style: StyleStatistics, alpha: float = 1.0) -> Tensor:
    """Transform a content region (C, N), N at least 1, to the statistics of a style region."""
    return affine_map(moments([content]), style, alpha)(content)

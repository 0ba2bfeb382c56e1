"""Transform of a level by soft regions on a GPU, all regions together.

The number of launches does not depend on the number of regions, whose pixels come in tiles
(`photoreal.transfer.soft_tiles`). Statistics, maps and sums are in float32 whatever the precision
of the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from photoreal.networks.fast.kernels import is_channels_last
from photoreal.transfer.region_transform import Target
from photoreal.transfer.roots import batch_inverse_roots
from photoreal.transfer.soft_tiles import TILE, Tiles
from photoreal.transfer.whitening import Moments, StyleStatistics, single

BLOCK = 3 << 25
"""Maximum number of values that are gathered at once, 400 MB of them."""


class _Pixels:
    """Features (1, C, h, w) of one shape, gathered into tiles block by block."""

    def __init__(self, features: Sequence[Tensor], tiles: Tiles) -> None:
        rows = [one[0].flatten(1).T for one in features]
        self.rows = torch.stack(rows) if len(rows) > 1 else rows[0].contiguous()[None]
        """(B, N, C): a row for each pixel."""
        self._tiles = tiles
        size = max(BLOCK // (len(rows) * TILE * self.rows.shape[2]), 1)
        self._blocks = [slice(at, at + size) for at in range(0, len(tiles.pixels), size)]
        self._only: Tensor | None = None

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield each block's tiles and their features (B, t, TILE, C) in float32."""
        for block in self._blocks:
            gathered = self._only
            if gathered is None:
                places = self._tiles.pixels[block]
                gathered = single(self.rows.index_select(1, places.flatten()))
                gathered = gathered.view(len(self.rows), *places.shape, -1)
            if len(self._blocks) == 1:  # gather once, read several times
                self._only = gathered
            yield block, gathered


def tiled_moments(
    features: Sequence[Tensor], tiles: Tiles, ridge: float
) -> list[dict[int, Moments]]:
    """Moments of the regions in features (1, C, h, w) of one shape, without their ranges.

    `ridge` is added to every variance. A region of less than a pixel has no entry.
    """
    means, covariances = _moments(_Pixels(features, tiles), tiles, ridge)
    return [
        {k: Moments(mean[k, :, None], covariance[k], 0.0, 0.0) for k in _present(tiles)}
        for mean, covariance in zip(means, covariances, strict=True)
    ]


def _present(tiles: Tiles) -> list[int]:
    return [region for region, total in enumerate(tiles.totals) if total >= 1.0]


def _moments(pixels: _Pixels, tiles: Tiles, ridge: float) -> tuple[Tensor, Tensor]:
    """Means (B, R, C) and covariances (B, R, C, C) of all regions.

    Each tile is centered by its own mean and then merged with the others of its region, which is
    numerically stable (Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", 1979).
    """
    parts = []
    for block, x in pixels:
        mean = tiles.portions[block, None] @ x
        centered = x - mean
        weighted = centered * tiles.weights[block, :, None]
        parts.append((mean.squeeze(2), weighted.mT @ centered))
    own, scatter = (_joined(part) for part in zip(*parts, strict=True))
    mean = tiles.means[None] @ own
    shift = own - mean.index_select(1, tiles.regions)
    heavy = shift * tiles.sums[:, None]
    scatter.flatten(0, 1).baddbmm_(heavy.flatten(0, 1)[:, :, None], shift.flatten(0, 1)[:, None])
    covariance = (tiles.spreads[None] @ scatter.flatten(2)).view(*mean.shape, -1)
    covariance.diagonal(dim1=2, dim2=3).add_(ridge)
    return mean, covariance


def _ranges(pixels: _Pixels, regions: int) -> tuple[Tensor, Tensor]:
    """Least and largest value of each image's features, once for each region (B, R)."""
    low, high = torch.aminmax(pixels.rows.flatten(1), dim=1)
    low, high = (single(bound)[:, None].repeat(1, regions) for bound in (low, high))
    return low, high


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def transform_tiles(
    targets: Sequence[Target], tiles: Tiles, alpha: float, ridge: float
) -> list[Tensor]:
    """`photoreal.transfer.soft_transform.SoftTransform` for features in tiles."""
    pixels = _Pixels([target.features for target in targets], tiles)
    maps = _maps(pixels, targets, tiles, ridge)
    result = torch.zeros_like(pixels.rows, dtype=maps[0].dtype)
    for block, x in pixels:
        matrix, offset, low, high = (part[:, block] for part in maps)
        y = torch.baddbmm(offset.flatten(0, 1), x.flatten(0, 1), matrix.flatten(0, 1).mT)
        y = y.view_as(x).clamp_(low, high)
        if alpha != 1.0:
            y = torch.lerp(x, y, alpha)
        y *= tiles.weights[block, :, None]
        result.index_add_(1, tiles.pixels[block].flatten(), y.flatten(1, 2))
    features = targets[0].features
    memory = torch.channels_last if is_channels_last(features) else torch.contiguous_format
    images = result.mT.view(len(result), *features.shape[1:])
    images = images.to(features.dtype).contiguous(memory_format=memory)
    return [image[None] for image in images]


def _maps(
    pixels: _Pixels, targets: Sequence[Target], tiles: Tiles, ridge: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The map of each tile: y = x matrix^T + offset, clamped to a range.

    Matrices are (B, T, C, C), offsets (B, T, 1, C), the bounds (B, T, 1, 1). The maps of regions
    without statistics leave features unchanged.
    """
    mean, covariance = _moments(pixels, tiles, ridge)
    low, high = _ranges(pixels, len(tiles.totals))
    present = _present(tiles)
    styles: list[StyleStatistics] = []
    unchanged: list[int] = []
    for image, (_, statistics, steady) in enumerate(targets):
        for region in range(len(tiles.totals)):
            place = image, region
            style = statistics.get(region) if region in present else None
            if style is None:
                unchanged.append(len(styles))
                style = StyleStatistics(mean[place][:, None], covariance[place])
            elif steady is not None:
                own = mean[place][:, None], covariance[place], low[place], high[place]
                smooth = steady(region, Moments(*own))
                torch._foreach_copy_(own, [torch.as_tensor(value) for value in smooth])
            styles.append(style)
    whitening = batch_inverse_roots(covariance.flatten(0, 1))
    matrix = torch.stack([style.root for style in styles]) @ whitening
    goal = torch.stack([style.mean for style in styles])
    offset = torch.baddbmm(goal, matrix, mean.flatten(0, 1)[:, :, None], alpha=-1.0)
    if unchanged:
        matrix[unchanged] = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        offset[unchanged] = 0.0
        low.view(-1)[unchanged], high.view(-1)[unchanged] = -torch.inf, torch.inf
    matrix, offset = matrix.view_as(covariance), offset.view_as(mean)
    matrix, offset, low, high = (
        part.index_select(1, tiles.regions) for part in (matrix, offset, low, high)
    )
    return matrix, offset[:, :, None], low[..., None, None], high[..., None, None]

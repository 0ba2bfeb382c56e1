"""Soft regions on a GPU: tiles of pixels, each of one region.

A GPU computes faster than the host can launch work, so all regions of a level are computed
together. A pixel is listed once for each of its regions, and each region's list is cut into tiles
of one size. One gather then serves all regions, and products are batched over the tiles. Products
with whole weight planes would take as few launches, but multiply every pixel for every region.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal import devices
from photoreal.contract import POOLINGS

TILE = 1 << 9
"""Pixels of a tile."""
NEAR = 0.02
"""Weights this close to 0 or 1 are rounded: small remainders from pooling do not merit a pass."""
_STRIDES = tuple(1 << pooling for pooling in (0, *POOLINGS))


class Tiles(NamedTuple):
    """The tiles of R regions at one size of features, in the order of the regions.

    `pixels` (T, TILE) are indices of pixels, `weights` (T, TILE) their weights in the region of
    the tile, `portions` (T, TILE) their shares in `sums` (T,), the tile's total weight. The last
    tile of a region is filled up with weights of 0. `regions` (T,) is the region of each tile.
    `means` (R, T) is each tile's share in a region's mean, `spreads` (R, T) its factor in the
    covariance, both 0 for tiles of other regions.
    `totals` are the weights of the regions in pixels.
    """

    pixels: Tensor
    weights: Tensor
    portions: Tensor
    sums: Tensor
    regions: Tensor
    means: Tensor
    spreads: Tensor
    totals: list[float]


def pooled(weights: Tensor, stride: int) -> Tensor:
    """Weights (R, H, W) averaged over `stride` x `stride` pixels: (R, N)."""
    return F.avg_pool2d(weights[None], stride)[0].flatten(1) if stride > 1 else weights.flatten(1)


def rounded(small: Tensor) -> Tensor:
    """Weights (R, N) that sum to 1 at every pixel, those below `NEAR` rounded to 0.

    The largest weight of a pixel is kept, however many regions share it.
    """
    small = torch.where(small < small.amax(dim=0).clamp(max=NEAR), 0.0, small)
    small /= small.sum(dim=0)
    return small


def cut_tiles(weights: Tensor) -> dict[int, Tiles]:
    """Cut regions with weights (R, H, W) into tiles, for every stride of the networks' features.

    H and W are multiples of 8. All strides together take two synchronizations.
    """
    pools = [pooled(weights, stride) for stride in _STRIDES]
    sizes = [plane.shape[1] for plane in pools]
    joined = rounded(torch.cat(pools, dim=1))
    planes = torch.split(joined, sizes, dim=1)
    amounts = [plane.sum(dim=1, dtype=torch.float64) for plane in planes]
    amounts += [plane.count_nonzero(dim=1) for plane in planes]
    regions, columns = torch.nonzero(joined, as_tuple=True)  # by region, then stride, then pixel
    values = joined[regions, columns]
    totals, counts = np.array(torch.stack(amounts).tolist()).reshape(2, len(planes), -1)
    table, factors, lengths = _tile_table(totals, counts.astype(np.int64), sizes)

    device = weights.device
    first, last, region, shift = devices.send(torch.from_numpy(table), device)
    mean_factor, spread_factor = devices.send(torch.from_numpy(factors), device)
    places = first[:, None] + torch.arange(TILE, device=device)
    own = values[places.clamp(max=last[:, None])] * (places <= last[:, None])
    pixels = columns[places.clamp_(max=last[:, None])] - shift[:, None]
    sums = own.sum(dim=1)
    others = region != torch.arange(len(weights), device=device)[:, None]
    factor = torch.stack([sums * mean_factor, spread_factor])[:, None].masked_fill(others, 0.0)
    parts: list[Any] = [
        torch.split(one, lengths) for one in (pixels, own, own / sums[:, None], sums, region)
    ]
    parts += [torch.split(one, lengths, dim=1) for one in factor]
    of_stride = zip(*parts, totals.tolist(), strict=True)
    return {stride: Tiles(*found) for stride, found in zip(_STRIDES, of_stride, strict=True)}


def _tile_table(
    totals: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], sizes: list[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], list[int]]:
    """Table of the tiles of all strides, from the regions' weights and pixels at each stride.

    Returns rows with the first and last entry of each tile, its region, and the columns before
    its stride; their factors in means and covariances; and the number of tiles at each stride.
    """
    ends = counts.T.cumsum().reshape(counts.T.shape).T
    tiles = -(-counts // TILE)
    which = np.repeat(np.arange(counts.size), tiles.ravel())
    number = np.arange(len(which)) - (tiles.cumsum() - tiles.ravel())[which]
    stride, region = np.divmod(which, counts.shape[1])
    last = ends.ravel()[which] - 1
    first = (ends - counts).ravel()[which] + TILE * number
    shift = np.cumsum([0, *sizes[:-1]])[stride]
    total = totals.ravel()[which]
    factors = np.stack([1.0 / total, 1.0 / np.maximum(total - 1.0, 1.0)])
    table = np.stack([first, last, region, shift])
    return table, factors.astype(np.float32), tiles.sum(axis=1).tolist()

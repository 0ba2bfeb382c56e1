"""Transform of a whole feature map by soft regions: each pixel mixes its regions' results.

Means, covariances and affine maps are weighted by the region weights. On a CPU, the moments are
measured on a sample of each region's pixels, and square blocks are transformed once for each region
that they are part of, mostly one. On a GPU, all regions are computed together
(`photoreal.transfer.tiled_transform`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice, product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal import devices
from photoreal.arrays import Floats
from photoreal.threads import parallel, parallel_groups
from photoreal.transfer.region_pixels import take
from photoreal.transfer.region_transform import Target
from photoreal.transfer.soft_tiles import Tiles, cut_tiles, pooled, rounded
from photoreal.transfer.tiled_transform import tiled_moments, transform_tiles
from photoreal.transfer.whitening import (
    AffineMap,
    Moments,
    PartMoments,
    PixelWeights,
    StyleStatistics,
    affine_maps,
    joined_moments,
    part_moments,
    single,
)

RIDGE = 8.0
"""Variance added to every channel of both content and style, beyond the published 1.

Where both have little variance, the map then stays close to a shift: plain backgrounds and
high-frequency bands are not amplified into halos and grain.
"""

SAMPLE = 1 << 13
"""About how many pixels of a region its moments are measured on: every one up to twice as many."""
_PIECE = 1 << 12
"""Sampled pixels that are gathered at once, few enough for a CPU's cache."""
_SIDE = 64
"""Side of a block, in pixels of the photo."""


class _Piece(NamedTuple):
    """Some of a region's sampled pixels: their indices (n,), and weights unless all are 1."""

    pixels: Tensor
    weights: PixelWeights | None


class _Part(NamedTuple):
    """Part of a region in a block: its pixels and their weights (n,).

    None are all pixels of the block, and weights of 1.
    """

    region: int
    pixels: Tensor | None
    weights: Tensor | None


class _Block(NamedTuple):
    """A block of features and the parts of its regions."""

    rows: slice
    columns: slice
    parts: list[_Part]


class _Layout(NamedTuple):
    """The regions at one size of features.

    `samples` are the sampled pixels of each region that weighs at least one pixel.
    """

    samples: dict[int, list[_Piece]]
    blocks: list[_Block]


class SoftLayout:
    """The pixels of soft regions at any feature size; weights (K, H, W) sum to 1 per pixel."""

    def __init__(self, weights: Floats) -> None:
        self._weights = weights
        if not isinstance(weights, Tensor):
            self._weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))
        self._known: dict[int, _Layout] = {}
        self._tiles: dict[int, Tiles] = {}

    def at(self, features: Tensor) -> _Layout:
        """Return the pixels by region for features (1, C, h, w) on a CPU."""
        stride = self._stride(features)
        if stride not in self._known:
            small = rounded(pooled(self._weights, stride))
            samples = {label: _sampled(row) for label, row in enumerate(small) if row.sum() >= 1.0}
            planes = small.view(-1, *features.shape[2:])
            self._known[stride] = _Layout(samples, _blocks(planes, max(_SIDE // stride, 1)))
        return self._known[stride]

    def tiles_at(self, features: Tensor) -> Tiles:
        """Return the tiles of all regions for features (1, C, h, w) on a GPU."""
        if not self._tiles:
            self._tiles = cut_tiles(devices.send(self._weights, features.device))
        return self._tiles[self._stride(features)]

    def _stride(self, features: Tensor) -> int:
        stride: int = self._weights.shape[1] // features.shape[2]
        return stride


def _sampled(row: Tensor) -> list[_Piece]:
    pixels = torch.nonzero(row).squeeze(1)
    # Chosen by place, so that a pixel more or less elsewhere does not change the sample; from the
    # middle of the first step, it leans to no side of the photo.
    step = (len(pixels) // SAMPLE) | 1
    sampled = pixels[pixels % step == step // 2]
    pixels = sampled if len(sampled) else pixels
    pieces = []
    for part in torch.split(pixels, _PIECE):
        weights = row[part]
        alone = bool((weights == 1.0).all())
        pieces.append(_Piece(part, None if alone else PixelWeights(weights, float(weights.sum()))))
    return pieces


def _blocks(planes: Tensor, side: int) -> list[_Block]:
    """Cut weights (K, h, w) into blocks."""
    most, least = (
        sign * F.max_pool2d(sign * planes[None], side, ceil_mode=True)[0] for sign in (1, -1)
    )
    blocks = []
    for row, column in product(*map(range, most.shape[1:])):
        rows, columns = (slice(at * side, (at + 1) * side) for at in (row, column))
        parts = []
        for region in torch.nonzero(most[:, row, column]).flatten().tolist():
            if least[region, row, column] == 1.0:
                parts.append(_Part(region, None, None))
            else:
                parts.append(_part(region, planes[region, rows, columns].flatten()))
        # Parts that fill the block come first: the others are added to them.
        blocks.append(_Block(rows, columns, sorted(parts, key=lambda one: one.pixels is not None)))
    return blocks


def _part(region: int, weights: Tensor) -> _Part:
    pixels = torch.nonzero(weights).squeeze(1)
    if 2 * len(pixels) > len(weights):  # a product with all of them is faster
        return _Part(region, None, weights)
    return _Part(region, pixels, weights[pixels])


class SoftMeasure:
    """Measures the soft regions of a style at any level."""

    def __init__(self, weights: Floats) -> None:
        self._layout = SoftLayout(weights)

    def __call__(self, *features: Tensor) -> list[dict[int, Moments]]:
        """Return region moments in features (1, C, h, w) of one shape.

        A vanished region has no entry. The range of each is that of all features.
        """
        if devices.is_queued(features[0].device):
            return tiled_moments(features, self._layout.tiles_at(features[0]), RIDGE)
        return [_measured(one[0].flatten(1), self._layout.at(one)) for one in features]


def _measured(flat: Tensor, layout: _Layout) -> dict[int, Moments]:
    def measure(piece: _Piece) -> PartMoments:
        return part_moments(take(flat, piece.pixels), piece.weights)

    parts = parallel_groups(measure, list(layout.samples.values()), flat.device)
    low, high = (float(bound) for bound in torch.aminmax(flat))
    found = {}
    for region, own in zip(layout.samples, parts, strict=True):
        joined = joined_moments(own)._replace(low=low, high=high)
        joined.covariance.diagonal().add_(RIDGE)
        found[region] = joined
    return found


class SoftTransform:
    """Transforms the content's features at any level, for one request.

    `weights` (K, H, W) are the content's regions at working size; the statistics of a target
    are keyed by content region.
    """

    def __init__(self, weights: Floats, alpha: float) -> None:
        self._layout = SoftLayout(weights)
        self._alpha = alpha

    def __call__(self, *targets: Target) -> list[Tensor]:
        """Replace each region's statistics in the features of targets of one shape.

        May overwrite the features. Regions without statistics keep their own features.
        """
        first = targets[0].features
        if devices.is_queued(first.device):
            return transform_tiles(targets, self._layout.tiles_at(first), self._alpha, RIDGE)
        layout = self._layout.at(first)
        inputs = [_map_inputs(target, layout) for target in targets]
        wanted = [pair for one in inputs for pair in one.values()]
        maps = iter(affine_maps(wanted, self._alpha))
        for target, one in zip(targets, inputs, strict=True):
            own = dict(zip(one, islice(maps, len(one)), strict=True))
            features = target.features[0]
            parallel(partial(_transform, features, own), layout.blocks, features.device)
        return [target.features for target in targets]


def _map_inputs(target: Target, layout: _Layout) -> dict[int, tuple[Moments, StyleStatistics]]:
    """What the map of each region with statistics is made from."""
    features, statistics, steady = target
    samples = {region: own for region, own in layout.samples.items() if region in statistics}
    found = _measured(features[0].flatten(1), layout._replace(samples=samples))
    return {
        region: (own if steady is None else steady(region, own), statistics[region])
        for region, own in found.items()
    }


def _transform(features: Tensor, maps: Mapping[int, AffineMap], block: _Block) -> None:
    """Transform a block of features (C, h, w) in place, by the maps of its regions."""
    place = features[:, block.rows, block.columns]
    x = single(place.flatten(1))
    result = None
    for region, pixels, weights in block.parts:
        share = x if pixels is None else x.index_select(1, pixels)
        if region in maps:
            share = maps[region](share)
        if weights is not None:
            share = share * weights
        if pixels is not None:
            result = torch.zeros_like(x) if result is None else result
            result.index_add_(1, pixels, share)
        else:
            result = share if result is None else result.add_(share)
    if result is not None:
        place.copy_(result.view_as(place))

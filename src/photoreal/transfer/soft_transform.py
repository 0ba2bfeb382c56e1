"""Transform of a whole feature map by soft regions: each pixel mixes its regions' results.

Means, covariances and affine maps are weighted by the region weights. On a CPU, most pixels belong
to a single region and are copied as in `photoreal.transfer.region_pixels`; only shared pixels are
computed once per region. On a GPU, all regions are computed together
(`photoreal.transfer.tiled_transform`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from photoreal import devices
from photoreal.arrays import Floats
from photoreal.transfer.region_pixels import RegionPixels, find, put_, take
from photoreal.transfer.region_transform import Target
from photoreal.transfer.soft_tiles import NEAR, Tiles, cut_tiles, pooled, rounded
from photoreal.transfer.tiled_transform import tiled_moments, transform_tiles
from photoreal.transfer.whitening import (
    AffineMap,
    Moments,
    PixelWeights,
    StyleStatistics,
    affine_maps,
    moments,
    single,
)

RIDGE = 30.0
"""Variance added to every channel of both content and style, beyond the published 1.

Where both have little variance, the map then stays close to a shift: plain backgrounds and
high-frequency bands are not amplified into halos and grain.
"""

_NOBODY = 255  # label of pixels shared by several regions


class _Shared(NamedTuple):
    """A region's part of the shared pixels: their positions among these (n,), and weights."""

    places: Tensor
    weights: PixelWeights


class _Layout(NamedTuple):
    """The regions at one size of features.

    `own` are each region's exclusive pixels, `mixed` (n,) the pixels shared by several regions,
    `shared` each region's part of the shared pixels.
    """

    own: dict[int, RegionPixels]
    mixed: Tensor
    shared: dict[int, _Shared]

    def regions(self) -> list[int]:
        """Return the regions that have at least one pixel."""
        return sorted(self.own.keys() | self.shared.keys())


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
            self._known[stride] = self._find(stride, *features.shape[-2:])
        return self._known[stride]

    def tiles_at(self, features: Tensor) -> Tiles:
        """Return the tiles of all regions for features (1, C, h, w) on a GPU."""
        if not self._tiles:
            self._tiles = cut_tiles(devices.send(self._weights, features.device))
        return self._tiles[self._stride(features)]

    def _stride(self, features: Tensor) -> int:
        stride: int = self._weights.shape[1] // features.shape[2]
        return stride

    def _find(self, stride: int, height: int, width: int) -> _Layout:
        small = rounded(pooled(self._weights, stride))
        strongest, labels = small.max(dim=0)
        alone = strongest > 1.0 - NEAR
        solid = torch.where(alone, labels, _NOBODY).to(torch.uint8).view(height, width).numpy()
        found = {label: find(solid, label) for label in range(len(small))}
        mixed = torch.nonzero(~alone).squeeze(1)
        rows = small[:, mixed]
        totals, counts = rows.sum(dim=1).tolist(), torch.count_nonzero(rows, dim=1).tolist()
        places = torch.split(torch.nonzero(rows)[:, 1], counts)
        shared = {
            label: _Shared(own, PixelWeights(rows[label, own], totals[label]))
            for label, own in enumerate(places)
            if len(own)
        }
        return _Layout({k: own for k, own in found.items() if own is not None}, mixed, shared)


class SoftMeasure:
    """Measures the soft regions of a style at any level."""

    def __init__(self, weights: Floats) -> None:
        self._layout = SoftLayout(weights)

    def __call__(self, *features: Tensor) -> list[dict[int, Moments]]:
        """Return region moments in features (1, C, h, w) of one shape.

        A vanished region has no entry.
        """
        if devices.is_queued(features[0].device):
            return tiled_moments(features, self._layout.tiles_at(features[0]), RIDGE)
        return [self._measured(one) for one in features]

    def _measured(self, features: Tensor) -> dict[int, Moments]:
        flat = features[0].flatten(1)
        layout = self._layout.at(features)
        mixed = single(take(flat, layout.mixed))
        found = {}
        for region in layout.regions():
            blocks = layout.own[region].blocks(flat) if region in layout.own else iter(())
            moment = _moments(blocks, mixed, layout.shared.get(region))
            if moment is not None:
                found[region] = moment
        return found


class _Begun(NamedTuple):
    """A transform in progress, before its maps are computed."""

    features: Tensor
    flat: Tensor
    layout: _Layout
    mixed: Tensor
    blocks: dict[int, list[Tensor]]
    found: dict[int, tuple[Moments, StyleStatistics]]


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
        begun = [self._begin(target) for target in targets]
        wanted = [pair for one in begun for pair in one.found.values()]
        maps = iter(affine_maps(wanted, self._alpha))
        return [
            _finish(one, dict(zip(one.found, islice(maps, len(one.found)), strict=True)))
            for one in begun
        ]

    def _begin(self, target: Target) -> _Begun:
        features, statistics, steady = target
        flat = features[0].flatten(1)
        layout = self._layout.at(features)
        begun = _Begun(features, flat, layout, single(take(flat, layout.mixed)), {}, {})
        for region in layout.regions():
            style = statistics.get(region)
            if style is None:
                continue
            blocks = []
            if region in layout.own:  # gather once, read twice
                blocks = [single(block) for block in layout.own[region].blocks(flat)]
            own = _moments(iter(blocks), begun.mixed, layout.shared.get(region))
            if own is not None:
                begun.blocks[region] = blocks
                begun.found[region] = (own if steady is None else steady(region, own), style)
        return begun


def _finish(begun: _Begun, maps: Mapping[int, AffineMap]) -> Tensor:
    flat, layout, mixed = begun.flat, begun.layout, begun.mixed
    for region, function in maps.items():
        if region in layout.own:
            layout.own[region].put_(flat, map(function, begun.blocks.pop(region)))
    if len(layout.mixed):
        result = torch.zeros_like(mixed)
        for region, (places, weights) in layout.shared.items():
            before = take(mixed, places)
            after = maps[region](before) if region in maps else before
            result.index_add_(1, places, after * weights.values)
        put_(flat, layout.mixed, result)
    return flat.view_as(begun.features)


def _moments(blocks: Iterator[Tensor], mixed: Tensor, shared: _Shared | None) -> Moments | None:
    """Moments of a region's own and shared pixels; None for a total weight below one pixel."""
    parts: list[Tensor] = list(blocks)
    weights: list[PixelWeights | None] = [None] * len(parts)
    if shared is not None:
        parts.append(take(mixed, shared.places))
        weights.append(shared.weights)
        if len(parts) == 1 and shared.weights.total < 1.0:
            return None
    found = moments(parts, weights)
    found.covariance.diagonal().add_(RIDGE)
    return found

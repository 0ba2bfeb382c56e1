"""Transform of a whole feature map by soft regions: each pixel mixes its regions' results.

Means, covariances and affine maps are weighted by the region weights. On a CPU, most pixels belong
to a single region and are copied as in `photoreal.transfer.region_pixels`; only shared pixels are
computed once per region. On a GPU, all regions are computed together
(`photoreal.transfer.tiled_transform`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from photoreal import devices
from photoreal.arrays import Floats
from photoreal.threads import parallel, parallel_groups
from photoreal.transfer.region_pixels import BLOCK, Block, RegionPixels, find, put_, take
from photoreal.transfer.region_transform import Target, gather
from photoreal.transfer.soft_tiles import NEAR, Tiles, cut_tiles, pooled, rounded
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

RIDGE = 30.0
"""Variance added to every channel of both content and style, beyond the published 1.

Where both have little variance, the map then stays close to a shift: plain backgrounds and
high-frequency bands are not amplified into halos and grain.
"""

_NOBODY = 255  # label of pixels shared by several regions


class _Shared(NamedTuple):
    """Some of a region's shared pixels: their positions among all of these (n,), and weights."""

    places: Tensor
    weights: PixelWeights


class _Layout(NamedTuple):
    """The regions at one size of features.

    `own` are each region's exclusive pixels, `mixed` (n,) the pixels shared by several regions,
    `shared` each region's part of the shared pixels, in blocks.
    """

    own: dict[int, RegionPixels]
    mixed: Tensor
    shared: dict[int, list[_Shared]]

    def regions(self) -> list[int]:
        """Return the regions that weigh at least one pixel."""
        heavy = {
            region
            for region, parts in self.shared.items()
            if sum(part.weights.total for part in parts) >= 1.0
        }
        return sorted(self.own.keys() | heavy)

    def pieces(self, region: int) -> list[Block | _Shared]:
        """Return the blocks of a region's own pixels, then those of its shared pixels."""
        return [*self.own.get(region, ()), *self.shared.get(region, ())]


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
        places = torch.split(torch.nonzero(rows)[:, 1], torch.count_nonzero(rows, dim=1).tolist())
        shared = {
            label: [_shared(row, part) for part in torch.split(own, BLOCK)]
            for label, (row, own) in enumerate(zip(rows, places, strict=True))
            if len(own)
        }
        return _Layout({k: own for k, own in found.items() if own}, mixed, shared)


def _shared(row: Tensor, places: Tensor) -> _Shared:
    weights = row[places]
    return _Shared(places, PixelWeights(weights, float(weights.sum())))


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
        regions = layout.regions()
        pieces = [layout.pieces(region) for region in regions]
        parts = parallel_groups(lambda one: _gather(flat, mixed, one)[1], pieces, flat.device)
        return dict(zip(regions, map(_ridged, parts), strict=True))


class _Begun(NamedTuple):
    """A transform in progress, before its maps are computed.

    `values` and `found` are the regions' pixels, piece by piece, and the inputs of their maps.
    """

    features: Tensor
    flat: Tensor
    layout: _Layout
    mixed: Tensor
    values: dict[int, list[Tensor]]
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
        mixed = single(take(flat, layout.mixed))
        regions = [region for region in layout.regions() if region in statistics]
        pieces = [layout.pieces(region) for region in regions]
        gathered = parallel_groups(partial(_gather, flat, mixed), pieces, flat.device)
        begun = _Begun(features, flat, layout, mixed, {}, {})
        for region, found in zip(regions, gathered, strict=True):
            begun.values[region] = [values for values, _ in found]
            own = _ridged([part for _, part in found])
            own = own if steady is None else steady(region, own)
            begun.found[region] = own, statistics[region]
        return begun


def _gather(flat: Tensor, mixed: Tensor, piece: Block | _Shared) -> tuple[Tensor, PartMoments]:
    """Gather a piece of a region from features (C, N), of which `mixed` are the shared pixels."""
    if not isinstance(piece, _Shared):
        return gather(flat, piece)
    values = take(mixed, piece.places)
    return values, part_moments(values, piece.weights)


def _ridged(parts: Sequence[PartMoments]) -> Moments:
    found = joined_moments(parts)
    found.covariance.diagonal().add_(RIDGE)
    return found


def _finish(begun: _Begun, maps: Mapping[int, AffineMap]) -> Tensor:
    flat, layout, mixed = begun.flat, begun.layout, begun.mixed
    work = [
        partial(_replace, flat, maps[region], *piece)
        for region in maps
        for piece in zip(layout.pieces(region), begun.values.pop(region), strict=True)
    ]
    shares = [share for share in parallel(lambda one: one(), work, flat.device) if share]
    if len(layout.mixed):
        unchanged = (layout.shared[region] for region in layout.shared if region not in maps)
        shares += [
            (part, take(mixed, part.places) * part.weights.values)
            for part in chain.from_iterable(unchanged)
        ]
        result = torch.zeros_like(mixed)
        for part, values in shares:
            result.index_add_(1, part.places, values)
        put_(flat, layout.mixed, result)
    return flat.view_as(begun.features)


def _replace(
    flat: Tensor, function: AffineMap, piece: Block | _Shared, values: Tensor
) -> tuple[_Shared, Tensor] | None:
    """Transform a piece of a region and replace its own pixels; return its share of others."""
    if isinstance(piece, _Shared):
        return piece, function(values) * piece.weights.values
    piece.put_(flat, function(values))
    return None

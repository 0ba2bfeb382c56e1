"""Transform of a whole feature map, region by region, with hard or soft borders.

WCT2 transforms each region independently (section 3.3), which leaves a step where two regions
meet. With a soft border, pixels near it get a mix of both regions' results, weighted by each
region's share of their neighborhood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal import devices
from photoreal.regions import LabelMap, Pair
from photoreal.threads import parallel, parallel_groups
from photoreal.transfer.region_pixels import Block, RegionLayout, put_, take
from photoreal.transfer.whitening import (
    AffineMap,
    Moments,
    PartMoments,
    StyleStatistics,
    affine_maps,
    joined_moments,
    part_moments,
    single,
)


class RegionMeasure:
    """Measures the wanted regions of one style at any level.

    `labels` (H, W) is the style's label map at working size; None among `wanted` is the whole
    photo.
    """

    def __init__(self, labels: LabelMap, wanted: Sequence[int | None]) -> None:
        self._layout = RegionLayout(labels, wanted)

    def __call__(self, *features: Tensor) -> list[dict[int | None, Moments]]:
        """Return the moments of the regions in features (1, C, h, w) of one shape.

        A label that has vanished at the features' size has no entry.
        """
        return [self._measured(one) for one in features]

    def _measured(self, features: Tensor) -> dict[int | None, Moments]:
        flat = features[0].flatten(1)
        regions = self._layout.at(features)
        blocks = list(regions.values())
        parts = parallel_groups(lambda one: part_moments(one.take(flat)), blocks, flat.device)
        return dict(zip(regions, map(joined_moments, parts), strict=True))


def gather(flat: Tensor, block: Block) -> tuple[Tensor, PartMoments]:
    """Gather a block of features (C, N) once, for its moments and for its map."""
    values = single(block.take(flat))
    return values, part_moments(values)


class _Share(NamedTuple):
    """Share of one region in the border pixels.

    `weights` (pixels) is the weight at each border pixel, `near` lists those with a nonzero one.
    """

    weights: Tensor
    near: Tensor


class _Border(NamedTuple):
    """The pixels near borders in a feature map of one size.

    `pixels` are their indices, `own` (pixels) is the weight of their original features, `shares`
    holds the weights of each region by label.
    """

    pixels: Tensor
    own: Tensor
    shares: dict[int, _Share]


class Target(NamedTuple):
    """Features (1, C, h, w) to transform, and the statistics of the style's regions.

    `steady` maps a content label and its moments to the smoothed moments to use instead.
    """

    features: Tensor
    statistics: Mapping[int | None, StyleStatistics]
    steady: Callable[[int, Moments], Moments] | None = None


class _Begun(NamedTuple):
    """A transform in progress, before its maps are computed.

    `flat` is a view of `features`, `before` holds the original features near borders, `values`
    and `found` are the regions' pixels, block by block, and the inputs of their maps, by label.
    """

    features: Tensor
    flat: Tensor
    border: _Border | None
    before: Tensor | None
    values: dict[int, list[Tensor]]
    found: dict[int, tuple[Moments, StyleStatistics]]


class RegionTransform:
    """Transforms the content's features at any level, for one request.

    `labels` (H, W) is the content's label map at working size, `blend` the distance in pixels
    from a border within which both regions' results are mixed; 0 keeps borders hard.
    """

    def __init__(
        self, labels: LabelMap, pairs: Sequence[Pair], alpha: float, blend: int = 0
    ) -> None:
        self._labels = labels
        self._styles = {pair.content: pair.style for pair in pairs}
        self._alpha = alpha
        self._blend = blend
        self._soften = blend > 0 and np.unique(labels).size > 1
        self._layout = RegionLayout(labels, list(self._styles))
        self._borders: dict[torch.Size, _Border] = {}
        self._soft: Tensor | None = None

    def __call__(self, *targets: Target) -> list[Tensor]:
        """Replace each region's statistics in the features of targets of one shape.

        May overwrite the features. Content labels without a pair, and those whose style region
        has vanished at this size, keep their own features. On a GPU, passing several targets in
        one call is faster.
        """
        begun = [self._begin(target) for target in targets]
        wanted = [pair for one in begun for pair in one.found.values()]
        maps = iter(affine_maps(wanted, self._alpha))
        return [
            self._finish(one, dict(zip(one.found, islice(maps, len(one.found)), strict=True)))
            for one in begun
        ]

    def _begin(self, target: Target) -> _Begun:
        features, statistics, steady = target
        flat = features[0].flatten(1)
        regions = self._layout.at(features)
        border = self._border(features, list(regions)) if self._soften and regions else None
        before = None if border is None else single(take(flat, border.pixels))
        labels = [label for label in regions if self._styles[label] in statistics]
        blocks = [regions[label] for label in labels]
        gathered = parallel_groups(partial(gather, flat), blocks, flat.device)
        begun = _Begun(features, flat, border, before, {}, {})
        for label, found in zip(labels, gathered, strict=True):
            begun.values[label] = [values for values, _ in found]
            own = joined_moments([part for _, part in found])
            own = own if steady is None else steady(label, own)
            begun.found[label] = own, statistics[self._styles[label]]
        return begun

    def _finish(self, begun: _Begun, maps: Mapping[int, AffineMap]) -> Tensor:
        features, flat, border, before, values, _ = begun
        regions = self._layout.at(features)
        work = [
            (maps[label], *block)
            for label in maps
            for block in zip(regions[label], values.pop(label), strict=True)
        ]
        parallel(lambda one: one[1].put_(flat, one[0](one[2])), work, flat.device)
        if border is not None and before is not None:
            put_(flat, border.pixels, _mix(before, border, maps))
        return flat.view_as(features)

    def _border(self, features: Tensor, found: list[int]) -> _Border:
        size = features.shape[-2:]
        if size not in self._borders:
            height, width = size
            soft = self._soft_weights(found, height, width, features.device)
            near = torch.nonzero(soft.amax(dim=0) < 1.0 - 1e-3).squeeze(1)
            *rows, own = soft[:, near]
            shares = {
                label: _Share(row, torch.nonzero(row).squeeze(1))
                for label, row in zip(found, rows, strict=True)
            }
            self._borders[size] = _Border(near, own, shares)
        return self._borders[size]

    def _soft_weights(
        self, found: Sequence[int], height: int, width: int, device: torch.device
    ) -> Tensor:
        """Weights (found + own, height * width) that sum to 1 at every pixel."""
        everything = list(self._styles)
        if self._soft is None:
            labels = devices.send(torch.from_numpy(np.array(self._labels)), device)
            masks = torch.stack([labels == label for label in everything]).float()
            side = 2 * self._blend + 1
            self._soft = F.avg_pool2d(
                masks[None], side, stride=1, padding=self._blend, count_include_pad=False
            )
        stride = self._labels.shape[0] // height
        small = F.avg_pool2d(self._soft, stride)[0].flatten(1)
        rows = torch.stack([small[everything.index(label)] for label in found])
        return torch.cat([rows, (1.0 - rows.sum(dim=0, keepdim=True)).clamp_(min=0.0)])


def _mix(features: Tensor, border: _Border, maps: Mapping[int, AffineMap]) -> Tensor:
    """Mix border pixels' features (C, N) as the weighted sum of the regions' results."""
    mixed = features * border.own
    for label, (weights, near) in border.shares.items():
        if label not in maps:
            mixed += features * weights
            continue
        result = maps[label](take(features, near)) * weights[near]
        mixed.index_add_(1, near, result)
    return mixed

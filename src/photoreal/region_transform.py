"""The transform of a whole feature map, region by region, with hard or soft borders.

WCT2 transforms each region by itself (section 3.3), which leaves a step where two regions
meet. With a soft border the pixels near it get both regions' results, weighted by how much of
their surroundings each region has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.region_pixels import RegionLayout
from photoreal.regions import LabelMap, Pair
from photoreal.whitening import (
    AffineMap,
    Moments,
    StyleStatistics,
    affine_map,
    moments,
    style_statistics,
)


class RegionMeasure:
    """Measures the wanted regions of a style at any level, for one style.

    `labels` (H, W) is the style's label map at working size; None among `wanted` stands for the
    whole photo.
    """

    def __init__(self, labels: LabelMap, wanted: Sequence[int | None]) -> None:
        self._layout = RegionLayout(labels, wanted)

    def __call__(self, features: Tensor) -> dict[int | None, StyleStatistics]:
        """Statistics of the regions in features (1, C, h, w).

        A label that has vanished at the features' size has no entry.
        """
        flat = features[0].flatten(1)
        return {
            label: style_statistics(moments(pixels.blocks(flat)))
            for label, pixels in self._layout.at(features).items()
        }


class _Border(NamedTuple):
    """The pixels near borders in a feature map of one size.

    `pixels` lists them, `weights` (labels + own, pixels) says how much of each region they get,
    the last row for their own features; `labels` are the rows' labels.
    """

    pixels: Tensor
    weights: Tensor
    labels: list[int]


class RegionTransform:
    """Transforms the content's features at any level, for one request.

    `labels` (H, W) is the content's label map at working size, `blend` the distance in pixels
    from a border up to which both regions' results are mixed; 0 keeps borders hard.
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

    def __call__(
        self,
        features: Tensor,
        statistics: Mapping[int | None, StyleStatistics],
        steady: Callable[[int, Moments], Moments] | None = None,
    ) -> Tensor:
        """Features (1, C, h, w) with each region's statistics replaced; may overwrite them.

        Content labels without a pair, and those whose style region has vanished at this
        size, keep their own features. `steady` gives the moments to use for a content label in
        place of those that were found.
        """
        flat = features[0].flatten(1)
        regions = self._layout.at(features)
        border = self._border(features, list(regions)) if self._soften and regions else None
        before = None if border is None else flat.index_select(1, border.pixels)
        maps: dict[int, AffineMap] = {}
        for label, pixels in regions.items():
            style = statistics.get(self._styles[label])
            if style is not None:
                found = moments(pixels.blocks(flat))
                if steady is not None:
                    found = steady(label, found)
                maps[label] = affine_map(found, style, self._alpha)
                pixels.map_(flat, maps[label])
        if border is not None and before is not None:
            flat.index_copy_(1, border.pixels, _mix(before, border, maps))
        return flat.view_as(features)

    def _border(self, features: Tensor, found: list[int]) -> _Border:
        size = features.shape[-2:]
        if size not in self._borders:
            soft = self._soft_weights(found, *size)
            near = torch.nonzero(soft.amax(dim=0) < 1.0 - 1e-3).squeeze(1)
            device = features.device
            self._borders[size] = _Border(near.to(device), soft[:, near].to(device), found)
        return self._borders[size]

    def _soft_weights(self, found: Sequence[int], height: int, width: int) -> Tensor:
        """Weights (found + own, height * width) that add up to 1 at every pixel."""
        everything = list(self._styles)
        if self._soft is None:
            masks = torch.from_numpy(
                np.stack([self._labels == label for label in everything]).astype(np.float32)
            )
            side = 2 * self._blend + 1
            self._soft = F.avg_pool2d(
                masks[None], side, stride=1, padding=self._blend, count_include_pad=False
            )
        stride = self._labels.shape[0] // height
        small = F.avg_pool2d(self._soft, stride)[0].flatten(1)
        rows = small[[everything.index(label) for label in found]]
        return torch.cat([rows, (1.0 - rows.sum(dim=0, keepdim=True)).clamp_(min=0.0)])


def _mix(features: Tensor, border: _Border, maps: Mapping[int, AffineMap]) -> Tensor:
    """Border pixels' features (C, N) as the weighted sum of the regions' results."""
    mixed = features * border.weights[-1]
    for row, label in zip(border.weights, border.labels, strict=False):  # the last row is done
        if label not in maps:
            mixed += features * row
            continue
        near = torch.nonzero(row).squeeze(1)
        result = maps[label](features.index_select(1, near)) * row[near]
        mixed.index_add_(1, near, result)
    return mixed

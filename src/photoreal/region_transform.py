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

from photoreal.regions import LabelMap, Pair, resize_labels
from photoreal.whitening import (
    AffineMap,
    Moments,
    StyleStatistics,
    affine_map,
    moments,
    style_statistics,
)


def measure_regions(
    features: Tensor, labels: LabelMap, wanted: Sequence[int | None]
) -> dict[int | None, StyleStatistics]:
    """Statistics of the wanted style regions in features (1, C, h, w).

    `labels` is the style's label map at its full size; None stands for the whole photo. A
    label that has vanished at the features' size has no entry.
    """
    flat = features[0].flatten(1)
    small = resize_labels(labels, *features.shape[-2:]).ravel()
    found = {}
    for label in wanted:
        indices = None if label is None else np.flatnonzero(small == label)
        if indices is None or indices.size == small.size:
            found[label] = style_statistics(moments(flat))
        elif indices.size:
            region = flat.index_select(1, torch.from_numpy(indices).to(flat.device))
            found[label] = style_statistics(moments(region))
    return found


class _Layout(NamedTuple):
    """Where the regions are in a feature map of one size.

    `order` lists the pixels region by region, `ends` the end of each region in it, `labels`
    the regions' labels. `border` lists the pixels with soft weights, `weights` (labels + own,
    border) their weights, the last row for the pixels' own features.
    """

    order: Tensor
    ends: list[int]
    labels: list[int]
    border: Tensor | None
    weights: Tensor | None


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
        self._layouts: dict[tuple[int, int], _Layout] = {}
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
        layout = self._layout(features.shape[-2], features.shape[-1], features.device)
        border = None if layout.border is None else flat.index_select(1, layout.border)
        maps: dict[int, AffineMap] = {}
        whole = len(layout.labels) == 1 and layout.order.numel() == flat.shape[1]
        gathered = flat if whole else flat.index_select(1, layout.order)
        start = 0
        for label, end in zip(layout.labels, layout.ends, strict=True):
            style = statistics.get(self._styles[label])
            if style is not None:
                region = gathered[:, start:end]
                found = moments(region)
                if steady is not None:
                    found = steady(label, found)
                maps[label] = affine_map(found, style, self._alpha)
                maps[label].apply_(region)
            start = end
        if not whole:
            flat.index_copy_(1, layout.order, gathered)
        if border is not None and layout.border is not None and layout.weights is not None:
            mixed = _mix(border, layout.weights, layout.labels, maps)
            flat.index_copy_(1, layout.border, mixed)
        return flat.view_as(features)

    def _layout(self, height: int, width: int, device: torch.device) -> _Layout:
        if (height, width) not in self._layouts:
            self._layouts[height, width] = self._lay_out(height, width, device)
        return self._layouts[height, width]

    def _lay_out(self, height: int, width: int, device: torch.device) -> _Layout:
        small = resize_labels(self._labels, height, width).ravel()
        found = [label for label in self._styles if (small == label).any()]
        places = [np.flatnonzero(small == label) for label in found]
        order = np.concatenate(places) if places else np.empty(0, dtype=np.int64)
        ends = np.cumsum([indices.size for indices in places]).tolist()
        border = weights = None
        if self._blend and found and np.unique(self._labels).size > 1:
            soft = self._soft_weights(found, height, width)
            near = torch.nonzero(soft.amax(dim=0) < 1.0 - 1e-3).squeeze(1)
            border, weights = near.to(device), soft[:, near].to(device)
        return _Layout(torch.from_numpy(order).to(device), ends, found, border, weights)

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


def _mix(
    features: Tensor, weights: Tensor, labels: Sequence[int], maps: Mapping[int, AffineMap]
) -> Tensor:
    """Border pixels' features (C, N) as the weighted sum of the regions' results."""
    mixed = features * weights[-1]
    for row, label in enumerate(labels):
        if label not in maps:
            mixed += features * weights[row]
            continue
        near = torch.nonzero(weights[row]).squeeze(1)
        result = maps[label](features.index_select(1, near)) * weights[row, near]
        mixed.index_add_(1, near, result)
    return mixed

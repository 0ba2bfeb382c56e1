"""Where the pixels of a region are in a feature map, and moving them out and back.

Regions of photos are made of long runs of pixels, so their columns of a feature matrix (C, N)
move as slices, several times as fast as through a list of indices; and they move block by block,
so that a block is still in the processor's cache when it is worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from photoreal import devices
from photoreal.regions import LabelMap, resize_labels

BLOCK = 1 << 12
"""Columns of a block on a CPU."""
QUEUED_BLOCK = 1 << 20
"""Columns of a block elsewhere: whole regions, but for pictures whose copies would fill a GPU."""
_SHORT_RUN = 16  # pixels on average, below which indices are faster than slices

_Runs = list[tuple[int, int]]
_Label = TypeVar("_Label", int, int | None)


class RegionPixels:
    """Columns of a feature matrix (C, N) that belong to one region.

    `indices` are their numbers in ascending order, at least one.
    """

    def __init__(self, indices: npt.NDArray[np.intp], device: torch.device) -> None:
        self._parts: list[_Runs] | list[Tensor]
        cuts = np.flatnonzero(np.diff(indices) != 1) + 1
        fragmented = indices.size < _SHORT_RUN * (cuts.size + 1)
        if devices.is_queued(device):
            self._parts = list(
                torch.split(devices.send(torch.from_numpy(indices), device), QUEUED_BLOCK)
            )
        elif fragmented and cuts.size:
            self._parts = list(torch.split(torch.from_numpy(indices), BLOCK))
        else:
            firsts = indices[np.concatenate([[0], cuts])]
            lasts = indices[np.concatenate([cuts - 1, [-1]])] + 1
            self._parts = list(_blocks_of_runs(firsts.tolist(), lasts.tolist()))

    def blocks(self, features: Tensor) -> Iterator[Tensor]:
        """The region's columns of features (C, N), a block at a time; may be views."""
        for part in self._parts:
            yield _take(features, part)

    def map_(self, features: Tensor, function: Callable[[Tensor], Tensor]) -> None:
        """Replace the region's columns of features (C, N) by a function of them, (C, n) each."""
        for part in self._parts:
            values = function(_take(features, part))
            if isinstance(part, Tensor):
                features.index_copy_(1, part, values)
                continue
            place = 0
            for start, end in part:
                features[:, start:end] = values[:, place : place + end - start]
                place += end - start


class RegionLayout(Generic[_Label]):
    """The pixels of the wanted regions of a label map (H, W), at any size of features.

    None among the labels is the whole picture.
    """

    def __init__(self, labels: LabelMap, wanted: Sequence[_Label]) -> None:
        self._labels = labels
        self._wanted: Sequence[_Label] = wanted
        self._known: dict[tuple[int, int, torch.device], dict[_Label, RegionPixels]] = {}

    def at(self, features: Tensor) -> dict[_Label, RegionPixels]:
        """Pixels by label for features (1, C, h, w); labels that vanish at that size are absent."""
        height, width = features.shape[-2:]
        key = (height, width, features.device)
        if key not in self._known:
            small = resize_labels(self._labels, height, width).ravel()
            found = {label: _places(small, label) for label in self._wanted}
            self._known[key] = {
                label: RegionPixels(indices, features.device)
                for label, indices in found.items()
                if indices.size
            }
        return self._known[key]


def _places(labels: LabelMap, label: int | None) -> npt.NDArray[np.intp]:
    return np.arange(labels.size) if label is None else np.flatnonzero(labels == label)


def _blocks_of_runs(firsts: Sequence[int], lasts: Sequence[int]) -> Iterator[_Runs]:
    """Runs, cut where needed, in groups of `BLOCK` columns."""
    group: _Runs = []
    room = BLOCK
    for first, last in zip(firsts, lasts, strict=True):
        start = first
        while start < last:
            end = min(last, start + room)
            group.append((start, end))
            room -= end - start
            start = end
            if not room:
                yield group
                group, room = [], BLOCK
    if group:
        yield group


def _take(features: Tensor, part: _Runs | Tensor) -> Tensor:
    if isinstance(part, Tensor):
        return features.index_select(1, part)
    runs = [features[:, start:end] for start, end in part]
    return runs[0] if len(runs) == 1 else torch.cat(runs, dim=1)

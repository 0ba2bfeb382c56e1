"""Gather and scatter of a region's pixels in a feature map.

Regions of photos consist of long runs of pixels, so their columns of a feature matrix (C, N) are
copied as slices, several times as fast as through a list of indices. They are copied block by
block, so that a block is still in the CPU cache when it is processed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from photoreal import devices
from photoreal.regions import LABELS, LabelMap, resize_labels

BLOCK = 1 << 12
"""Columns per block on a CPU."""
QUEUED_BLOCK = 1 << 20
"""Columns per block on a GPU: whole regions, except in images whose copies would exhaust it."""
_SHORT_RUN = 16  # average pixels per run below which indices are faster than slices

_Label = TypeVar("_Label", int, int | None)


class Runs(NamedTuple):
    """A block of run-length encoded pixels: the first, then alternating sizes of runs and gaps."""

    first: int
    sizes: list[int]

    def take(self, features: Tensor) -> Tensor:
        """Return the block's columns (C, n) of features (C, N); a view if it is a single run."""
        runs = self._of(features)
        return runs[0] if len(runs) == 1 else torch.cat(runs, dim=1)

    def put_(self, features: Tensor, values: Tensor) -> None:
        """Replace the block's columns of features (C, N) with values (C, n)."""
        parts = torch.split_with_sizes(values, self.sizes[::2], dim=1)
        torch._foreach_copy_(self._of(features), parts)

    def _of(self, features: Tensor) -> tuple[Tensor, ...]:
        whole = features.narrow(1, self.first, sum(self.sizes))
        return torch.split_with_sizes(whole, self.sizes, dim=1)[::2]


class Scattered(NamedTuple):
    """A block of pixels by their indices (n,)."""

    indices: Tensor

    def take(self, features: Tensor) -> Tensor:
        """Return the block's columns (C, n) of features (C, N)."""
        return take(features, self.indices)

    def put_(self, features: Tensor, values: Tensor) -> None:
        """Replace the block's columns of features (C, N) with values (C, n)."""
        put_(features, self.indices, values)


Block = Runs | Scattered
RegionPixels = Sequence[Block]
"""Columns of a feature matrix (C, N) that belong to one region, in ascending order."""


def take(features: Tensor, indices: Tensor) -> Tensor:
    """Gather columns of features (C, N) by indices (n,), keeping the memory layout."""
    if features.T.is_contiguous():  # channels last, as on a GPU
        return features.T.index_select(0, indices).T
    return features.index_select(1, indices)


def put_(features: Tensor, indices: Tensor, values: Tensor) -> None:
    """Replace the columns of features (C, N) at indices (n,) with values (C, n), in place.

    The values are cast to the dtype of the features.
    """
    values = values.to(features.dtype)
    if features.T.is_contiguous():
        features.T.index_copy_(0, indices, values.T)
    else:
        features.index_copy_(1, indices, values)


class RegionLayout(Generic[_Label]):
    """The pixels of the wanted regions of a label map (H, W), at any feature size.

    The label None is the whole image.
    """

    def __init__(self, labels: LabelMap, wanted: Sequence[_Label]) -> None:
        self._labels = labels
        self._wanted: Sequence[_Label] = wanted
        self._known: dict[tuple[int, int, torch.device], dict[_Label, RegionPixels]] = {}

    def at(self, features: Tensor) -> dict[_Label, RegionPixels]:
        """Return pixels by label for features (1, C, h, w), omitting labels that vanish there."""
        height, width = features.shape[-2:]
        key = (height, width, features.device)
        if key not in self._known:
            small = resize_labels(self._labels, height, width)
            if devices.is_queued(features.device):
                found = find_queued(small, self._wanted, features.device)
            else:
                found = {label: find(small, label) for label in self._wanted}
            self._known[key] = {label: pixels for label, pixels in found.items() if pixels}
        return self._known[key]


def find(labels: LabelMap, label: int | None) -> RegionPixels:
    """Find the pixels of a label (None: all) for features on a CPU; empty if there are none."""
    if label is None:
        return list(_blocks_of_runs([0], [labels.size], BLOCK))
    indices = np.flatnonzero(labels == label)
    if not indices.size:
        return []
    cuts = np.flatnonzero(np.diff(indices) != 1) + 1
    if cuts.size and indices.size < _SHORT_RUN * (cuts.size + 1):
        return [Scattered(part) for part in torch.split(torch.from_numpy(indices), BLOCK)]
    firsts = indices[np.concatenate([[0], cuts])]
    lasts = indices[np.concatenate([cuts - 1, [-1]])] + 1
    return list(_blocks_of_runs(firsts.tolist(), lasts.tolist(), BLOCK))


def find_queued(
    labels: LabelMap, wanted: Sequence[_Label], device: torch.device
) -> dict[_Label, RegionPixels]:
    """`find` for all wanted labels on an asynchronous device, with a single synchronization."""
    flat = devices.send(torch.from_numpy(np.array(labels)).flatten(), device)
    order = torch.argsort(flat, stable=True)
    counts = torch.bincount(flat, minlength=LABELS).tolist()
    ends = list(accumulate(counts))
    found: dict[_Label, RegionPixels] = {}
    for label in wanted:
        if label is None:
            found[label] = list(_blocks_of_runs([0], [len(flat)], QUEUED_BLOCK))
            continue
        indices = order[ends[label] - counts[label] : ends[label]]
        parts = torch.split(indices, QUEUED_BLOCK) if counts[label] else ()
        found[label] = [Scattered(part) for part in parts]
    return found


def _blocks_of_runs(firsts: Sequence[int], lasts: Sequence[int], size: int) -> Iterator[Runs]:
    """Group runs into blocks of `size` columns, splitting runs where needed."""
    group: list[tuple[int, int]] = []
    room = size
    for first, last in zip(firsts, lasts, strict=True):
        start = first
        while start < last:
            end = min(last, start + room)
            group.append((start, end))
            room -= end - start
            start = end
            if not room:
                yield _grouped(group)
                group, room = [], size
    if group:
        yield _grouped(group)


def _grouped(runs: Sequence[tuple[int, int]]) -> Runs:
    bounds = list(chain.from_iterable(runs))
    return Runs(bounds[0], [end - start for start, end in pairwise(bounds)])

"""Where the pixels of a region are in a feature map, and moving them out and back.

Regions of photos are made of long runs of pixels, so their columns of a feature matrix (C, N)
move as slices, several times as fast as through a list of indices; and they move block by block,
so that a block is still in the processor's cache when it is worked on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from photoreal import devices
from photoreal.regions import LABELS, LabelMap, resize_labels

BLOCK = 1 << 12
"""Columns of a block on a CPU."""
QUEUED_BLOCK = 1 << 20
"""Columns of a block elsewhere: whole regions, but for pictures whose copies would fill a GPU."""
_SHORT_RUN = 16  # pixels on average, below which indices are faster than slices

_Label = TypeVar("_Label", int, int | None)


class _Runs(NamedTuple):
    """Pixels that lie in runs: the first of them, then sizes of runs and of gaps in turn."""

    first: int
    sizes: list[int]

    def of(self, features: Tensor) -> tuple[Tensor, ...]:
        """The runs of features (C, N), as views."""
        whole = features.narrow(1, self.first, sum(self.sizes))
        return torch.split_with_sizes(whole, self.sizes, dim=1)[::2]


class RegionPixels:
    """Columns of a feature matrix (C, N) that belong to one region, in ascending order.

    `parts` hold a block each: runs of them, or their indices.
    """

    def __init__(self, parts: Iterable[_Runs | Tensor]) -> None:
        self._parts = list(parts)

    def blocks(self, features: Tensor) -> Iterator[Tensor]:
        """The region's columns of features (C, N), a block (C, n) at a time; may be views."""
        for part in self._parts:
            if isinstance(part, Tensor):
                yield take(features, part)
            else:
                runs = part.of(features)
                yield runs[0] if len(runs) == 1 else torch.cat(runs, dim=1)

    def put_(self, features: Tensor, blocks: Iterable[Tensor]) -> None:
        """Replace the region's columns of features (C, N) by blocks as `blocks` gives them."""
        for part, values in zip(self._parts, blocks, strict=True):
            if isinstance(part, Tensor):
                put_(features, part, values)
            else:
                runs = part.of(features)
                sizes = part.sizes[::2]
                torch._foreach_copy_(runs, torch.split_with_sizes(values, sizes, dim=1))


def take(features: Tensor, indices: Tensor) -> Tensor:
    """The columns of features (C, N) by their indices (n,), in memory as the features are."""
    if features.T.is_contiguous():  # pixel by pixel, as a GPU has them
        return features.T.index_select(0, indices).T
    return features.index_select(1, indices)


def put_(features: Tensor, indices: Tensor, values: Tensor) -> None:
    """Replace the columns of features (C, N) with the indices (n,) by values (C, n).

    Values in another precision are stored in that of the features.
    """
    values = values.to(features.dtype)
    if features.T.is_contiguous():
        features.T.index_copy_(0, indices, values.T)
    else:
        features.index_copy_(1, indices, values)


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
            small = resize_labels(self._labels, height, width)
            if devices.is_queued(features.device):
                found = find_queued(small, self._wanted, features.device)
            else:
                found = {label: find(small, label) for label in self._wanted}
            self._known[key] = {label: pixels for label, pixels in found.items() if pixels}
        return self._known[key]


def find(labels: LabelMap, label: int | None) -> RegionPixels | None:
    """The pixels of a label (None: all) in a map, for features on a CPU; None without any."""
    if label is None:
        return RegionPixels(_blocks_of_runs([0], [labels.size], BLOCK))
    indices = np.flatnonzero(labels == label)
    if not indices.size:
        return None
    cuts = np.flatnonzero(np.diff(indices) != 1) + 1
    if cuts.size and indices.size < _SHORT_RUN * (cuts.size + 1):
        return RegionPixels(torch.split(torch.from_numpy(indices), BLOCK))
    firsts = indices[np.concatenate([[0], cuts])]
    lasts = indices[np.concatenate([cuts - 1, [-1]])] + 1
    return RegionPixels(_blocks_of_runs(firsts.tolist(), lasts.tolist(), BLOCK))


def find_queued(
    labels: LabelMap, wanted: Sequence[_Label], device: torch.device
) -> dict[_Label, RegionPixels | None]:
    """`find` for all wanted labels on a device that is handed its work, waiting for it once."""
    flat = devices.send(torch.from_numpy(np.array(labels).ravel()), device)
    order = torch.argsort(flat, stable=True)
    counts = torch.bincount(flat, minlength=LABELS).tolist()
    ends = list(accumulate(counts))
    found: dict[_Label, RegionPixels | None] = {}
    for label in wanted:
        if label is None:
            found[label] = RegionPixels(_blocks_of_runs([0], [labels.size], QUEUED_BLOCK))
            continue
        indices = order[ends[label] - counts[label] : ends[label]]
        found[label] = RegionPixels(torch.split(indices, QUEUED_BLOCK)) if counts[label] else None
    return found


def _blocks_of_runs(firsts: Sequence[int], lasts: Sequence[int], size: int) -> Iterator[_Runs]:
    """Runs, cut where needed, in groups of `size` columns."""
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


def _grouped(runs: Sequence[tuple[int, int]]) -> _Runs:
    bounds = list(chain.from_iterable(runs))
    return _Runs(bounds[0], [end - start for start, end in pairwise(bounds)])

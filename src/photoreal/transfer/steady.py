"""Temporal smoothing of the moments that a video frame's transform depends on.

Each frame is whitened by its own moments, so new objects, noise and pixels that change region
shift the colors of everything else. An exponential moving average over the frames keeps a
region's map from jumping. Only moments are averaged, never pixels, so there is no ghosting.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import torch
from torch import Tensor

from photoreal.transfer.whitening import Moments

FORGET_AFTER = 8
"""A region that was absent for more frames than this restarts its average when it returns."""


class _Kept(NamedTuple):
    moments: Moments
    frame: int


class SteadyMoments:
    """Running moments of the content's regions over the frames of one shot."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        self._frame = 0

    @property
    def bytes(self) -> int:
        """Total size of the stored moments in bytes."""
        return sum(
            kept.moments.mean.nbytes + kept.moments.covariance.nbytes
            for kept in self._kept.values()
        )

    def next_frame(self) -> None:
        """Begin a frame; drop regions that have been absent for too long."""
        self._frame += 1
        oldest = self._frame - FORGET_AFTER
        self._kept = {key: kept for key, kept in self._kept.items() if kept.frame >= oldest}

    def __call__(self, key: Hashable, found: Moments, steady: float) -> Moments:
        """Average `found` with the stored moments, whose weight is `steady` (0..1).

        `key` identifies a region at a place; the first time, `found` is returned unchanged.
        """
        before = self._kept.get(key)
        used = found
        if before is not None and before.moments.mean.shape == found.mean.shape:
            used = _between(before.moments, found, 1.0 - steady)
        self._kept[key] = _Kept(used, self._frame)
        return used


def _between(before: Moments, found: Moments, share: float) -> Moments:
    """Interpolate between two moments; `share` in 0..1 is the weight of `found`."""
    if isinstance(before.low, Tensor):  # all four in one launch
        old, new = ([torch.as_tensor(value) for value in one] for one in (before, found))
        return Moments(*torch._foreach_lerp(old, new, share))
    return Moments(
        before.mean.lerp(found.mean, share),
        before.covariance.lerp(found.covariance, share),
        before.low + share * (found.low - before.low),
        before.high + share * (found.high - before.high),
    )

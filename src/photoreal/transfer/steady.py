"""Steadiness along the frames of a video: what a frame's transform depends on, smoothed.

Each frame is whitened by its own moments, so whatever comes into view, is noise or changes
region moves the colors of all the rest. An exponential moving average along the frames keeps
the map of a region from jumping; the frame itself is transformed as it is, nothing of a frame
before it is seen in it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from photoreal.transfer.whitening import Moments

FORGET_AFTER = 8
"""A region that was gone for more frames than this starts anew when it is back."""


class _Kept(NamedTuple):
    moments: Moments
    frame: int


class SteadyMoments:
    """Moments of the content's regions along the frames of one shot."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        self._frame = 0

    @property
    def bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(
            kept.moments.mean.nbytes + kept.moments.covariance.nbytes
            for kept in self._kept.values()
        )

    def next_frame(self) -> None:
        """Begin a frame; regions not seen for a while are forgotten."""
        self._frame += 1
        oldest = self._frame - FORGET_AFTER
        self._kept = {key: kept for key, kept in self._kept.items() if kept.frame >= oldest}

    def __call__(self, key: Hashable, found: Moments, steady: float) -> Moments:
        """The moments to use for a region: `steady` (0..1) of those before, the rest of `found`.

        `key` says which region at which place; the first time, `found` is used as it is.
        """
        before = self._kept.get(key)
        used = found
        if before is not None and before.moments.mean.shape == found.mean.shape:
            used = _between(before.moments, found, 1.0 - steady)
        self._kept[key] = _Kept(used, self._frame)
        return used


def _between(before: Moments, found: Moments, share: float) -> Moments:
    """`share` (0..1) of the way from one to the other."""
    return Moments(
        before.mean.lerp(found.mean, share),
        before.covariance.lerp(found.covariance, share),
        before.low + share * (found.low - before.low),
        before.high + share * (found.high - before.high),
    )

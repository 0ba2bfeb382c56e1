"""Pooling of class probabilities or region weights over flat zones of a photo.

In a clear or black sky, on a wall, on a white backdrop, nothing but the segmenter's own
uncertainty separates one place from the next, and a border of regions there would be seen as a
tear, a faint weight of a neighbor as a halo. Such a zone takes the mean of its values, unless they
clearly disagree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from photoreal.arrays import Floats, like, namespace

_STEP = 1.5
"""L*a*b* between neighboring pixels, below which they belong to one zone."""
_SHARES = (0.02, 0.04)
"""Shares of the photo from which on a zone counts, and counts fully."""
_SPREADS = (0.15, 0.25)
"""Largest deviation within a plane up to which a zone counts fully, and counts."""


class FlatZones(NamedTuple):
    """Connected flat zones of a photo.

    `labels` (h, w) number them from 1; 0 is what is not flat. `areas` are the labels' shares of the
    photo, 0 for what is not flat.
    """

    labels: npt.NDArray[np.int32]
    areas: npt.NDArray[np.float64]


def pool_flat_zones(planes: Floats, zones: FlatZones) -> Floats:
    """Pool planes (K, h, w) in 0..1 over the flat zones of a photo.

    How much a zone is pooled changes continuously with its size and its disagreement, so that
    the frames of a video do not flicker.
    """
    xp = namespace(planes)
    pooled = xp.astype(planes, xp.float32, copy=True)
    for zone in np.flatnonzero(zones.areas > _SHARES[0]).tolist():
        inside = like(zones.labels == zone, planes)
        own = planes[:, inside]
        mean = xp.mean(own, axis=1, keepdims=True)
        spread = float(xp.max(xp.std(own, axis=1)))
        size = np.interp(zones.areas[zone], _SHARES, (0.0, 1.0))
        amount = float(size * np.interp(spread, _SPREADS, (1.0, 0.0)))
        pooled[:, inside] = own + amount * (mean - own)
    return pooled


def flat_zones(color: npt.NDArray[np.float32]) -> FlatZones:
    """Find the flat zones of a CIELAB image (3, h, w)."""
    steps = [np.sqrt((np.diff(color, axis=axis) ** 2).sum(axis=0)) for axis in (1, 2)]
    down, across = steps
    uneven = np.zeros(color.shape[1:], dtype=np.float32)
    for part, step in (
        (uneven[1:], down),
        (uneven[:-1], down),
        (uneven[:, 1:], across),
        (uneven[:, :-1], across),
    ):
        np.maximum(part, step, out=part)
    labels, _ = ndimage.label(uneven < _STEP)
    areas = np.bincount(labels.ravel()) / labels.size
    areas[0] = 0.0
    return FlatZones(labels, areas)

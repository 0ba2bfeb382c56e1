"""Pooling of class probabilities over flat zones of a photo.

In a clear or black sky, on a wall, on a white backdrop, nothing but the segmenter's own
uncertainty separates one place from the next, and a border of regions there would be seen as a
tear. Such a zone takes the mean of its probabilities, unless they clearly disagree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from photoreal.arrays import Floats, like, namespace, to_host

_STEP = 1.5
"""L*a*b* between neighboring pixels, below which they belong to one zone."""
_SHARES = (0.02, 0.04)
"""Shares of the photo from which on a zone counts, and counts fully."""
_SPREADS = (0.15, 0.25)
"""Largest deviation of a class's probability up to which a zone counts fully, and counts."""


def pool_flat_zones(planes: Floats, color: Floats) -> Floats:
    """Pool probabilities (groups, h, w) over the flat zones of a CIELAB image (3, h, w).

    How much a zone is pooled changes continuously with its size and its disagreement, so that
    the frames of a video do not flicker.
    """
    zones, areas = _zones(to_host(color))
    xp = namespace(planes)
    pooled = xp.astype(planes, xp.float32, copy=True)
    for zone in np.flatnonzero(areas > _SHARES[0]).tolist():
        inside = like(zones == zone, planes)
        own = planes[:, inside]
        mean = xp.mean(own, axis=1, keepdims=True)
        spread = float(xp.max(xp.std(own, axis=1)))
        size = np.interp(areas[zone], _SHARES, (0.0, 1.0))
        amount = float(size * np.interp(spread, _SPREADS, (1.0, 0.0)))
        pooled[:, inside] = own + amount * (mean - own)
    return pooled


def _zones(
    color: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Connected flat zones as labels (h, w), and the share of each label; 0 is what is not flat."""
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
    zones, _ = ndimage.label(uneven < _STEP)
    areas = np.bincount(zones.ravel()) / zones.size
    areas[0] = 0.0
    return zones, areas

"""Islands: small parts of a region, apart from the rest of it, that no edge of the photo surrounds.

Features that the eye does not see, such as a doubtful class, may put the middle of a plain wall or
of a screen into the region of a window. In the colors of that region it is a stain. An island goes
to the regions around it, the more so the less of its border is visible.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from photoreal.arrays import Floats, like, namespace, to_host

_STEP = 2.5
"""L*a*b* between neighboring pixels, below which a border between them is not seen."""
_HIDDEN = (0.5, 0.7)
"""Shares of the border that are not seen, from which a part is given away, and fully."""
_SIZES = (0.0005, 0.001, 0.04, 0.08)
"""Shares of the photo between which a part may be given away, in the middle fully.

Smaller ones are not seen, larger ones are regions of their own.
"""

_Counts = npt.NDArray[np.float64]
_Ids = npt.NDArray[np.intp]


def without_islands(planes: Floats, color: Floats) -> Floats:
    """Weights (K, h, w) that sum to 1, with islands given to the regions around them.

    `color` (3, h, w) is the photo in CIELAB. How much is given changes continuously with the
    border and the size of an island.
    """
    count = len(planes)
    both = to_host(namespace(planes).concat([planes, color]))  # a GPU is waited for once
    weights, colors = both[:count], both[count:]
    labels = weights.argmax(axis=0)
    parts, regions = _parts(labels, count)
    given, shares = _given(parts, labels, colors, len(regions), count)
    affected = np.unique(regions[given > 0.0]).tolist()
    if not affected:
        return planes
    kept = weights.copy()
    for region in affected:
        own = labels == region
        nearest = ndimage.distance_transform_edt(~own, return_distances=False, return_indices=True)
        part = parts[tuple(nearest)]
        moved = weights[region] * given[part].astype(np.float32)
        kept[region] -= moved
        kept += moved * shares[part].transpose(2, 0, 1).astype(np.float32)
    return like(kept, planes)


def _parts(labels: _Ids, count: int) -> tuple[_Ids, _Ids]:
    """Connected parts of the regions, as a map (h, w) of numbers, and the region of each."""
    parts = np.zeros(labels.shape, dtype=np.intp)
    regions: list[int] = []
    for region in range(count):
        found, number = ndimage.label(labels == region)
        parts += np.where(found > 0, found - 1 + len(regions), 0)
        regions += [region] * number
    return parts, np.array(regions, dtype=np.intp)


def _given(
    parts: _Ids, labels: _Ids, color: npt.NDArray[np.float32], number: int, count: int
) -> tuple[_Counts, _Counts]:
    """The share in 0..1 of each part that is given away, and to which regions (parts, count)."""
    around = np.zeros(number * count)
    hidden = np.zeros(number)
    for axis in (0, 1):
        cut = [slice(None)] * 2
        before, after = cut.copy(), cut.copy()
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        one, two = tuple(before), tuple(after)
        border = labels[one] != labels[two]
        step = np.sqrt((np.diff(color, axis=axis + 1)[:, border] ** 2).sum(axis=0))
        for ours, theirs in ((one, two), (two, one)):
            part = parts[ours][border]
            around += np.bincount(part * count + labels[theirs][border], minlength=len(around))
            hidden += np.bincount(part, weights=step < _STEP, minlength=number)
    neighbors = around.reshape(number, count)
    lengths = np.maximum(neighbors.sum(axis=1), 1.0)
    sizes = np.bincount(parts.ravel(), minlength=number) / parts.size
    given = np.interp(hidden / lengths, _HIDDEN, (0.0, 1.0))
    given *= np.interp(sizes, _SIZES, (0.0, 1.0, 1.0, 0.0))
    return given, neighbors / lengths[:, None]

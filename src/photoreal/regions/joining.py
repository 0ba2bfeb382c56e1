"""Merging of clusters into regions, so that plain areas and confident classes stay whole.

A border between two regions shows in the result wherever the photo has no edge. So clusters are
merged, the best pair first, when their common border is invisible, when they belong to the same
class, or when their colors are similar and nothing suggests different objects.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, namespace, sums_by_key, to_host

SURE = 0.6
"""Minimum mean probability for a region to be assigned to a class."""

# Distances in L*a*b*, between pixels across a border or between mean colors.
_INVISIBLE = 1.5
_SURE_STEP = 15.0  # between two parts that are confidently of one class
_LIKELY_STEP = 12.0  # between a part confidently of a class and one that may be
_ALIKE = 12.0
_LIKELY = 0.35  # probability of the class that a part may be of
_DIFFERENT = 0.4  # both at least this likely of different classes: not merged by color
_TOUCHING = 0.1  # fraction of the shorter border: less does not count as touching

_Matrix = npt.NDArray[np.float64]


class _Parts:
    """Sums over the clusters and the borders between them, updated as they are merged."""

    def __init__(self, planes: Floats, classes: Floats, color: Floats, nothing: int) -> None:
        xp = namespace(planes)
        weights = planes.reshape(len(planes), -1)
        self.groups = list(range(len(planes)))
        self._nothing = nothing
        self._sizes = to_host(xp.sum(weights, axis=1, dtype=xp.float64)) + 1e-6
        self._classes = to_host(weights @ classes.reshape(len(classes), -1).T).astype(np.float64)
        self._colors = to_host(weights @ color.reshape(3, -1).T).astype(np.float64)
        self._lengths, self._steps = _borders(xp.argmax(planes, axis=0), color, len(planes))

    def cost(self, a: int, b: int) -> float:
        """Merge cost of two parts; at 1 or more they are not merged."""
        length = self._lengths[a, b]
        touching = length > _TOUCHING * min(self._lengths[a].sum(), self._lengths[b].sum())
        step = self._steps[a, b] / max(length, 1.0)
        if touching and step < _INVISIBLE:
            return float(step / _INVISIBLE - 1.0)
        apart = float(np.linalg.norm(self._color(a) - self._color(b)))
        (one, sure), (other, less) = sorted(
            (self.best_class(a), self.best_class(b)), key=lambda best: -best[1]
        )
        costs = [1.0]
        if one == other != self._nothing and sure >= SURE:
            if less >= SURE:
                costs.append(step / _SURE_STEP if touching else 0.5)
            elif less >= _LIKELY:
                costs.append(step / _LIKELY_STEP if touching else apart / _ALIKE)
        if sure < SURE and (one == other or less < _DIFFERENT):
            costs.append(apart / _ALIKE)
        return min(costs)

    def best_class(self, part: int) -> tuple[int, float]:
        """Most probable class of a part, and its mean probability."""
        means = self._classes[part] / self._sizes[part]
        best = int(means.argmax())
        return best, float(means[best])

    def _color(self, part: int) -> _Matrix:
        mean: _Matrix = self._colors[part] / self._sizes[part]
        return mean

    def join(self, a: int, b: int) -> None:
        """Merge part `b` into `a`."""
        for sums in (self._sizes, self._classes, self._colors):
            sums[a] += sums[b]
        for pairs in (self._lengths, self._steps):
            pairs[a] += pairs[b]
            pairs[:, a] += pairs[:, b]
            pairs[a, a] = 0.0
            pairs[b] = pairs[:, b] = 0.0
        self.groups = [a if group == b else group for group in self.groups]


def join_clusters(planes: Floats, classes: Floats, color: Floats, nothing: int = 0) -> list[int]:
    """Return the region index of each cluster, starting at 0.

    `planes` (k, h, w) are the clusters' weights, `classes` (groups, h, w) probabilities, `nothing`
    the group that does not count as a class, `color` (3, h, w) is CIELAB.
    """
    parts = _Parts(planes, classes, color, nothing)
    left = list(range(len(planes)))
    while len(left) > 1:
        pairs = [(a, b) for at, a in enumerate(left) for b in left[at + 1 :]]
        cost, (a, b) = min((parts.cost(*pair), pair) for pair in pairs)
        if cost >= 1.0:
            break
        parts.join(a, b)
        left.remove(b)
    return _counted(parts.groups)


def _counted(groups: Sequence[int]) -> list[int]:
    names: dict[int, int] = {}
    return [names.setdefault(group, len(names)) for group in groups]


def _borders(labels: Floats, color: Floats, count: int) -> tuple[_Matrix, _Matrix]:
    """For each pair of labels, the pixels of their common border and the sum of color steps."""
    xp = namespace(color)
    pairs, steps = [], []
    for axis in (0, 1):
        ours, theirs = _neighbors(labels, axis)
        before, after = _neighbors(color, axis + 1)
        pairs.append((count * ours + theirs).reshape(-1))
        steps.append(xp.sqrt(xp.sum((before - after) ** 2, axis=0)).reshape(-1))
    keys, step = xp.concat(pairs), xp.concat(steps)
    tables = [sums_by_key(keys, values, count**2) for values in (xp.ones_like(step), step)]
    lengths, sums = to_host(xp.stack(tables)).reshape(2, count, count)
    for table in (lengths, sums):
        np.fill_diagonal(table, 0.0)
    return lengths + lengths.T, sums + sums.T


def _neighbors(values: Floats, axis: int) -> tuple[Floats, Floats]:
    """The values before and after each border between pixels along an axis."""
    before, after = [slice(None)] * values.ndim, [slice(None)] * values.ndim
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    return values[tuple(before)], values[tuple(after)]

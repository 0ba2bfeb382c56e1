"""Seeded noise, and smooth interpolation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scenery.looks import Color, Floats


class Noise:
    """Smooth random numbers over the plane, the same for the same seed."""

    _SIDE = 256

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._table = rng.random(self._SIDE * self._SIDE, dtype=np.float32)

    def hashed(self, i: npt.NDArray[np.int32], j: npt.NDArray[np.int32]) -> Floats:
        """One number in [0, 1) for each integer cell, of any shape."""
        side = self._SIDE
        found: Floats = self._table[(i & (side - 1)) + (j & (side - 1)) * side]
        return found

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Value noise in [0, 1) at positions of any common shape, one bump per unit."""
        floor_x, floor_y = np.floor(x), np.floor(y)
        i, j = floor_x.astype(np.int32), floor_y.astype(np.int32)
        u, v = x - floor_x, y - floor_y
        u = u * u * u * (u * (u * 6 - 15) + 10)
        v = v * v * v * (v * (v * 6 - 15) + 10)
        low, high = self.hashed(i, j), self.hashed(i, j + 1)
        low = low + u * (self.hashed(i + 1, j) - low)
        high = high + u * (self.hashed(i + 1, j + 1) - high)
        value: Floats = low + v * (high - low)
        return value

    def fbm(self, x: Floats, y: Floats, octaves: int, gain: float = 0.5) -> Floats:
        """Sum octaves in [0, 1), each rotated to hide the grid."""
        total = np.zeros(np.broadcast(x, y).shape, np.float32)
        weight, weights = 1.0, 0.0
        for _ in range(octaves):
            total += np.float32(weight) * self(x, y)
            weights += weight
            weight *= gain
            x, y = 1.62 * x - 1.21 * y + 17.3, 1.21 * x + 1.62 * y + 9.7
        return total / np.float32(weights)

    def ridged(self, x: Floats, y: Floats, octaves: int) -> Floats:
        """Sharp crests and smooth valleys, about 0 to 1, like eroded mountains."""
        total = np.zeros(np.broadcast(x, y).shape, np.float32)
        carry = np.float32(1.0)
        weight, weights = 1.0, 0.0
        for _ in range(octaves):
            crest = (1 - np.abs(2 * self(x, y) - 1)) ** 2
            total += np.float32(weight) * crest * carry
            # Detail belongs on the crests: water has smoothed the valleys.
            carry = np.clip(1.6 * crest, 0.15, 1)
            weights += weight
            weight *= 0.48
            x, y = 1.62 * x - 1.21 * y + 31.9, 1.21 * x + 1.62 * y + 5.1
        return total / np.float32(weights)

    def bumps(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        """Find the nearest of randomly placed points, one per unit cell.

        Returns the offset (dx, dy) from it, and the point's random number in [0, 1).
        """
        i, j = np.floor(x - 0.5).astype(np.int32), np.floor(y - 0.5).astype(np.int32)
        best = np.full(x.shape, np.inf, np.float32)
        best_dx, best_dy, own = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        for di in (0, 1):
            for dj in (0, 1):
                a, b = i + di, j + dj
                dx = x - (a + 0.2 + 0.6 * self.hashed(a + 71, b)).astype(np.float32)
                dy = y - (b + 0.2 + 0.6 * self.hashed(a, b + 37)).astype(np.float32)
                distance = dx * dx + dy * dy
                nearer = distance < best
                best = np.where(nearer, distance, best)
                best_dx, best_dy = np.where(nearer, dx, best_dx), np.where(nearer, dy, best_dy)
                own = np.where(nearer, self.hashed(a + 13, b + 97), own)
        return best_dx, best_dy, own


def step(low: float, high: float, value: Floats) -> Floats:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def rgb(color: Color) -> Floats:
    """The three numbers of a color as an array (3,)."""
    return np.asarray(color, np.float32)


def mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """Blend two colors, (..., 3) or (3,), by a share in [0, 1] without the last axis."""
    return first + (second - first) * share[..., None]

"""Color alignment of content regions with style regions, used before or without WCT2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from photoreal.arrays import Floats, is_tensor, like, namespace
from photoreal.color import tones
from photoreal.color.detail import smooth_faint_detail
from photoreal.color.gamut import compress_range
from photoreal.color.transport import (
    ColorMap,
    ColorMoments,
    Matrix,
    barycenter,
    color_map,
    color_moments,
    mixture,
    without_gain,
)
from photoreal.cores import map_on_cores


class RegionColors(NamedTuple):
    """Distribution of a region's colors: moments, and quantiles (3, `tones.POINTS`)."""

    moments: ColorMoments
    tones: Matrix


Steady = Callable[[int, str, tuple[Matrix, ...]], tuple[Matrix, ...]]
"""Maps a region's statistics in this frame of a shot to those to use, by region and name."""


def region_colors(photo: Floats, weights: Floats) -> list[RegionColors | None]:
    """Colors of each region of a photo (3, H, W), None for a region without pixels."""
    found: list[RegionColors | None] = []
    for plane in weights:
        if float(plane.sum()) < 1.0:
            found.append(None)
            continue
        pixels = _Pixels(plane)
        colors = pixels.of(photo)
        found.append(
            RegionColors(
                color_moments(colors, pixels.weights), tones.measure_tones(colors, pixels.weights)
            )
        )
    return found


class _Pixels:
    """The pixels (n) of a region: those with a weight in its plane (H, W)."""

    def __init__(self, plane: Floats) -> None:
        (indices,) = namespace(plane).nonzero(plane.reshape(-1))
        everywhere = len(indices) == plane.shape[0] * plane.shape[1]
        self._indices = None if everywhere else indices
        self.weights = self.of(plane[None])[0]

    def of(self, planes: Floats) -> Floats:
        """Their values (K, n) in planes (K, H, W)."""
        flat = planes.reshape(len(planes), -1)
        if self._indices is None:
            return flat
        return namespace(planes).take(flat, self._indices, axis=1)

    def add(self, values: Floats, flat: Floats) -> None:
        """Add values (K, n) to them in flat planes (K, H * W)."""
        if self._indices is None:
            flat += values
        elif is_tensor(flat):
            flat[:, self._indices] += values
        else:
            for row, own in zip(flat, values, strict=True):  # faster in numpy
                row[self._indices] += own


def mix_colors(parts: Sequence[RegionColors], shares: Sequence[float]) -> RegionColors:
    """Colors of the union of regions, weighted by shares (at least 0, not all 0)."""
    return RegionColors(
        mixture([part.moments for part in parts], shares),
        tones.mixture_tones([part.tones for part in parts], shares),
    )


def average_colors(parts: Sequence[RegionColors], shares: Sequence[float]) -> RegionColors:
    """Barycenter of several styles' colors."""
    return RegionColors(
        barycenter([part.moments for part in parts], shares),
        tones.barycenter_tones([part.tones for part in parts], shares),
    )


class Alignment(NamedTuple):
    """Change of a region's colors: the linear map, then the tone curves."""

    linear: ColorMap
    curves: tones.ToneCurves

    def __call__(self, colors: Floats) -> Floats:
        """Apply the change to colors (3, N); the result is not clipped."""
        return tones.apply_tones(self.curves, apply_map(self.linear, colors))

    def of_detail(self, detail: Floats) -> Floats:
        """The change of faint detail (3, N), around 0, which the map only weakens."""
        return like(without_gain(self.linear).astype(np.float32), detail) @ detail


def alignment(
    colors: Floats,
    weights: Floats,
    own: ColorMoments,
    goal: RegionColors,
    *,
    luma: float = 1.0,
    steady: Callable[[Matrix], Matrix] = lambda found: found,
) -> Alignment:
    """The change that gives colors (3, N) with weights (N,) and moments `own` the goal's.

    `luma` in 0..1 is the share of the luma curve.
    """
    linear = color_map(own, goal.moments)
    found = steady(tones.measure_tones(apply_map(linear, colors), weights))
    return Alignment(linear, tones.tone_curves(found, goal.tones, luma, linear.matrix))


def align_colors(
    photo: Floats,
    weights: Floats,
    goals: Sequence[RegionColors | None],
    strength: float = 1.0,
    *,
    luma: float = 1.0,
    steady: Steady | None = None,
    applied: Floats | None = None,
) -> Floats:
    """Align each region of a photo (3, H, W) in 0..1 with its goal, weighted by the regions.

    A region without a goal keeps its colors. Colors are measured by `weights` and changed by
    `applied`, which is 0 where they are and by default the same. `strength` in 0..1 is the share of
    the full change, `luma` that of the luma curve. Faint detail is not amplified. The result is in
    0..1.
    """
    smooth = smooth_faint_detail(photo)
    sizes = [
        float(plane.sum()) if goal is not None else 0.0
        for plane, goal in zip(weights, goals, strict=True)
    ]
    regions = [region for region, size in enumerate(sizes) if size >= 1.0]

    def changed(region: int) -> tuple[_Pixels, Floats]:
        goal = goals[region]
        assert goal is not None  # noqa: S101 (for the type checker)
        pixels = _Pixels(weights[region])
        colors, shares = pixels.of(photo), pixels.weights
        own = color_moments(colors, shares)
        if steady is None:
            found = alignment(colors, shares, own, goal, luma=luma)
        else:
            own = ColorMoments(*steady(region, "moments", own))
            average = partial(_steadied, steady, region, "tones")
            found = alignment(colors, shares, own, goal, luma=luma, steady=average)
        shades = pixels.of(smooth)
        if applied is not None:
            shares = pixels.of(applied[region][None])[0]
        after = found(shades) + found.of_detail(colors - shades)
        return pixels, (strength * shares) * (after - colors)

    in_turn = steady is not None or is_tensor(photo)
    regions.sort(key=lambda region: -sizes[region])  # the largest first, so that no core waits
    change = namespace(photo).zeros_like(photo.reshape(3, -1))
    for pixels, part in map_on_cores(changed, regions, threads=1 if in_turn else None):
        pixels.add(part, change)
    return compress_range(photo + change.reshape(photo.shape))


def align_chroma(
    photo: Floats,
    weights: Floats,
    goals: Sequence[RegionColors | None],
    strength: float = 1.0,
    *,
    steady: Steady | None = None,
) -> Floats:
    """Move the chroma of each region of a photo (3, H, W) to its goal's quantiles.

    For a photo that was aligned and then changed a little, as by WCT2. The arguments and the
    result are those of `align_colors`.
    """
    change = namespace(photo).zeros_like(photo.reshape(3, -1))
    for region, (plane, goal) in enumerate(zip(weights, goals, strict=True)):
        if goal is None or float(plane.sum()) < 1.0:
            continue
        pixels = _Pixels(plane)
        colors, shares = pixels.of(photo), pixels.weights
        found = tones.measure_tones(colors, shares)
        if steady is not None:
            found = _steadied(steady, region, "chroma", found)
        curves = tones.tone_curves(found, goal.tones, luma=0.0)
        part = (strength * shares) * (tones.apply_tones(curves, colors) - colors)
        pixels.add(part, change)
    return compress_range(photo + change.reshape(photo.shape))


def _steadied(steady: Steady, region: int, name: str, found: Matrix) -> Matrix:
    return steady(region, name, (found,))[0]


def apply_map(found: ColorMap, colors: Floats) -> Floats:
    """Apply one map to colors (3, ...); the result is not clipped."""
    matrix, offset = (like(part.astype(np.float32), colors) for part in found)
    mapped = namespace(colors).tensordot(matrix, colors, axes=1)
    return mapped + offset.reshape(3, *([1] * (colors.ndim - 1)))

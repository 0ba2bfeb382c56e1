"""Measures of a photorealistic style transfer, as pure functions of pictures and label maps.

A picture is a (3, H, W) float array, sRGB in 0..1; a label map is (H, W) uint8. Nothing here is
an opinion: equal pictures give structure 1, distance 0 and seam ratio 1. No measure alone
says that a picture is good. A copy of the content keeps all structure and reaches no style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from photoreal.regions import LabelMap, Pair

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

PSNR_CEILING = 100.0
"""dB that stand for no difference at all; 8-bit pictures that differ anywhere stay below."""

AWAY_FROM_BORDERS = 8
"""Pixels: one step of the deepest features, beyond which a border's fringes have ended."""

_LUMA = np.array([0.299, 0.587, 0.114])  # Rec. ITU-R BT.601
# sRGB to XYZ (IEC 61966-2-1) with each row divided by the white point D65.
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_TO_XYZ /= _TO_XYZ.sum(axis=1, keepdims=True)
_LAB_KNEE = 6 / 29

_SSIM_TAPS = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_SSIM_TAPS /= _SSIM_TAPS.sum()
_SSIM_LUMINANCE, _SSIM_CONTRAST = 0.01**2, 0.03**2

_EDGE_PERCENTILE = 99.0
_LEAST_EDGE = 1 / 255  # the faintest step of an 8-bit picture; weaker edges are noise
_LEAST_GRADIENT = 0.25  # CIELAB a pixel: well below what is seen, above rounding to 8 bits

_DIRECTIONS = 64
_BIN = 0.05  # CIELAB


def luma(picture: Floats) -> Floats:
    """Luma (H, W) in 0..1 of a picture (3, H, W), by Rec. ITU-R BT.601."""
    weighted: Floats = np.tensordot(_LUMA, picture, axes=1)
    return weighted


def lab(picture: Floats) -> Floats:
    """CIELAB (3, H, W) of an sRGB picture: L* in 0..100, a* and b* in about -110..110, D65.

    CIE 15:2004 for CIELAB, IEC 61966-2-1 for sRGB. A distance of 1 is about the least that
    an eye tells apart.
    """
    values = np.clip(picture, 0.0, 1.0)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    relative = np.tensordot(_TO_XYZ, linear, axes=1)
    straight = relative / (3 * _LAB_KNEE**2) + 4 / 29
    x, y, z = np.where(relative > _LAB_KNEE**3, np.cbrt(relative), straight)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def psnr(one: Floats, other: Floats) -> float:
    """Peak signal-to-noise ratio in dB of two pictures in 0..1, at most `PSNR_CEILING`.

    Raises ValueError for pictures of different shapes.
    """
    _check_shapes(one, other)
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return min(PSNR_CEILING, -10 * float(np.log10(error))) if error > 0 else PSNR_CEILING


def gradient(plane: Floats) -> Floats:
    """Gradient magnitude (H, W) of a plane (H, W), in its units a pixel, by Scharr's filter."""
    padded = np.pad(plane, 1, mode="edge")
    rows = (3 * padded[:-2] + 10 * padded[1:-1] + 3 * padded[2:]) / 16
    columns = (3 * padded[:, :-2] + 10 * padded[:, 1:-1] + 3 * padded[:, 2:]) / 16
    magnitude: Floats = np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]) / 2
    return magnitude


def edges(picture: Floats) -> Floats:
    """Edge response (H, W) in 0..1 of a picture: the gradient magnitude of its luma.

    Divided by its own 99th percentile and cut at 1, so that the contrast of the whole picture,
    which a style may well change, does not count.
    """
    response = gradient(luma(picture))
    scale = max(float(np.percentile(response, _EDGE_PERCENTILE)), _LEAST_EDGE)
    return np.minimum(response / scale, 1.0)


def ssim(one: Floats, other: Floats) -> float:
    """Mean structural similarity of two planes (H, W) in 0..1, each side at least 11 pixels.

    Wang et al., "Image Quality Assessment" (IEEE TIP 2004), with their 11x11 Gaussian window
    of deviation 1.5 and their constants; only windows that lie inside count. Raises
    ValueError for planes of different shapes or too small ones.
    """
    _check_shapes(one, other)
    if min(one.shape) < _SSIM_TAPS.size:
        raise ValueError(f"SSIM needs {_SSIM_TAPS.size} pixels a side, got {one.shape}.")
    mean_one, mean_other = _smooth(one), _smooth(other)
    variances = _smooth(one * one) - mean_one**2 + _smooth(other * other) - mean_other**2
    covariance = _smooth(one * other) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + _SSIM_LUMINANCE) / (
        mean_one**2 + mean_other**2 + _SSIM_LUMINANCE
    )
    structure = (2 * covariance + _SSIM_CONTRAST) / (variances + _SSIM_CONTRAST)
    return float(np.mean(luminance * structure))


def structure_kept(content: Floats, result: Floats) -> float:
    """How much of the content's structure the result has: SSIM of their `edges`, up to 1.

    After WCT2 (Yoo et al., ICCV 2019, section 4), which compares the edge responses of content
    and result by SSIM. Edges come from a trained network there (HED, Xie and Tu, ICCV 2015) and
    from the gradient here, which sees texture as well: values are lower than in the paper and
    only compare with each other. Raises ValueError as `ssim` does.
    """
    return ssim(edges(content), edges(result))


def color_distance(one: Floats, other: Floats) -> float:
    """Distance of two color distributions, (3, N) and (3, M) points in CIELAB.

    Twice the sliced Wasserstein-1 distance (Bonneel et al., "Sliced and Radon Wasserstein
    Barycenters of Measures", JMIV 2015) over 64 fixed directions that cover the sphere evenly.
    On a line the distance is the area between the two distribution functions, here from
    histograms of 0.05 a bin. A random direction sees half of a shift; doubled, a distribution
    that was moved by d is at distance d, to about one percent.

    Raises ValueError when a distribution has no points.
    """
    if not (one.shape[1] and other.shape[1]):
        raise ValueError("A color distribution has no points.")
    area = 0.0
    for direction in _directions(_DIRECTIONS):
        lines = [np.tensordot(direction, points, axes=1) for points in (one, other)]
        low = min(float(line.min()) for line in lines)
        bins = int((max(float(line.max()) for line in lines) - low) / _BIN) + 1
        shares = [
            np.bincount(((line - low) / _BIN).astype(np.intp), minlength=bins) / line.size
            for line in lines
        ]
        area += float(np.abs(np.cumsum(shares[0] - shares[1])).sum()) * _BIN
    return 2 * area / _DIRECTIONS


def style_distance(
    picture: Floats,
    style: Floats,
    labels: LabelMap,
    style_labels: LabelMap,
    pairs: Sequence[Pair],
) -> float | None:
    """How far the colors of a picture's regions are from those of their style regions.

    `picture` (3, H, W) and `style` (3, h, w) are in CIELAB (`lab`), `labels` (H, W) and
    `style_labels` (h, w) are their regions. The mean of the pairs' `color_distance`, weighted
    by the regions' pixels in `labels`; pixels without a pair do not count. None when no pair
    has pixels on both sides. Zero is not within reach of a transfer that keeps the content's
    structure, only closer than before.
    """
    distances, weights = [], []
    for pair in pairs:
        region = picture[:, labels == pair.content]
        goal = style[:, style_labels == pair.style] if pair.style is not None else style
        goal = goal.reshape(3, -1)
        if region.shape[1] and goal.shape[1]:
            distances.append(color_distance(region, goal))
            weights.append(region.shape[1])
    return float(np.average(distances, weights=weights)) if weights else None


def seam_ratio(content: Floats, result: Floats, labels: LabelMap) -> float | None:
    """How much more the transfer strengthened edges at region borders than elsewhere.

    The mean color gradient of the result over that of the content (both in CIELAB a pixel, plus
    0.25 so that flat pictures have a ratio too) in the two pixels along the borders of `labels`,
    divided by the same ratio more than 8 pixels away from borders. 1: borders changed as the
    rest did; above: seams, or regions that moved apart in color where there is an edge anyway;
    below: contrast lost. It compares ways of treating one pair rather than pairs.

    None where there is no border, or nothing away from borders. Raises ValueError for pictures
    of different shapes or labels of another size.
    """
    _check_shapes(content, result)
    if labels.shape != content.shape[1:]:
        raise ValueError(f"Labels are {labels.shape}, the picture {content.shape[1:]}.")
    band = borders(labels)
    near = (
        Image.fromarray(band).convert("L").filter(ImageFilter.MaxFilter(2 * AWAY_FROM_BORDERS + 1))
    )
    away = np.asarray(near) == 0
    if not (band.any() and away.any()):
        return None
    before, after = (_color_gradient(picture) + _LEAST_GRADIENT for picture in (content, result))
    ratios = [float(after[where].mean() / before[where].mean()) for where in (band, away)]
    return ratios[0] / ratios[1]


def borders(labels: LabelMap) -> Mask:
    """Pixels (H, W) with another label above, below, left or right: two pixels a border."""
    found = np.zeros(labels.shape, dtype=np.bool_)
    down = labels[1:] != labels[:-1]
    across = labels[:, 1:] != labels[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found


def _color_gradient(picture: Floats) -> Floats:
    """Gradient magnitude (H, W) in CIELAB a pixel, its three planes taken together."""
    magnitude: Floats = np.sqrt(sum(gradient(plane) ** 2 for plane in lab(picture)))
    return magnitude


def _smooth(plane: Floats) -> Floats:
    """Gaussian means over the windows that lie inside, (H, W) to (H - 10, W - 10)."""
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(plane, _SSIM_TAPS.size, axis=axis)
        plane = windows @ _SSIM_TAPS
    return plane


def _directions(count: int) -> Floats:
    """Unit vectors (count, 3) spread evenly over half a sphere: a Fibonacci lattice."""
    index = np.arange(count)
    height = (index + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _check_shapes(one: Floats, other: Floats) -> None:
    if one.shape != other.shape:
        raise ValueError(f"The pictures have different shapes: {one.shape} and {other.shape}.")

"""Measures of photorealistic style transfer, as pure functions of pictures and label maps.

A picture is a (3, H, W) float array, sRGB in 0..1; a label map is (H, W) uint8. No single measure
shows that a picture is good: a copy of the content preserves all structure and has no residual,
but does not approach the style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from photoreal.color.spaces import luma
from photoreal.regions import LabelMap, Pair

Floats = npt.NDArray[np.floating[Any]]

PSNR_CEILING = 100.0
"""PSNR in dB of identical pictures; 8-bit pictures that differ anywhere are below it."""

RESIDUAL_SIDE = 17
"""Side of the windows of `residual`, in pixels."""

_RIDGE = 1e-5  # a variance, for content colors in 0..1

_SCHARR = np.outer([-1, 0, 1], [3, 10, 3]) / 32.0

_SSIM_REACH = 5  # of the window, from its middle
_SSIM_LUMINANCE, _SSIM_CONTRAST = 0.01**2, 0.03**2

_EDGE_PERCENTILE = 99.0
_LEAST_EDGE = 1 / 255  # the faintest step of an 8-bit picture; weaker edges are noise

_BIN, _REACH = 0.05, 150.0  # CIELAB; no color of sRGB is farther than 138 from black


def psnr(one: Floats, other: Floats) -> float:
    """Peak signal-to-noise ratio in dB of two pictures in 0..1, at most `PSNR_CEILING`.

    Raises ValueError for pictures of different shapes.
    """
    _check_shapes(one, other)
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return min(PSNR_CEILING, -10 * float(np.log10(error))) if error > 0 else PSNR_CEILING


def gradient(plane: Floats) -> Floats:
    """Gradient magnitude (H, W) of a plane (H, W), in its units per pixel, by Scharr's filter."""
    rows, columns = (
        ndimage.correlate(plane, taps, mode="nearest") for taps in (_SCHARR, _SCHARR.T)
    )
    return np.asarray(np.hypot(rows, columns))


def edges(picture: Floats) -> Floats:
    """Edge response (H, W) in 0..1 of a picture: the gradient magnitude of its luma.

    It is divided by its 99th percentile and clipped at 1, so that the global contrast, which a
    style may change, does not count.
    """
    response = gradient(luma(picture))
    scale = max(float(np.percentile(response, _EDGE_PERCENTILE)), _LEAST_EDGE)
    return np.minimum(response / scale, 1.0)


def ssim(one: Floats, other: Floats) -> float:
    """Mean structural similarity of two planes (H, W) in 0..1, each side at least 11 pixels.

    Wang et al., "Image Quality Assessment" (IEEE TIP 2004), with their 11x11 Gaussian window
    of deviation 1.5 and their constants; only windows inside the planes count. Raises ValueError
    for planes of different shapes or too small ones.
    """
    _check_shapes(one, other)
    if min(one.shape) <= 2 * _SSIM_REACH:
        raise ValueError(f"SSIM needs {2 * _SSIM_REACH + 1} pixels a side, got {one.shape}.")
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
    and result by SSIM. There, edges come from a trained network (HED, Xie and Tu, ICCV 2015);
    here, from the gradient, which also responds to texture: values are lower than in the paper
    and only comparable with each other. Raises ValueError as `ssim` does.
    """
    return ssim(edges(content), edges(result))


def residual(content: Floats, result: Floats) -> Floats:
    """Residual that no local change of light and color explains, per window, in 8-bit levels.

    In each 17x17 window that lies inside the picture, every channel of the result is fitted as an
    affine function of the content's three channels by least squares, with a ridge of 1e-5 on the
    content's covariance. The value is the root mean square of the remainder, over the window's
    pixels and the three channels, without the ridge's own penalty. It is what the matting
    Laplacian penalizes (Levin et al., TPAMI 2008, section 3; Luan et al., "Deep Photo Style
    Transfer", CVPR 2017, equation 3): 0 where only light and color changed, except for the effect
    of the ridge where the content is nearly flat, which is at most 0.4 for a copy.

    Pictures (3, H, W) to (H - 16, W - 16). Raises ValueError for pictures of different shapes
    or with a side below 17 pixels.
    """
    _check_shapes(content, result)
    if min(content.shape[1:]) < RESIDUAL_SIDE:
        raise ValueError(f"The residual needs {RESIDUAL_SIDE} pixels a side, got {content.shape}.")
    # Variances are differences of squares, which centering keeps small.
    x, y = (
        np.asarray(picture, np.float64) - picture.mean(axis=(1, 2), keepdims=True)
        for picture in (content, result)
    )
    inside, across, total = _covariances(x, x), _covariances(x, y), _covariances(y, y)
    slopes = np.linalg.solve(inside + _RIDGE * np.eye(3), across)
    left = np.trace(total, axis1=-2, axis2=-1)
    left = left - (slopes * (across + _RIDGE * slopes)).sum(axis=(-2, -1))
    levels: Floats = 255 * np.sqrt(np.maximum(left, 0) / 3)
    return levels


def _covariances(one: Floats, other: Floats) -> Floats:
    """Covariances (H - 16, W - 16, 3, 3) of the channels of two pictures in each window."""
    means = [[_box(channel) for channel in picture] for picture in (one, other)]
    products = [
        [_box(a * b) - a_mean * b_mean for b, b_mean in zip(other, means[1], strict=True)]
        for a, a_mean in zip(one, means[0], strict=True)
    ]
    return np.moveaxis(np.array(products), (0, 1), (-2, -1))


def color_profile(points: Floats) -> Floats:
    """Cumulative distributions (64, 6000) of points (3, N) in CIELAB along 64 directions.

    The directions cover the sphere evenly; the bins are 0.05 wide, from -150 to 150. Raises
    ValueError when there are no points.
    """
    if not points.shape[1]:
        raise ValueError("A color distribution has no points.")
    count = round(2 * _REACH / _BIN)
    points = points.astype(np.float32)
    shares = np.empty((len(_DIRECTIONS), count))
    for direction, share in zip(_DIRECTIONS, shares, strict=True):
        bins = ((direction @ points + _REACH) / _BIN).astype(np.intp)
        share[:] = np.bincount(np.clip(bins, 0, count - 1), minlength=count)
    profile: Floats = np.cumsum(shares, axis=1) / points.shape[1]
    return profile


def color_distance(one: Floats, other: Floats) -> float:
    """Distance in CIELAB of two color distributions, each given by its `color_profile`.

    Twice the sliced Wasserstein-1 distance (Bonneel et al., "Sliced and Radon Wasserstein
    Barycenters of Measures", JMIV 2015); in one dimension that is the area between the two
    distribution functions. A random direction sees half of a shift on average; after doubling, a
    distribution that was shifted by d is at distance d, to about one percent.
    """
    return 2 * _BIN * float(np.abs(one - other).sum()) / len(_DIRECTIONS)


def style_goals(style: Floats, labels: LabelMap, pairs: Sequence[Pair]) -> dict[int, Floats]:
    """The target `color_profile` of each content label.

    `style` (3, H, W) is in CIELAB (`lab`), `labels` (H, W) are its regions. A pair whose style
    region has no pixels is left out.
    """
    goals = {}
    for pair in pairs:
        points = style.reshape(3, -1) if pair.style is None else style[:, labels == pair.style]
        if points.shape[1]:
            goals[pair.content] = color_profile(points)
    return goals


def style_distance(picture: Floats, labels: LabelMap, goals: Mapping[int, Floats]) -> float:
    """Distance of the colors of a picture's regions from those of their style regions.

    `picture` (3, H, W) is in CIELAB (`lab`), `labels` (H, W) are its regions, `goals` come from
    `style_goals`. The mean of the regions' `color_distance`, weighted by their pixels; pixels
    without a goal do not count. A transfer that keeps the content's structure cannot reach zero,
    only reduce the distance. Raises ValueError when no pixel has a goal.
    """
    distances, weights = [], []
    for label, goal in goals.items():
        points = picture[:, labels == label]
        if points.shape[1]:
            distances.append(color_distance(color_profile(points), goal))
            weights.append(points.shape[1])
    if not weights:
        raise ValueError("No pixel of the picture has a style region.")
    return float(np.average(distances, weights=weights))


def _smooth(plane: Floats) -> Floats:
    """Gaussian means over the windows inside the plane, (H, W) to (H - 10, W - 10)."""
    inside = slice(_SSIM_REACH, -_SSIM_REACH)
    means: Floats = ndimage.gaussian_filter(plane, 1.5, radius=_SSIM_REACH)[inside, inside]
    return means


def _box(plane: Floats) -> Floats:
    """Means over the 17x17 windows inside the plane, (H, W) to (H - 16, W - 16)."""
    margin = RESIDUAL_SIDE // 2
    means: Floats = ndimage.uniform_filter(plane, RESIDUAL_SIDE)
    return means[margin:-margin, margin:-margin]


def _directions(count: int) -> Floats:
    """Unit vectors (count, 3) spread evenly over half a sphere: a Fibonacci lattice."""
    index = np.arange(count)
    height = (index + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


_DIRECTIONS = _directions(64).astype(np.float32)


def _check_shapes(one: Floats, other: Floats) -> None:
    if one.shape != other.shape:
        raise ValueError(f"The pictures have different shapes: {one.shape} and {other.shape}.")

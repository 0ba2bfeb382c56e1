"""Ways to carry a small result over to a large photo, to compare the server's own with.

Each takes the content (3, h, w) and its result (3, h, w) at working size and the photo (3, H, W),
all in 0..1, and gives the result at the photo's size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image
from quality_metrics import luma
from scipy import ndimage

from photoreal.local_linear import FloatArray, fit_local_linear
from photoreal.upsample import ColorModel, apply_colors, fit_colors

Upsampling = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

SERVER = "server's"

_GUIDED_SIDE, _GUIDED_RIDGE = 5, 3e-5
_CELL, _BINS = 8, 8
_GRID_RIDGE = 1e-4
_CHANNELS = 3


def server(content: FloatArray, result: FloatArray, photo: FloatArray) -> FloatArray:
    """What the server does."""
    return _applied(fit_colors(content, result), photo)


def guided_filter(content: FloatArray, result: FloatArray, photo: FloatArray) -> FloatArray:
    """The fast guided filter alone (He and Sun, 2015), at its best window and ridge."""
    model = fit_local_linear(result, content, _GUIDED_SIDE, _GUIDED_RIDGE)
    return _applied(ColorModel(*model), photo)


def guided_with_rest(content: FloatArray, result: FloatArray, photo: FloatArray) -> FloatArray:
    """The fast guided filter, and what it misses at working size enlarged and added."""
    model = ColorModel(*fit_local_linear(result, content, _GUIDED_SIDE, _GUIDED_RIDGE))
    missed = result - ((model.slopes * content).sum(axis=1) + model.offsets)
    return _applied(model, photo) + _enlarged(missed, photo)


def difference(content: FloatArray, result: FloatArray, photo: FloatArray) -> FloatArray:
    """The change of every color enlarged and added to the photo."""
    return photo + _enlarged(result - content, photo)


def enlarged(content: FloatArray, result: FloatArray, photo: FloatArray) -> FloatArray:
    """The result enlarged; the photo's detail is lost."""
    return _enlarged(result, photo)


def bilateral_grid(content: FloatArray, result: FloatArray, photo: FloatArray) -> FloatArray:
    """Affine models on a grid over place and luma, as in bilateral guided upsampling.

    After Chen et al., "Bilateral Guided Upsampling" (SIGGRAPH Asia 2016), fitted cell by cell
    from blurred normal equations, with the whole picture's model as the prior.
    """
    height, width = content.shape[1:]
    shape = (-(-height // _CELL) + 1, -(-width // _CELL) + 1, _BINS)
    ones = np.ones((1, height, width), dtype=np.float32)
    known = np.concatenate([content, ones])
    first = [(i, j) for i in range(4) for j in range(i, 4)]
    second = [(i, k) for i in range(4) for k in range(_CHANNELS)]
    products = [known[i] * known[j] for i, j in first] + [known[i] * result[k] for i, k in second]
    sums = np.stack(_splat(products, _places(content, shape), shape))
    sums = ndimage.gaussian_filter(sums, (0, 1.0, 1.0, 0.75), mode="constant")
    left, right = np.empty((*shape, 4, 4)), np.empty((*shape, 4, _CHANNELS))
    for plane, (i, j) in zip(sums, first, strict=False):
        left[..., i, j] = left[..., j, i] = plane
    for plane, (i, k) in zip(sums[len(first) :], second, strict=True):
        right[..., i, k] = plane
    some = _GRID_RIDGE * np.eye(4)  # a gray photo has one channel's worth of equations
    whole = np.linalg.solve(left.sum((0, 1, 2)) + some, right.sum((0, 1, 2)))
    weight = (_GRID_RIDGE * (1 + left[..., 3, 3]))[..., None, None]
    models = np.linalg.solve(left + weight * np.eye(4), right + weight * whole)
    places = _places(photo, shape)
    sliced = np.empty_like(photo)
    for k in range(_CHANNELS):
        planes = [
            ndimage.map_coordinates(models[..., i, k], places, order=1, mode="nearest")
            for i in range(4)
        ]
        sliced[k] = sum(plane * color for plane, color in zip(planes, photo, strict=False))
        sliced[k] += planes[3]
    return sliced


WAYS: Mapping[str, Upsampling] = {
    SERVER: server,
    "guided filter": guided_filter,
    "guided filter and rest": guided_with_rest,
    "bilateral grid": bilateral_grid,
    "difference added": difference,
    "enlarged": enlarged,
}


def _applied(model: ColorModel, photo: FloatArray) -> FloatArray:
    pixels = np.rint(photo * 255).astype(np.uint8).transpose(1, 2, 0)
    picture = apply_colors(model, np.ascontiguousarray(pixels))
    return picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def _enlarged(picture: FloatArray, photo: FloatArray) -> FloatArray:
    height, width = photo.shape[1:]
    return np.stack(
        [
            np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
            for plane in np.ascontiguousarray(picture)
        ]
    )


def _places(picture: FloatArray, shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Where each pixel lies in the grid, (3, H, W)."""
    height, width = picture.shape[1:]
    rows = (np.arange(height)[:, None] + 0.5) / height * (shape[0] - 1)
    columns = (np.arange(width) + 0.5) / width * (shape[1] - 1)
    bins = luma(picture).clip(0, 1) * (shape[2] - 1)
    return np.stack(np.broadcast_arrays(rows, columns, bins))


def _splat(
    planes: list[FloatArray], places: npt.NDArray[np.float64], shape: tuple[int, int, int]
) -> list[npt.NDArray[np.float64]]:
    """Sums of planes over the grid's vertices, trilinearly weighted."""
    low = [
        np.minimum(place.astype(np.intp), size - 2)
        for place, size in zip(places, shape, strict=True)
    ]
    part = [place - start for place, start in zip(places, low, strict=True)]
    sums = [np.zeros(np.prod(shape)) for _ in planes]
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(
            [share if up else 1 - share for up, share in zip(corner, part, strict=True)], axis=0
        ).ravel()
        vertex = np.ravel_multi_index(
            [start + up for up, start in zip(corner, low, strict=True)], shape
        ).ravel()
        for total, plane in zip(sums, planes, strict=True):
            total += np.bincount(vertex, plane.ravel() * weight, minlength=total.size)
    return [total.reshape(shape) for total in sums]

"""Small results carried over to a photo's own pixels."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from photoreal.preprocess import resize_photo
from photoreal.render.local_linear import fit_local_linear
from photoreal.render.upsample import ColorModel, apply_colors, fit_colors
from tests.shared import Array, Photo

HEIGHT, WIDTH, SCALE = 60, 88, 4


def _pixels(picture: Array) -> Photo:
    pixels = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _scene() -> Photo:
    """Fine texture: a blue sky that fades, and ground of another color below it."""
    rows, columns = np.mgrid[: HEIGHT * SCALE, : WIDTH * SCALE] / SCALE
    sky = np.stack([0.3 + rows / 200, 0.5 + rows / 300, 0.9 - rows / 400])
    ground = np.stack([0.5 + columns / 400, 0.4 + rows / 500, 0.2 + columns / 900])
    picture = np.where(rows < 0.45 * HEIGHT + 4 * np.sin(columns / 9), sky, ground)
    return _pixels(picture + np.random.default_rng(0).normal(0, 0.03, picture.shape[1:]))


PHOTO = _scene()
SMALL = resize_photo(PHOTO, HEIGHT, WIDTH)
FLOATS = PHOTO.transpose(2, 0, 1).astype(np.float32) / 255


def _psnr(one: Photo, other: Photo) -> float:
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else 100.0


MATRIX = np.array([[0.7, 0.2, 0.0], [0.1, 0.5, 0.1], [0.0, 0.1, 0.6]], dtype=np.float32)
SHIFT = np.array([0.05, 0.1, 0.02], dtype=np.float32).reshape(3, 1, 1)


def _mixed(picture: Array) -> Array:
    changed: Array = np.tensordot(MATRIX, picture, axes=1) + SHIFT
    return changed


@pytest.mark.parametrize(
    ("change", "decibels"),
    [
        pytest.param(_mixed, 40, id="colors"),  # but some of the grain where it is flat
        pytest.param(lambda picture: picture, 50, id="nothing"),
        pytest.param(lambda picture: picture * 3 - 1, 30, id="beyond the range"),
    ],
)
def test_one_change_reaches_every_pixel(change: Callable[[Array], Array], decibels: float) -> None:
    result = apply_colors(fit_colors(SMALL, change(SMALL)), PHOTO)
    assert _psnr(result, _pixels(change(FLOATS))) > decibels


def test_regions_change_independently_and_detail_stays() -> None:
    """Sky and ground get changes of their own, whose border is in the photo alone."""

    def change(picture: Array) -> Array:
        ground = picture[0] > picture[2]
        one, other = picture[::-1] * 0.8, picture * np.float32(0.5) + np.float32(0.2)
        return np.where(ground, one, other).astype(np.float32)

    wanted = _pixels(change(FLOATS))
    without_slopes = ColorModel(np.zeros((3, 3, HEIGHT, WIDTH), np.float32), change(SMALL))
    enlarged = apply_colors(without_slopes, PHOTO)
    result = apply_colors(fit_colors(SMALL, change(SMALL)), PHOTO)
    assert _psnr(result, wanted) > 38
    assert _psnr(result, wanted) > _psnr(enlarged, wanted) + 4
    # The sky's grain, which the small picture does not have.
    grain, kept, lost = (_grain(one[:60]) for one in (wanted, result, enlarged))
    assert 0.9 * grain.std() < kept.std() < 1.1 * _grain(PHOTO[:60]).std()
    assert np.corrcoef(grain.ravel(), kept.ravel())[0, 1] > 0.9
    assert np.corrcoef(grain.ravel(), lost.ravel())[0, 1] < 0.5


def _grain(picture: Photo) -> Array:
    values = picture.astype(np.float64)
    grain: Array = values - ndimage.uniform_filter(values, (9, 9, 0))
    return grain


def test_flat_photo_takes_the_results_color() -> None:
    flat = np.full((3, 24, 32), 0.5, dtype=np.float32)
    result = apply_colors(fit_colors(flat, flat * 0.5), np.full((96, 128, 3), 128, np.uint8))
    assert np.unique(result).tolist() == [64]


@pytest.mark.parametrize("shape", [(37, 53), (240, 352), (16, 400)])
def test_strips_and_threads_change_nothing(shape: tuple[int, int]) -> None:
    model = fit_colors(SMALL, np.sqrt(SMALL))
    part = np.ascontiguousarray(np.resize(PHOTO, (*shape, 3)))
    whole = apply_colors(model, part, strip_pixels=part.size)
    strips = apply_colors(model, part, strip_pixels=5 * shape[1], threads=3)
    assert np.abs(strips.astype(int) - whole.astype(int)).max() <= 1
    assert (strips != whole).mean() < 0.001


def test_memory_does_not_grow_with_the_photo() -> None:
    """Beside the photo and its result, strips alone."""
    model = ColorModel(np.ones((3, 3, 32, 48), np.float32), np.zeros((3, 32, 48), np.float32))
    beside = []
    for height, width in ((1000, 1500), (2000, 3000)):
        photo = np.zeros((height, width, 3), np.uint8)
        tracemalloc.start()
        apply_colors(model, photo, threads=2, strip_pixels=60_000)
        beside.append(tracemalloc.get_traced_memory()[1] - photo.nbytes)
        tracemalloc.stop()
    assert beside[1] < 1.2 * beside[0] + 1e6
    assert max(beside) < 8e6


def test_where_the_guide_is_flat_slopes_are_the_priors() -> None:
    flat = np.full((3, 20, 20), 0.4, dtype=np.float32)
    values = np.full((1, 20, 20), 0.3, dtype=np.float32)
    prior = np.full((1, 3, 20, 20), 2.0, dtype=np.float32)
    slopes, offsets = fit_local_linear(values, flat, 3, 1e-3, prior)
    np.testing.assert_allclose(slopes, 2.0, rtol=1e-3)
    np.testing.assert_allclose((slopes * flat).sum(axis=1) + offsets, values, atol=1e-3)
    slopes, _ = fit_local_linear(values, flat, 3, 1e-3)
    np.testing.assert_allclose(slopes, 0.0, atol=1e-3)

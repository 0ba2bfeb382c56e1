"""Coarse probabilities become regions whose borders are those of the photo."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from photoreal.regions import LabelMap
from photoreal.regions.refine import SPECK_SHARE, merge_specks, refine_labels
from tests.shared import Array

HEIGHT, WIDTH = 96, 128
CELL = 8
"""Pixels of the photo that one value of the probabilities stands for."""


def _scene(slope: float = 0.4) -> tuple[Array, LabelMap]:
    """A photo of a blue region above a brown one, and where it is brown.

    The border is a slanted line, which no grid of cells follows.
    """
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    below = rows > 0.3 * HEIGHT + slope * columns
    colors = np.array([[0.4, 0.6, 0.9], [0.45, 0.35, 0.2]])
    photo = colors[below.astype(int)].transpose(2, 0, 1)
    photo += np.random.default_rng(0).normal(0, 0.03, photo.shape)
    return np.clip(photo, 0, 1).astype(np.float32), below.astype(np.uint8)


PHOTO, LABELS = _scene()


def _coarse(labels: LabelMap, classes: int) -> Array:
    """Probabilities of a segmenter that is right, each cell a mean over its pixels."""
    sure = (np.arange(classes).reshape(-1, 1, 1) == labels).astype(np.float32)
    height, width = labels.shape[0] // CELL, labels.shape[1] // CELL
    cells = sure.reshape(classes, height, CELL, width, CELL)
    means: Array = cells.mean(axis=(2, 4), dtype=np.float32)
    return means


def _upsampled(probabilities: Array) -> LabelMap:
    """The likeliest class of each pixel by plain bilinear interpolation."""
    planes = [
        np.asarray(Image.fromarray(plane).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
        for plane in probabilities
    ]
    likeliest: LabelMap = np.stack(planes).argmax(axis=0).astype(np.uint8)
    return likeliest


def _wrong(found: Array, expected: Array) -> float:
    return float(np.mean(found != expected))


def test_border_follows_the_photo_closer_than_plain_upsampling_does() -> None:
    shifted = np.roll(LABELS, 5, axis=0)  # the segmenter sees the border half a cell too low
    shifted[:5] = 0
    probabilities = _coarse(shifted, 2)
    given = PHOTO.copy(), probabilities.copy()
    refined, plain = refine_labels(probabilities, PHOTO), _upsampled(probabilities)
    assert refined.dtype == np.uint8
    assert refined.shape == (HEIGHT, WIDTH)
    assert _wrong(plain, LABELS) > 0.03
    assert _wrong(refined, LABELS) < _wrong(plain, LABELS) / 2
    np.testing.assert_array_equal(PHOTO, given[0])
    np.testing.assert_array_equal(probabilities, given[1])


def test_a_photo_without_edges_leaves_the_border_where_the_segmenter_saw_it() -> None:
    probabilities = _coarse(LABELS, 2)
    flat = np.full((3, HEIGHT, WIDTH), 0.5, dtype=np.float32)
    assert _wrong(refine_labels(probabilities, flat), _upsampled(probabilities)) < 0.02


@pytest.mark.parametrize("pixels", [2000, 10**9])
def test_the_size_that_the_filter_is_solved_at_changes_little(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoreal.regions.refine.GUIDE_PIXELS", pixels)
    assert _wrong(refine_labels(_coarse(LABELS, 2), PHOTO), LABELS) < 0.015


@pytest.mark.parametrize("classes", [3, 12, 256])
def test_labels_are_positions_of_the_classes(classes: int) -> None:
    photo, below = _scene(slope=0.0)
    labels = np.array([classes - 1, 1], dtype=np.uint8)[below]
    found = refine_labels(_coarse(labels, classes), photo)
    assert set(np.unique(found)) == {1, classes - 1}
    assert _wrong(found, labels) < 0.01


@pytest.mark.parametrize(("classes", "likely"), [(1, 1.0), (4, 1.0), (40, 0.03)])
def test_the_likeliest_class_wins_however_unlikely(classes: int, likely: float) -> None:
    rest = (1 - likely) / max(classes - 1, 1)
    probabilities = np.full((classes, 12, 16), rest, dtype=np.float32)
    probabilities[classes // 2] = likely
    assert (refine_labels(probabilities, PHOTO) == classes // 2).all()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (17, 300), (33, 41)])
@pytest.mark.parametrize("cells", [(1, 1), (2, 6)])
def test_any_size_will_do(height: int, width: int, cells: tuple[int, int]) -> None:
    random = np.random.default_rng(height)
    photo = random.random((3, height, width), dtype=np.float32)
    probabilities = random.random((5, *cells), dtype=np.float32)
    found = refine_labels(probabilities / probabilities.sum(axis=0), photo)
    assert found.shape == (height, width)
    assert found.max() < 5


def _halves() -> LabelMap:
    """100 x 100 pixels, label 3 on the left and label 8 on the right."""
    return np.repeat(np.array([[3, 8]], dtype=np.uint8), 50, axis=1).repeat(100, axis=0)


def test_specks_join_what_surrounds_them() -> None:
    labels = _halves()
    labels[10:14, 10:15] = 8  # 20 pixels of 10000, below 0.3 %
    labels[30, 80] = 5
    labels[99, 99] = 3
    labels[40:45, 48:52] = 1  # on the border, and shared by its neighbors
    found = merge_specks(labels)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, _halves())


def test_a_region_of_specks_alone_vanishes_and_one_patch_that_is_large_enough_stays() -> None:
    labels = _halves()
    labels[5::20, 5:45:20] = 7
    labels[60:66, 60:66] = 9
    assert 36 >= SPECK_SHARE * labels.size > 1
    found = merge_specks(labels)
    assert set(np.unique(found)) == {3, 8, 9}
    assert np.count_nonzero(found == 9) == 36


@pytest.mark.parametrize(
    ("row", "column", "label"),
    [pytest.param(14, 15, 1, id="touch at a corner"), pytest.param(10, 14, 2, id="side by side")],
)
def test_patches_that_touch_are_two(row: int, column: int, label: int) -> None:
    labels = np.zeros((100, 100), dtype=np.uint8)
    labels[10:14, 10:15] = 1  # 20 pixels; 40 would stay
    labels[row : row + 4, column : column + 5] = label
    assert not merge_specks(labels).any()


def test_maps_that_are_left_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 200, (60, 60)).astype(np.uint8)
    noise[::2] += 20  # nothing but specks
    assert merge_specks(noise, 0.05) is noise
    one = np.full((30, 40), 5, dtype=np.uint8)
    np.testing.assert_array_equal(merge_specks(one), one)
    np.testing.assert_array_equal(merge_specks(_halves(), 0.0), _halves())


def test_refined_labels_have_no_specks() -> None:
    probabilities, photo = _coarse(LABELS, 3), PHOTO.copy()
    probabilities[:, 1, 1] = (0, 0, 1)  # one cell of 64 pixels in 12288 is enough
    photo[:, 12:14, 12:14] = 1.0
    found = refine_labels(probabilities, photo)
    np.testing.assert_array_equal(found, merge_specks(found))


def test_what_floats_in_the_background_joins_it() -> None:
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[60:] = 2
    labels[30:60, 40:60] = 2  # a tower, which stands on the ground
    labels[10:30, 80:110] = 1  # a cloud that was taken for a tree
    labels[:24, :24] = 1  # a branch that reaches into the picture
    colors = np.array([[0.3, 0.5, 0.9], [0.1, 0.5, 0.2], [0.6, 0.4, 0.2]], dtype=np.float32)
    photo = colors[labels].transpose(2, 0, 1)
    plain = refine_labels(_coarse(labels, 3), photo)
    refined = refine_labels(_coarse(labels, 3), photo, background=0)
    changed = plain != refined
    assert (plain[changed] == 1).all()
    assert (refined[changed] == 0).all()
    assert changed[14:26, 84:106].all()
    assert not changed[:, :70].any()
    assert not changed[60:].any()

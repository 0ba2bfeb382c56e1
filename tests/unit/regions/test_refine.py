"""Coarse probabilities become regions whose borders are those of the photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from photoreal.regions import LabelMap
from photoreal.regions.refine import SPECK_SHARE, merge_specks, refine_labels

Floats = npt.NDArray[np.float32]

HEIGHT, WIDTH = 96, 128
CELL = 8
"""Pixels of the photo that one value of the probabilities stands for."""


def _scene(slope: float = 0.4, noise: float = 0.03) -> tuple[Floats, LabelMap]:
    """A photo of a blue region above a brown one, and where it is brown.

    The border is a slanted line, which no grid of cells follows.
    """
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    below = rows > 0.3 * HEIGHT + slope * columns
    colors = np.array([[0.4, 0.6, 0.9], [0.45, 0.35, 0.2]])
    photo = colors[below.astype(int)].transpose(2, 0, 1)
    photo += np.random.default_rng(0).normal(0, noise, photo.shape)
    return np.clip(photo, 0, 1).astype(np.float32), below.astype(np.uint8)


def _coarse(labels: LabelMap, classes: int) -> Floats:
    """Probabilities of a segmenter that is right, each cell a mean over its pixels."""
    sure = (np.arange(classes).reshape(-1, 1, 1) == labels).astype(np.float32)
    height, width = labels.shape[0] // CELL, labels.shape[1] // CELL
    cells = sure.reshape(classes, height, CELL, width, CELL)
    means: Floats = cells.mean(axis=(2, 4), dtype=np.float32)
    return means


def _upsampled(probabilities: Floats) -> LabelMap:
    """The likeliest class of each pixel by plain bilinear interpolation."""
    planes = [
        Image.fromarray(plane).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        for plane in probabilities
    ]
    likeliest: LabelMap = np.stack([np.asarray(plane) for plane in planes]).argmax(axis=0)
    return likeliest.astype(np.uint8)


def _wrong(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    return float(np.mean(found != expected))


def test_border_follows_the_photo_closer_than_plain_upsampling_does() -> None:
    photo, labels = _scene()
    shifted = np.roll(labels, 5, axis=0)  # the segmenter sees the border half a cell too low
    shifted[:5] = 0
    probabilities = _coarse(shifted, 2)
    refined, plain = refine_labels(probabilities, photo), _upsampled(probabilities)
    assert refined.dtype == np.uint8
    assert refined.shape == (HEIGHT, WIDTH)
    assert _wrong(plain, labels) > 0.03
    assert _wrong(refined, labels) < _wrong(plain, labels) / 2


def test_a_photo_without_edges_leaves_the_border_where_the_segmenter_saw_it() -> None:
    _, labels = _scene()
    probabilities = _coarse(labels, 2)
    flat = np.full((3, HEIGHT, WIDTH), 0.5, dtype=np.float32)
    refined, plain = refine_labels(probabilities, flat), _upsampled(probabilities)
    assert _wrong(refined, plain) < 0.02


@pytest.mark.parametrize("pixels", [2000, 10**9])
def test_the_size_that_the_filter_is_solved_at_changes_little(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, labels = _scene()
    monkeypatch.setattr("photoreal.regions.refine.GUIDE_PIXELS", pixels)
    assert _wrong(refine_labels(_coarse(labels, 2), photo), labels) < 0.015


@pytest.mark.parametrize("classes", [3, 12, 256])
def test_labels_are_positions_of_the_classes(classes: int) -> None:
    photo, below = _scene(slope=0.0)
    chosen = np.array([classes - 1, 1], dtype=np.uint8)
    labels = chosen[below]
    found = refine_labels(_coarse(labels, classes), photo)
    assert set(np.unique(found)) == {1, classes - 1}
    assert _wrong(found, labels) < 0.01


@pytest.mark.parametrize("classes", [1, 4])
def test_one_class_covers_the_photo(classes: int) -> None:
    photo, _ = _scene()
    probabilities = np.zeros((classes, 12, 16), dtype=np.float32)
    probabilities[-1] = 1
    assert (refine_labels(probabilities, photo) == classes - 1).all()


def test_where_no_class_is_likely_the_likeliest_wins() -> None:
    photo, _ = _scene()
    probabilities = np.full((40, 12, 16), 0.97 / 39, dtype=np.float32)
    probabilities[17] = 0.03
    assert (refine_labels(probabilities, photo) == 17).all()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (17, 300), (33, 41)])
@pytest.mark.parametrize("cells", [(1, 1), (2, 6)])
def test_any_size_will_do(height: int, width: int, cells: tuple[int, int]) -> None:
    random = np.random.default_rng(height)
    photo = random.random((3, height, width), dtype=np.float32)
    probabilities = random.random((5, *cells), dtype=np.float32)
    probabilities /= probabilities.sum(axis=0)
    found = refine_labels(probabilities, photo)
    assert found.shape == (height, width)
    assert found.max() < 5


def test_inputs_stay_as_they_are() -> None:
    photo, labels = _scene()
    probabilities = _coarse(labels, 2)
    before = photo.copy(), probabilities.copy()
    refine_labels(probabilities, photo)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(probabilities, before[1])


def _halves(size: int = 100) -> LabelMap:
    """Label 3 on the left and label 8 on the right."""
    labels = np.full((size, size), 3, dtype=np.uint8)
    labels[:, size // 2 :] = 8
    return labels


def test_specks_join_what_surrounds_them() -> None:
    clean = _halves()
    labels = clean.copy()
    labels[10:14, 10:15] = 8  # 20 pixels of 10000, below 0.3 %
    labels[30, 80] = 5
    labels[99, 99] = 3
    found = merge_specks(labels)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, clean)


def test_a_speck_on_a_border_is_shared_by_its_neighbors() -> None:
    clean = _halves()
    labels = clean.copy()
    labels[40:45, 48:52] = 1
    np.testing.assert_array_equal(merge_specks(labels), clean)


def test_a_region_of_specks_alone_vanishes_and_one_patch_that_is_large_enough_stays() -> None:
    labels = _halves()
    labels[5::20, 5:45:20] = 7
    labels[60:66, 60:66] = 9
    assert 36 >= SPECK_SHARE * labels.size > 1
    found = merge_specks(labels)
    assert set(np.unique(found)) == {3, 8, 9}
    assert np.count_nonzero(found == 9) == 36


def test_patches_that_touch_at_a_corner_are_two() -> None:
    labels = np.zeros((100, 100), dtype=np.uint8)
    labels[10:14, 10:15] = labels[14:18, 15:20] = 1  # 40 pixels, 20 a patch
    assert not merge_specks(labels).any()


def test_specks_beside_each_other_both_go() -> None:
    labels = np.zeros((100, 100), dtype=np.uint8)
    labels[10:14, 10:14] = 1
    labels[10:14, 14:18] = 2
    assert not merge_specks(labels).any()


def test_a_map_of_nothing_but_specks_is_left_alone() -> None:
    labels = np.random.default_rng(0).integers(0, 200, (60, 60)).astype(np.uint8)
    labels[::2] += 20
    assert merge_specks(labels, 0.05) is labels


def test_one_region_is_left_alone() -> None:
    labels = np.full((30, 40), 5, dtype=np.uint8)
    np.testing.assert_array_equal(merge_specks(labels), labels)
    np.testing.assert_array_equal(merge_specks(_halves(), 0.0), _halves())


def test_refined_labels_have_no_specks() -> None:
    photo, labels = _scene()
    probabilities = _coarse(labels, 3)
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

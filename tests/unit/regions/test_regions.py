"""Masks and the two rules that match their regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photoreal import regions
from photoreal.errors import InvalidMask
from photoreal.regions import MASK_COLORS, MAX_REGIONS, LabelMap, Pair
from tests.shared import photo, refused


def _labels(**counts: int) -> LabelMap:
    """A label map with so many pixels of each label: `_labels(_3=20)` has twenty of label 3."""
    values = [np.full(count, int(name[1:]), dtype=np.uint8) for name, count in counts.items()]
    return np.concatenate(values)[None, :]


def test_every_pixel_takes_its_nearest_color() -> None:
    names = "blue, green, black, white, red, yellow, grey, light blue, purple"
    assert ", ".join(MASK_COLORS) == names
    palette = np.array(list(MASK_COLORS.values()), dtype=np.uint8)
    found = regions.labels_from_colors(palette.reshape(3, 3, 3))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.arange(9).reshape(3, 3))
    mask = photo(17, 23)
    distance = ((mask[:, :, None, :] - palette.astype(float)) ** 2).sum(axis=3)
    np.testing.assert_array_equal(regions.labels_from_colors(mask), distance.argmin(axis=2))


def test_a_mask_may_have_so_many_labels_and_no_more() -> None:
    regions.check_label_count(np.arange(MAX_REGIONS, dtype=np.uint8).reshape(8, 8))
    with refused(InvalidMask, f"{MAX_REGIONS + 1} different labels.*{MAX_REGIONS}"):
        regions.check_label_count(np.arange(MAX_REGIONS + 1, dtype=np.uint8).reshape(1, -1))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_resize_takes_the_label_under_each_new_pixel_s_middle(
    height: int, width: int, tall: int, wide: int
) -> None:
    labels = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    pillow = Image.fromarray(labels).resize((wide, tall), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(regions.resize_labels(labels, tall, wide), np.asarray(pillow))


@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [
        (11, 11, True),
        (10, 500, False),
        (500, 10, False),
        (11, 1099, True),
        (11, 1100, False),
        (1099, 11, True),
        (1100, 11, False),
        (0, 50, False),
    ],
)
def test_published_rule_wants_enough_pixels_on_both_sides(
    ours: int, theirs: int, used: bool
) -> None:
    content, style = _labels(_0=5, _4=ours), _labels(_0=5, _4=theirs)
    assert regions.match_published(content, style) == ([Pair(4, 4)] if used else [])


def test_published_rule_pairs_each_label_with_itself() -> None:
    content, style = _labels(_0=20, _7=30, _255=40, _9=50), _labels(_255=20, _0=30, _8=40, _7=50)
    expected = [Pair(0, 0), Pair(7, 7), Pair(255, 255)]
    assert regions.match_published(content, style) == expected


def test_nearest_rule_prefers_the_class_then_its_kin_then_the_whole_photo() -> None:
    content = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    style = np.repeat(np.repeat(np.array([[1, 5], [6, 7]], dtype=np.uint8), 16, 0), 16, 1)
    kinship = {1: (5,), 2: (9, 6, 5), 3: (9, 8)}
    expected = [Pair(1, 1), Pair(2, 6), Pair(3, None), Pair(4, None)]
    assert regions.match_nearest(content, style, kinship) == expected
    assert regions.match_nearest(content, style)[1] == Pair(2, None)


@pytest.mark.parametrize(
    ("region", "used"),
    [
        pytest.param(np.s_[8:16, 8:28], True, id="half a percent"),
        pytest.param(np.s_[11:14, 8:61], False, id="one pixel less"),
        pytest.param(np.s_[:, :1], False, id="vanishes at depth"),
        pytest.param(np.s_[:, 4:5], True, id="seen at depth"),
        pytest.param(np.s_[:0], False, id="not there"),
    ],
)
def test_nearest_rule_wants_a_style_region_with_dependable_statistics(
    region: tuple[slice, slice], used: bool
) -> None:
    content, style = np.full((20, 20), 3, np.uint8), np.zeros((160, 200), np.uint8)
    style[region] = 3
    assert regions.match_nearest(content, style, {3: (0,)}) == [Pair(3, 3 if used else 0)]


def test_nearest_rule_styles_even_the_smallest_content_region() -> None:
    content = np.zeros((64, 64), dtype=np.uint8)
    content[5, 5] = 9
    style = np.zeros((3, 4), dtype=np.uint8)  # smaller than one deep pixel
    assert regions.match_nearest(content, style) == [Pair(0, 0), Pair(9, None)]

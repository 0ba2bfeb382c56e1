"""Masks and the two rules that match their regions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photoreal import regions
from photoreal.errors import InvalidMask
from photoreal.regions import MASK_COLORS, MAX_REGIONS, LabelMap, Pair


def _labels(**counts: int) -> LabelMap:
    """A label map with so many pixels of each label: `_labels(_3=20)` has twenty of label 3."""
    values = [np.full(count, int(name[1:]), dtype=np.uint8) for name, count in counts.items()]
    return np.concatenate(values)[None, :]


def test_the_nine_colors_have_the_published_labels() -> None:
    palette = np.array(list(MASK_COLORS.values()), dtype=np.uint8).reshape(3, 3, 3)
    found = regions.labels_from_colors(palette)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.arange(9).reshape(3, 3))
    names = "blue, green, black, white, red, yellow, grey, light blue, purple"
    assert ", ".join(MASK_COLORS) == names


@pytest.mark.parametrize(
    ("color", "nearest"),
    [
        ((10, 5, 240), "blue"),
        ((250, 240, 20), "yellow"),
        ((60, 60, 60), "black"),
        ((70, 70, 70), "grey"),
        ((200, 200, 200), "white"),
        ((255, 100, 255), "purple"),
        ((0, 130, 10), "green"),
    ],
)
def test_smeared_colors_count_as_the_nearest(color: tuple[int, int, int], nearest: str) -> None:
    mask = np.full((2, 3, 3), color, dtype=np.uint8)
    expected = np.full((2, 3), list(MASK_COLORS).index(nearest))
    np.testing.assert_array_equal(regions.labels_from_colors(mask), expected)


def test_every_pixel_takes_its_nearest_color(photo: Callable[..., npt.NDArray[np.uint8]]) -> None:
    mask = photo(17, 23)
    palette = np.array(list(MASK_COLORS.values()), dtype=float)
    distance = ((mask[:, :, None, :] - palette) ** 2).sum(axis=3)
    np.testing.assert_array_equal(regions.labels_from_colors(mask), distance.argmin(axis=2))


def test_a_mask_may_have_so_many_labels_and_no_more(
    check_sentence: Callable[[object], None],
) -> None:
    regions.check_label_count(np.arange(MAX_REGIONS, dtype=np.uint8).reshape(8, 8))
    with pytest.raises(
        InvalidMask, match=f"{MAX_REGIONS + 1} different labels.*{MAX_REGIONS}"
    ) as no:
        regions.check_label_count(np.arange(MAX_REGIONS + 1, dtype=np.uint8).reshape(1, -1))
    check_sentence(no.value)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_resize_takes_the_label_under_each_new_pixel_s_middle(
    height: int, width: int, tall: int, wide: int
) -> None:
    labels = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    found = regions.resize_labels(labels, tall, wide)
    pillow = Image.fromarray(labels).resize((wide, tall), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(pillow))
    rows = (2 * np.arange(tall) + 1) * height // (2 * tall)
    columns = (2 * np.arange(wide) + 1) * width // (2 * wide)
    # Where a middle falls on an edge between pixels, rounding may go either way.
    inside = np.ix_(
        (2 * np.arange(tall) + 1) * height % (2 * tall) != 0,
        (2 * np.arange(wide) + 1) * width % (2 * wide) != 0,
    )
    np.testing.assert_array_equal(found[inside], labels[np.ix_(rows, columns)][inside])


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
    assert regions.match_nearest(content, style, kinship) == [
        Pair(1, 1),
        Pair(2, 6),
        Pair(3, None),
        Pair(4, None),
    ]
    assert regions.match_nearest(content, style)[1] == Pair(2, None)


def _with_block(height: int, width: int, *, row: int = 8, column: int = 8) -> LabelMap:
    style = np.zeros((160, 200), dtype=np.uint8)
    style[row : row + height, column : column + width] = 3
    return style


@pytest.mark.parametrize(
    ("style", "used"),
    [
        pytest.param(_with_block(8, 20), True, id="half a percent"),
        pytest.param(_with_block(3, 53, row=11), False, id="one pixel less"),
        pytest.param(_with_block(160, 1, row=0, column=0), False, id="vanishes at depth"),
        pytest.param(_with_block(160, 1, row=0, column=4), True, id="seen at depth"),
        pytest.param(_with_block(0, 0), False, id="not there"),
    ],
)
def test_nearest_rule_wants_a_style_region_with_dependable_statistics(
    style: LabelMap, used: bool
) -> None:
    content = np.full((20, 20), 3, dtype=np.uint8)
    assert regions.match_nearest(content, style, {3: (0,)}) == [Pair(3, 3 if used else 0)]


def test_nearest_rule_styles_even_the_smallest_content_region() -> None:
    content = np.zeros((64, 64), dtype=np.uint8)
    content[5, 5] = 9
    style = np.zeros((3, 4), dtype=np.uint8)  # smaller than one deep pixel
    assert regions.match_nearest(content, style) == [Pair(0, 0), Pair(9, None)]

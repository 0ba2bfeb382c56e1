"""Results have the content photo's own pixels, or as many as `output_size` says."""

from __future__ import annotations

import numpy as np
import pytest

from photoreal.preprocess import Limits
from tests.shared import photo

from .conftest import CONTENT, Ask, rows

BIG = photo(96, 160)


def test_result_has_the_photos_pixels_and_the_transfers_colors(ask: Ask) -> None:
    ask.change = lambda content: content * np.float32(0.5)
    mask = rows(96, 160, 1, 1, 1, 2)
    answer = ask(
        content=BIG,
        content_mask=mask,
        style_mask=rows(20, 16, 1, 1, 1, 2),
        size=32,
        mask_edges=False,
        color_strength=0.0,
        wct2_strength=1.0,
    )
    difference = np.abs(answer.picture - BIG / 2)[:32]  # far from the border of the regions
    assert difference.mean() < 1
    assert difference.max() < 8
    assert ask.called["content"].shape == (3, 32, 53)
    assert ask.called["styles"][0].image.shape == (3, 40, 32)
    assert answer.labels[0].shape == (96, 160)
    assert (answer.labels[0] != mask).mean() < 0.02
    stages = ["decode", "segment", "colors", "transfer", "upsample", "encode", "total"]
    assert list(answer.report["seconds"]) == stages


@pytest.mark.parametrize(
    ("method", "output_size", "expected"),
    [
        *((m, size, (size, 5 * size // 3)) for m in ("wct2", "color") for size in (48, 96)),
        *((method, size, (96, 160)) for method in ("wct2", "color") for size in (500, None)),
        ("published", None, (32, 53)),
        ("published", 20, (20, 33)),
    ],
)
def test_output_size_scales_the_result_down_and_never_up(
    method: str, output_size: int | None, expected: tuple[int, int], ask: Ask
) -> None:
    answer = ask(content=BIG, size=32, output_size=output_size, method=method)
    assert answer.picture.shape == (*expected, 3)
    assert answer.labels[0].shape == (96, 160)
    report = answer.report
    assert (report["height"], report["width"]) == expected
    assert (report["working_height"], report["working_width"]) == (32, 53)


@pytest.mark.parametrize(("method", "side"), [("wct2", 320), ("published", 512)])
def test_working_size_unless_given(method: str, side: int, ask: Ask) -> None:
    big = np.zeros((600, 640, 3), dtype=np.uint8)
    given = {"content": big, "style": big, "size": None, "method": method, "regions_only": True}
    assert ask(**given).report["working_height"] == side
    ask.limits = Limits(max_size=64)
    assert ask(**given).report["working_height"] == 64


def test_small_photo_is_not_enlarged_for_the_transfer(ask: Ask) -> None:
    answer = ask(size=64, color_strength=0.0)
    assert ask.called["content"].shape == (3, *CONTENT.shape[:2])
    np.testing.assert_array_equal(answer.picture, CONTENT)


def test_photo_below_the_smallest_working_size_keeps_its_own(ask: Ask) -> None:
    assert ask(content=photo(8, 9)).picture.shape == (8, 9, 3)
    assert ask.called["content"].shape == (3, 16, 18)

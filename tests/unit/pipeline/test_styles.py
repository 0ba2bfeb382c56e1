"""Several styles, the regions of styles that are known, and label maps of a video."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from photoreal.color.tones import POINTS
from photoreal.pipeline import looks
from photoreal.pipeline.regions import soft as soft_regions
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.request import Shot
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.regions import Pair
from tests.shared import Array

from .conftest import GRAY, STYLE, Ask, rows

CLASSES = ("sky", "tree")
TWO_STYLES: dict[str, Any] = {
    "style": [STYLE, STYLE[::-1].copy()],
    "content_mask": rows(16, 24, 3, 5),
    "style_mask": [rows(20, 16, 3, 5), rows(20, 16, 3, 7)],
    "weights": [1.0, 3.0],
    "match": "published",
}


@pytest.mark.parametrize("method", ["published", "wct2"])
def test_each_style_is_matched_independently(method: str, ask: Ask) -> None:
    answer = ask(**TWO_STYLES, method=method)
    styles = ask.called["styles"]
    assert [style.weight for style in styles] == [0.25, 0.75]
    if method == "published":
        assert [style.pairs for style in styles] == [[Pair(3, 3), Pair(5, 5)], [Pair(3, 3)]]
    else:
        assert [style.coupling.tolist() for style in styles] == [
            [[1, 0], [0, 1]],
            [[1, 0], [0, 0]],
        ]
    for found, mask in zip(answer.labels[1:], TWO_STYLES["style_mask"], strict=True):
        np.testing.assert_array_equal(found, mask)
    report = answer.report
    assert [(pair["content"], pair["style"]) for pair in report["pairs"]] == [
        (3, [3, 3]),
        (5, [5, None]),
    ]
    assert report["unstyled"] == []
    assert len(report["style_regions"]) == 2


def test_weights_are_equal_unless_given(ask: Ask) -> None:
    ask(style=[STYLE] * 4)
    assert [style.weight for style in ask.called["styles"]] == [0.25] * 4


@pytest.mark.slow
def test_colors_lie_between_those_of_the_styles(ask: Ask) -> None:
    dark = np.full((64, 64, 3), (60, 40, 30), dtype=np.uint8)
    given = {"style": [STYLE, dark], "method": "color"}
    means = [ask(**given, weights=shares).picture.mean() for shares in ([1, 0], [1, 1], [0, 1])]
    assert means[0] > means[1] > means[2]
    assert means[1] == pytest.approx((means[0] + means[2]) / 2, abs=5)


@pytest.mark.parametrize("method", ["published", "wct2"])
def test_the_regions_of_a_style_are_found_once(method: str, ask: Ask) -> None:
    ask.known, ask.classes = KnownRegions(), CLASSES
    both = rows(3, 2, 0, 1)
    ask.labels = [both, both, np.zeros((2, 3), dtype=np.uint8)]
    for _ in range(2):
        ask(**GRAY, method=method)
    assert len(ask.segmented) == 3
    name = "labels" if method == "published" else "regions"
    first, second = (getattr(called["styles"][0], name) for called in ask.transfers)
    np.testing.assert_array_equal(first, second)
    colors = 3 * POINTS * np.dtype(np.float64).itemsize * len(first)
    assert ask.known.bytes == (first.size if method == "published" else 4 * first.size + colors)


def test_masks_and_colors_of_a_style_are_measured_once(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask.known = KnownRegions()
    measured: list[str] = []

    def counted(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def count(*given: Any, **named: Any) -> Any:
            measured.append(name)
            return function(*given, **named)

        monkeypatch.setattr(module, name, count)

    counted(soft_regions, "mask_regions")
    counted(looks, "region_colors")
    masks = {"content_mask": rows(16, 24, 0, 1), "style_mask": rows(20, 16, 0, 1)}
    first, second = (ask(**masks, method="color") for _ in range(2))
    assert measured == ["mask_regions", "mask_regions", "region_colors", "mask_regions"]
    np.testing.assert_array_equal(first.picture, second.picture)
    ask(**masks | {"style_mask": rows(20, 16, 1, 0)}, method="color")
    assert measured[4:] == ["mask_regions", "mask_regions", "region_colors"]


def test_known_regions_are_bounded() -> None:
    known = KnownRegions(limit=100)
    photos = [np.full((3, 5, 10), value, dtype=np.float32) for value in (0.1, 0.2, 0.3)]
    found: list[float] = []

    def find(photo: Array) -> Array:
        found.append(float(photo[0, 0, 0]))
        return np.zeros((5, 10), dtype=np.uint8)

    for i in (0, 1, 0, 2, 0, 1):
        known.get(photos[i], partial(find, photos[i]), "labels")
        assert known.bytes <= 100
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.2])


def test_the_label_maps_of_a_shot_are_steadied(published: Ask) -> None:
    """A frame in which the segmenter sees nothing but sky keeps its trees for a while."""
    both, sky, style = rows(2, 3, 0, 1), np.zeros((2, 3), dtype=np.uint8), rows(3, 2, 0, 1)
    published.sequences, published.classes = SteadyRegions(), CLASSES
    published.labels = [both, style, sky, style, sky, style]
    for sequence in (b"a", b"a", b"b"):
        published(**GRAY, sequence=sequence, steady=0.8)
    assert [called["shot"] for called in published.transfers] == [
        Shot(sequence, 0.8) for sequence in (b"a", b"a", b"b")
    ]
    seen = [set(np.unique(called["content_labels"])) for called in published.transfers]
    assert seen == [{1, 2}, {1, 2}, {1}]

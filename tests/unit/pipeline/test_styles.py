"""Requests with several styles, and frames of a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from photoreal.contract import MAX_STYLES
from photoreal.errors import InvalidRequest
from photoreal.pipeline.known_regions import KnownRegions
from photoreal.pipeline.request import Shot, StylizeRequest
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import decode_mask
from photoreal.regions import Pair

from .conftest import LIMITS, Array, CheckSentence, Encode, FakeModels, models_of, report_of, rows

CLASSES = ("sky", "tree")


def test_each_style_is_matched_by_itself(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, style: Array, encoded: Encode
) -> None:
    masks = [rows(20, 16, 3, 5), rows(20, 16, 3, 7)]
    request = published_for(
        style=[encoded(style), encoded(style[::-1].copy())],
        weights=[1.0, 3.0],
        content_mask=rows(16, 24, 3, 5),
        style_mask=[encoded(mask) for mask in masks],
    )
    response = stylize(request, models_of(fake), LIMITS)
    styles = fake.called["styles"]
    assert [part.weight for part in styles] == [0.25, 0.75]
    assert [part.pairs for part in styles] == [[Pair(3, 3), Pair(5, 5)], [Pair(3, 3)]]
    for part, mask, data in zip(styles, masks, response.style_labels, strict=True):
        assert set(np.unique(part.labels)) == set(np.unique(mask))
        np.testing.assert_array_equal(decode_mask(data, "labels", LIMITS).labels, mask)
    report = report_of(response)
    assert [(pair["content"], pair["style"]) for pair in report["pairs"]] == [
        (3, [3, 3]),
        (5, [5, None]),
    ]
    assert report["unstyled"] == []


def test_weights_are_equal_unless_given(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, style: Array, encoded: Encode
) -> None:
    stylize(published_for(style=[encoded(style)] * 4), models_of(fake), LIMITS)
    assert [part.weight for part in fake.called["styles"]] == [0.25] * 4


@pytest.mark.parametrize(
    ("count", "change", "words"),
    [
        (2, {"weights": [1.0]}, "1 weights for 2 styles"),
        (1, {"weights": [0.5, 0.5]}, "2 weights for 1 styles"),
        (2, {"weights": [1.0, -0.5]}, "The weights are 1, -0.5; expected numbers from 0"),
        (2, {"weights": [1.0, float("nan")]}, "expected numbers from 0"),
        (2, {"weights": [0.0, 0.0]}, "all 0"),
        (MAX_STYLES + 1, {}, "There are 5 styles; expected 1 to 4"),
        (0, {}, "There are 0 styles"),
        (2, {"content_mask": rows(16, 24, 1), "style_mask": [rows(20, 16, 1)]}, "1 style masks"),
        (1, {"sequence": b""}, "0 bytes long; expected 1 to 64"),
        (1, {"sequence": b"x" * 65}, "65 bytes long"),
        (1, {"sequence": b"x", "steady": 1.0}, "steady is 1; expected a number from 0 to 0.99"),
        (1, {"steady": 0.5}, "steady is given without a sequence"),
    ],
)
def test_refused(
    count: int,
    change: dict[str, Any],
    words: str,
    published_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    style: Array,
    encoded: Encode,
    check_sentence: CheckSentence,
) -> None:
    masks = change.get("style_mask")
    if masks is not None:
        change = change | {"style_mask": [encoded(mask) for mask in masks]}
    with pytest.raises(InvalidRequest, match=words) as caught:
        stylize(published_for(style=[encoded(style)] * count, **change), models_of(fake), LIMITS)
    check_sentence(caught.value)
    assert not fake.transfers


def test_the_regions_of_a_shot_are_steadied(
    published_for: Callable[..., StylizeRequest], gray: dict[str, bytes]
) -> None:
    """A frame in which the segmenter sees nothing but sky keeps its trees for a while."""
    both, sky = rows(2, 3, 0, 1), np.zeros((2, 3), dtype=np.uint8)
    style = rows(3, 2, 0, 1)
    sequences = SteadyRegions()
    seen: list[set[int]] = []
    for sequence in (b"a", b"a", b"b"):
        fake = FakeModels(labels=[both if not seen else sky, style])
        request = published_for(**gray, sequence=sequence, steady=0.8)
        # The fake is sure of as many classes as it is given labels.
        models = replace(models_of(fake, CLASSES), segment=_of_two(fake.segment))
        stylize(request, models, LIMITS, sequences)
        assert fake.called["shot"] == Shot(sequence, 0.8)
        seen.append(set(np.unique(fake.called["content_labels"]).tolist()))
    assert seen == [{1, 2}, {1, 2}, {1}]


def _of_two(segment: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(image: Any) -> Any:
        found = segment(image)
        return np.concatenate([found, np.zeros_like(found[: 2 - len(found)])])

    return run


def test_the_regions_of_a_style_are_found_once(
    published_for: Callable[..., StylizeRequest], gray: dict[str, bytes]
) -> None:
    sky, both = np.zeros((2, 3), dtype=np.uint8), rows(3, 2, 0, 1)
    known = KnownRegions()
    fake = FakeModels(labels=[both, both, sky])
    models = replace(models_of(fake, CLASSES), segment=_of_two(fake.segment))
    for _ in range(2):
        stylize(published_for(**gray), models, LIMITS, None, known)
    assert len(fake.segmented) == 3
    first, second = (called["style_labels"] for called in fake.transfers)
    np.testing.assert_array_equal(first, second)
    assert known.bytes == first.nbytes


def test_known_regions_are_bounded() -> None:
    known = KnownRegions(limit=100)
    photos = [np.full((3, 5, 10), value, dtype=np.float32) for value in (0.1, 0.2, 0.3)]
    found: list[float] = []

    def find(photo: Array) -> Array:
        found.append(float(photo[0, 0, 0]))
        return np.zeros((5, 10), dtype=np.uint8)

    for i in (0, 1, 0, 2, 0, 1):
        known.get(photos[i], partial(find, photos[i]))
        assert known.bytes <= 100
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.2])

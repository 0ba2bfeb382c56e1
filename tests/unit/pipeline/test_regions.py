"""Regions of the method `published`: label maps, and how soft their borders are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from photoreal.contract import DEFAULT_BLEND
from photoreal.errors import InvalidOption, NumericalError
from photoreal.pipeline import soft_regions
from photoreal.pipeline.request import Models, StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.regions import Pair
from photoreal.regions.classes import ADE20K, GROUPS

from .conftest import (
    LIMITS,
    FakeModels,
    models_of,
    report_of,
    rows,
)


def test_segmenter_s_classes_are_grouped_and_matched_by_kin(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    classes = ("tree", "sky", "lake", "car")
    fake.labels = [rows(16, 24, 1, 0, 2, 3), rows(20, 16, 1, 0)]
    response = stylize(published_for(**gray), models_of(fake, classes), LIMITS)
    assert [image.shape for image in fake.segmented] == [(3, 16, 24), (3, 20, 16)]
    sky, vegetation, vehicle, water = (
        GROUPS.index(name) for name in ("sky", "vegetation", "vehicle", "water")
    )
    assert fake.called["pairs"] == [
        Pair(sky, sky),
        Pair(vegetation, vegetation),
        Pair(vehicle, None),
        Pair(water, sky),
    ]
    report = report_of(response)
    assert report["regions"] == "segmenter"
    assert report["match"] == "nearest"
    assert report["pairs"] == [
        {"content": "sky", "style": "sky", "share": 0.25},
        {"content": "vegetation", "style": "vegetation", "share": 0.25},
        {"content": "vehicle", "style": "whole photo", "share": 0.25},
        {"content": "water", "style": "sky", "share": 0.25},
    ]


def test_classes_of_one_group_add_up(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    """Neither grass nor tree is likelier than the sky, but vegetation is."""
    planes = np.array([0.3, 0.3, 0.4], dtype=np.float32).reshape(3, 1, 1)
    even = np.broadcast_to(planes, (3, 2, 3))
    models = Models(fake.transfer, lambda image: even, ("grass", "tree", "sky"))
    report = report_of(stylize(published_for(**gray), models, LIMITS))
    assert [pair["content"] for pair in report["pairs"]] == ["vegetation"]


def test_large_photos_are_segmented_at_a_smaller_size(
    published_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    gray: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soft_regions, "SEGMENT_PIXELS", 600)
    fake.labels = [rows(2, 3, 0, 1), rows(3, 2, 1, 1)]
    stylize(published_for(**gray, size=48), models_of(fake, ("sky", "tree")), LIMITS)
    assert [image.shape for image in fake.segmented] == [(3, 20, 30), (3, 27, 22)]
    sky, vegetation = GROUPS.index("sky"), GROUPS.index("vegetation")
    np.testing.assert_array_equal(fake.called["content_labels"], rows(48, 72, sky, vegetation))
    assert (fake.called["style_labels"] == np.full((60, 48), vegetation)).all()


def test_segmenter_may_follow_the_published_rule(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    fake.labels = [rows(16, 24, 1, 0), rows(20, 16, 1, 1)]
    models = models_of(fake, ("tree", "sky"))
    report = report_of(stylize(published_for(**gray, match="published"), models, LIMITS))
    assert [(p["content"], p["style"]) for p in report["pairs"]] == [("sky", "sky")]
    assert report["unstyled"] == ["vegetation"]


def test_segment_false_leaves_the_segmenter_alone(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    response = stylize(published_for(segment=False), models_of(fake, ADE20K), LIMITS)
    assert not fake.segmented
    assert report_of(response)["regions"] == "whole"


@pytest.mark.parametrize(
    ("asked", "blend"),
    [
        ({"match": "published"}, DEFAULT_BLEND["published"]),
        ({"match": "nearest"}, DEFAULT_BLEND["nearest"]),
        ({"match": "published", "blend": 5}, 5),
        ({"match": "nearest", "blend": 0}, 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("source", ["masks", "segmenter"])
def test_borders_are_as_soft_as_the_rule_or_the_caller_says(
    source: str,
    asked: dict[str, Any],
    blend: int,
    published_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    gray: dict[str, bytes],
) -> None:
    fake.labels = [rows(16, 24, 0, 1), rows(20, 16, 0, 1)]
    masks = {}
    if source == "masks":
        masks = {"content_mask": fake.labels[0], "style_mask": fake.labels[1]}
    stylize(published_for(**gray, **masks, **asked), models_of(fake, ("sky", "tree")), LIMITS)
    assert fake.called["blend"] == blend


def test_report_lists_the_regions_of_both_photos(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    fake.labels = [rows(16, 24, 1, 0, 2, 2), rows(20, 16, 1, 0)]
    response = stylize(published_for(**gray), models_of(fake, ("tree", "sky", "lake")), LIMITS)
    report = report_of(response)
    sky, vegetation, water = (GROUPS.index(name) for name in ("sky", "vegetation", "water"))
    assert report["content_regions"] == [
        {"label": sky, "name": "sky", "share": 0.25},
        {"label": vegetation, "name": "vegetation", "share": 0.25},
        {"label": water, "name": "water", "share": 0.5},
    ]
    assert report["style_regions"] == [
        {"label": sky, "name": "sky", "share": 0.5},
        {"label": vegetation, "name": "vegetation", "share": 0.5},
    ]


@pytest.mark.parametrize("source", ["masks", "segmenter", "whole"])
def test_given_pairs_take_the_place_of_a_rule(
    published_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    gray: dict[str, bytes],
    source: str,
) -> None:
    given: dict[str, Any] = {"segment": source == "segmenter"}
    fake.labels = [rows(16, 24, 0, 1), rows(20, 16, 0, 1)]  # vegetation (2) and sky (1)
    if source == "masks":
        given = {"content_mask": rows(16, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}
    pairs = [[0, -1]] if source == "whole" else [[1, 2], [2, -1]]
    request = published_for(**gray, **given, pairs=pairs)
    report = report_of(stylize(request, models_of(fake, ("tree", "sky")), LIMITS))
    assert report["match"] == "given"
    expected = [Pair(ours, None if theirs < 0 else theirs) for ours, theirs in pairs]
    assert fake.called["pairs"] == expected


def test_region_without_a_given_partner_stays_as_it_is(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    masks = {"content_mask": rows(16, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}
    report = report_of(
        stylize(published_for(**gray, **masks, pairs=[[2, 1]]), models_of(fake), LIMITS)
    )
    assert fake.called["pairs"] == [Pair(2, 1)]
    assert report["unstyled"] == [1]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([[300, -1]], "labels 300 and -1; expected a content label from 0 to 255"),
        ([[-1, 1]], "labels -1 and 1; expected a content label from 0 to 255"),
        ([[2**31 - 1, -1]], "expected a content label from 0 to 255"),
        ([[1, 256]], "labels 1 and 256"),
        ([[1, -2]], "labels 1 and -2"),
        ([[1, 5]], "style region 5, which the style photo lacks"),
        ([[1, 1], [1, 2]], "name a content label twice"),
        ([[n, -1] for n in range(65)], "more than 64"),
    ],
)
def test_pairs_that_cannot_be(
    published_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    gray: dict[str, bytes],
    pairs: list[list[int]],
    words: str,
    check_sentence: Callable[[object], None],
) -> None:
    masks = {"content_mask": rows(16, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}
    with pytest.raises(InvalidOption, match=words) as caught:
        stylize(published_for(**gray, **masks, pairs=pairs), models_of(fake), LIMITS)
    check_sentence(caught.value)
    assert not fake.transfers


def test_a_segmenter_that_gives_no_numbers_gives_no_regions(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    def segment(image: Any) -> Any:
        return np.full((2, *image.shape[1:]), np.nan, dtype=np.float32)

    models = replace(models_of(fake, ("tree", "sky")), segment=segment)
    with pytest.raises(NumericalError, match="give masks instead"):
        stylize(published_for(**gray, segment=True), models, LIMITS)
    assert not fake.transfers


def test_regions_alone_need_no_transfer(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, gray: dict[str, bytes]
) -> None:
    fake.labels = [rows(16, 24, 1, 0), rows(20, 16, 1, 0)] * 2
    models = models_of(fake, ("tree", "sky"))
    alone = stylize(published_for(**gray, regions_only=True), models, LIMITS)
    assert not fake.transfers
    full = stylize(published_for(**gray), models, LIMITS)
    assert alone.image == b""
    assert alone.content_labels == full.content_labels
    assert alone.style_labels == full.style_labels
    reports = [report_of(response) for response in (alone, full)]
    assert list(reports[0].pop("seconds")) == ["decode", "segment", "encode", "total"]
    assert reports[1].pop("style") == "measured"
    del reports[1]["seconds"]
    assert reports[0] == reports[1]

"""The method `published`: regions, what is transferred, what comes back and what is reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from photoreal.contract import DEFAULT_BLEND, PLACES
from photoreal.errors import InvalidOption, NumericalError
from photoreal.pipeline.regions import soft as soft_regions
from photoreal.regions import Pair
from photoreal.regions.classes import ADE20K, GROUPS
from tests.shared import refused

from .conftest import CONTENT, GRAY, STYLE, Ask, rows

SKY, VEGETATION, VEHICLE, WATER = map(GROUPS.index, ("sky", "vegetation", "vehicle", "water"))
MASKS = {"content_mask": rows(16, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}
TWO_BANDS = [rows(16, 24, 1, 0), rows(20, 16, 1, 0)]


def test_without_masks_and_segmenter_the_photo_is_one_region(published: Ask) -> None:
    answer = published()
    called = published.called
    np.testing.assert_allclose(called["content"], CONTENT.transpose(2, 0, 1) / 255, atol=1e-6)
    (style,) = called["styles"]
    np.testing.assert_allclose(style.image, STYLE.transpose(2, 0, 1) / 255, atol=1e-6)
    assert style.pairs == [Pair(0, None)]
    assert called["alpha"] == 1.0
    assert called["places"] == PLACES
    assert called["blend"] == DEFAULT_BLEND["published"] == 0
    np.testing.assert_array_equal(called["content_labels"], np.zeros((16, 24)))
    np.testing.assert_array_equal(answer.picture, CONTENT)
    report = answer.report
    assert report["pairs"] == [{"content": "whole photo", "style": "whole photo", "share": 1.0}]
    assert (report["regions"], report["match"], report["unstyled"]) == ("whole", "published", [])
    assert {"content_regions", "style_regions", "style", "method"} < report.keys()
    seconds = report["seconds"]
    assert list(seconds) == ["decode", "segment", "transfer", "encode", "total"]
    assert sum(seconds.values()) == pytest.approx(2 * seconds["total"], abs=2e-3)


def test_photos_masks_and_options_reach_the_transfer(published: Ask) -> None:
    report = published(size=32, alpha=0.25, transfer_at="skip, encoder", blend=7, **MASKS).report
    called = published.called
    assert called["content"].shape == (3, 32, 48)
    np.testing.assert_array_equal(called["content_labels"], rows(32, 48, 1, 2))
    (style,) = called["styles"]
    assert style.image.shape == (3, 40, 32)
    assert style.labels.shape == (40, 32)
    assert (report["height"], report["width"]) == (32, 48)
    options = [called[name] for name in ("alpha", "places", "blend")]
    assert options == [0.25, ("encoder", "skip"), 7]


def test_gray_masks_are_labels_under_the_published_rule(published: Ask) -> None:
    published.classes = ADE20K
    masks = [rows(16, 24, 3, 7), rows(20, 16, 7, 9)]
    answer = published(content_mask=masks[0], style_mask=masks[1])
    assert not published.segmented
    np.testing.assert_array_equal(published.called["content_labels"], masks[0])
    (style,) = published.called["styles"]
    np.testing.assert_array_equal(style.labels, masks[1])
    assert style.pairs == [Pair(7, 7)]
    for found, mask in zip(answer.labels, masks, strict=True):
        np.testing.assert_array_equal(found, mask)
    assert (answer.report["regions"], answer.report["match"]) == ("masks", "published")
    assert answer.report["pairs"] == [{"content": 7, "style": 7, "share": 0.5}]
    assert answer.report["unstyled"] == [3]


def test_masks_may_follow_the_nearest_rule(published: Ask) -> None:
    masks = {"content_mask": rows(16, 24, 3, 7), "style_mask": rows(20, 16, 7, 9)}
    report = published(**masks, match="nearest").report
    assert published.called["styles"][0].pairs == [Pair(3, None), Pair(7, 7)]
    assert (report["match"], report["unstyled"]) == ("nearest", [])
    assert report["pairs"][0] == {"content": 3, "style": "whole photo", "share": 0.5}


def test_color_masks_have_their_colors_names(published: Ask) -> None:
    colors = np.array([[0, 0, 255], [0, 255, 0]], dtype=np.uint8)
    masks = {"content_mask": colors[rows(16, 24, 0, 1)], "style_mask": colors[rows(20, 16, 1, 0)]}
    pairs = published(**masks).report["pairs"]
    assert [list(pair.values())[:2] for pair in pairs] == [["blue"] * 2, ["green"] * 2]


def test_segmenter_s_classes_are_grouped_and_matched_by_kin(published: Ask) -> None:
    published.classes = ("tree", "sky", "lake", "car")
    published.labels = [rows(16, 24, 1, 0, 2, 3), rows(20, 16, 1, 0)]
    report = published(**GRAY).report
    assert [image.shape for image in published.segmented] == [(3, 16, 24), (3, 20, 16)]
    assert published.called["styles"][0].pairs == [
        Pair(SKY, SKY),
        Pair(VEGETATION, VEGETATION),
        Pair(VEHICLE, None),
        Pair(WATER, SKY),
    ]
    assert (report["regions"], report["match"]) == ("segmenter", "nearest")
    assert report["pairs"] == [
        {"content": "sky", "style": "sky", "share": 0.25},
        {"content": "vegetation", "style": "vegetation", "share": 0.25},
        {"content": "vehicle", "style": "whole photo", "share": 0.25},
        {"content": "water", "style": "sky", "share": 0.25},
    ]
    labels = {"sky": SKY, "vegetation": VEGETATION, "vehicle": VEHICLE, "water": WATER}
    for role, share, names in (("content", 0.25, list(labels)), ("style", 0.5, list(labels)[:2])):
        assert report[f"{role}_regions"] == [
            {"label": labels[name], "name": name, "share": share} for name in names
        ]


def test_classes_of_one_group_add_up(published: Ask) -> None:
    """Neither grass nor tree is likelier than the sky, but vegetation is."""
    planes = np.array([0.3, 0.3, 0.4], dtype=np.float32).reshape(3, 1, 1)
    published.classes = ("grass", "tree", "sky")
    published.segment = lambda image: np.broadcast_to(planes, (3, 2, 3))
    assert [pair["content"] for pair in published(**GRAY).report["pairs"]] == ["vegetation"]


def test_large_photos_are_segmented_at_a_smaller_size(
    published: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soft_regions, "SEGMENT_PIXELS", 600)
    published.classes, published.labels = ("sky", "tree"), [rows(2, 3, 0, 1), rows(3, 2, 1, 1)]
    published(**GRAY, size=48)
    assert [image.shape for image in published.segmented] == [(3, 20, 30), (3, 27, 22)]
    called = published.called
    np.testing.assert_array_equal(called["content_labels"], rows(48, 72, SKY, VEGETATION))
    assert (called["styles"][0].labels == np.full((60, 48), VEGETATION)).all()


def test_segmenter_may_follow_the_published_rule_or_be_left_alone(published: Ask) -> None:
    published.classes, published.labels = ("tree", "sky"), [rows(16, 24, 1, 0), rows(20, 16, 1, 1)]
    assert published(segment=False).report["regions"] == "whole"
    assert not published.segmented
    report = published(**GRAY, match="published").report
    assert [(p["content"], p["style"]) for p in report["pairs"]] == [("sky", "sky")]
    assert report["unstyled"] == ["vegetation"]


@pytest.mark.parametrize("source", ["masks", "segmenter"])
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
def test_borders_are_as_soft_as_the_rule_or_the_caller_says(
    source: str, asked: dict[str, Any], blend: int, published: Ask
) -> None:
    published.classes, published.labels = ("tree", "sky"), TWO_BANDS
    published(**GRAY, **(MASKS if source == "masks" else {}), **asked)
    assert published.called["blend"] == blend


@pytest.mark.parametrize("source", ["masks", "segmenter", "whole"])
def test_given_pairs_take_the_place_of_a_rule(published: Ask, source: str) -> None:
    published.classes, published.labels = ("tree", "sky"), TWO_BANDS  # vegetation (2) and sky (1)
    given = MASKS if source == "masks" else {"segment": source == "segmenter"}
    pairs = [[0, -1]] if source == "whole" else [[1, 2], [2, -1]]
    assert published(**GRAY, **given, pairs=pairs).report["match"] == "given"
    expected = [Pair(ours, None if theirs < 0 else theirs) for ours, theirs in pairs]
    assert published.called["styles"][0].pairs == expected


def test_region_without_a_given_partner_stays_as_it_is(published: Ask) -> None:
    assert published(**GRAY, **MASKS, pairs=[[2, 1]]).report["unstyled"] == [1]
    assert published.called["styles"][0].pairs == [Pair(2, 1)]


@pytest.mark.parametrize("method", ["published", "wct2"])
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
def test_pairs_that_cannot_be(pairs: list[list[int]], words: str, method: str, ask: Ask) -> None:
    with refused(InvalidOption, words):
        ask(**GRAY, **MASKS, pairs=pairs, method=method)
    assert not ask.transfers


@pytest.mark.parametrize("method", ["published", "wct2"])
def test_a_segmenter_that_gives_no_numbers_gives_no_regions(ask: Ask, method: str) -> None:
    ask.classes = ("tree", "sky")
    ask.segment = lambda image: np.full((2, 2, 3), np.nan, dtype=np.float32)
    with pytest.raises(NumericalError, match="give masks instead"):
        ask(method=method)
    assert not ask.transfers


def test_regions_alone_need_no_transfer(published: Ask) -> None:
    published.classes, published.labels = ("tree", "sky"), TWO_BANDS * 2
    alone = published(**GRAY, regions_only=True)
    assert not published.transfers
    full = published(**GRAY)
    assert alone.response.image == b""
    for one, other in zip(alone.labels, full.labels, strict=True):
        np.testing.assert_array_equal(one, other)
    ours, theirs = alone.report, full.report
    assert list(ours.pop("seconds")) == ["decode", "segment", "encode", "total"]
    assert theirs.pop("style") == "measured"
    del theirs["seconds"]
    assert ours == theirs

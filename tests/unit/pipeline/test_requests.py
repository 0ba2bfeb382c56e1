"""The method `published`, with masks and without: what is transferred, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from photoreal.contract import DEFAULT_BLEND, PLACES
from photoreal.pipeline.request import StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import decode_mask, decode_photo
from photoreal.regions import Pair
from photoreal.regions.classes import ADE20K

from .conftest import (
    LIMITS,
    Array,
    FakeModels,
    models_of,
    report_of,
    rows,
)


def test_without_masks_and_segmenter_the_photo_is_one_region(
    published_for: Callable[..., StylizeRequest], fake: FakeModels, content: Array, style: Array
) -> None:
    response = stylize(published_for(), models_of(fake), LIMITS)
    called = fake.called
    np.testing.assert_allclose(called["content"], content.transpose(2, 0, 1) / 255, atol=1e-6)
    np.testing.assert_allclose(called["style"], style.transpose(2, 0, 1) / 255, atol=1e-6)
    assert called["pairs"] == [Pair(0, None)]
    assert called["alpha"] == 1.0
    assert called["places"] == PLACES
    assert called["blend"] == DEFAULT_BLEND["published"] == 0
    assert called["content_labels"].shape == (16, 24)
    assert not called["content_labels"].any()
    np.testing.assert_array_equal(decode_photo(response.image, "result", LIMITS), content)
    report = report_of(response)
    assert report["pairs"] == [{"content": "whole photo", "style": "whole photo", "share": 1.0}]
    assert report["regions"] == "whole"
    assert report["unstyled"] == []


def test_photos_come_at_the_working_size(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    report = report_of(stylize(published_for(size=32), models_of(fake), LIMITS))
    assert fake.called["content"].shape == (3, 32, 48)
    assert fake.called["style"].shape == (3, 40, 32)
    assert fake.called["style_labels"].shape == (40, 32)
    assert (report["height"], report["width"]) == (32, 48)


def test_options_reach_the_transfer(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = published_for(alpha=0.25, transfer_at="skip, encoder", blend=7)
    stylize(request, models_of(fake), LIMITS)
    assert fake.called["alpha"] == 0.25
    assert fake.called["blend"] == 7
    assert fake.called["places"] == ("encoder", "skip")


def test_gray_masks_are_labels_under_the_published_rule(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    content_mask, style_mask = rows(16, 24, 3, 7), rows(20, 16, 7, 9)
    response = stylize(
        published_for(content_mask=content_mask, style_mask=style_mask),
        models_of(fake, ADE20K),
        LIMITS,
    )
    assert not fake.segmented
    np.testing.assert_array_equal(fake.called["content_labels"], content_mask)
    np.testing.assert_array_equal(fake.called["style_labels"], style_mask)
    assert fake.called["pairs"] == [Pair(7, 7)]
    for png, mask in (
        (response.content_labels, content_mask),
        (response.style_labels[0], style_mask),
    ):
        np.testing.assert_array_equal(decode_mask(png, "labels", LIMITS).labels, mask)
    report = report_of(response)
    assert report["regions"] == "masks"
    assert report["match"] == "published"
    assert report["pairs"] == [{"content": 7, "style": 7, "share": 0.5}]
    assert report["unstyled"] == [3]


def test_color_masks_have_their_colors_names(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    colors = np.array([[0, 0, 255], [0, 255, 0]], dtype=np.uint8)
    response = stylize(
        published_for(
            content_mask=colors[rows(16, 24, 0, 1)], style_mask=colors[rows(20, 16, 1, 0)]
        ),
        models_of(fake),
        LIMITS,
    )
    assert [(p["content"], p["style"]) for p in report_of(response)["pairs"]] == [
        ("blue", "blue"),
        ("green", "green"),
    ]


def test_masks_may_follow_the_nearest_rule(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = published_for(
        content_mask=rows(16, 24, 3, 7), style_mask=rows(20, 16, 7, 9), match="nearest"
    )
    report = report_of(stylize(request, models_of(fake), LIMITS))
    assert fake.called["pairs"] == [Pair(3, None), Pair(7, 7)]
    assert report["match"] == "nearest"
    assert report["unstyled"] == []
    assert report["pairs"][0] == {"content": 3, "style": "whole photo", "share": 0.5}


def test_masks_are_scaled_with_their_photos(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = published_for(content_mask=rows(16, 24, 1, 2), style_mask=rows(20, 16, 1, 2), size=32)
    stylize(request, models_of(fake), LIMITS)
    np.testing.assert_array_equal(fake.called["content_labels"], rows(32, 48, 1, 2))


@pytest.mark.parametrize("match", ["published", "nearest"])
def test_shares_of_styled_and_unstyled_regions_make_the_photo(
    match: str, published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = published_for(
        content_mask=rows(16, 24, 1, 2, 3), style_mask=rows(20, 16, 1, 3, 4), match=match
    )
    report = report_of(stylize(request, models_of(fake), LIMITS))
    unstyled = np.isin(fake.called["content_labels"], report["unstyled"]).mean()
    assert sum(pair["share"] for pair in report["pairs"]) + unstyled == pytest.approx(1, abs=1e-3)


def test_report_has_the_stages_in_seconds(
    published_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    report = report_of(stylize(published_for(), models_of(fake), LIMITS))
    assert list(report) == [
        "regions",
        "match",
        "pairs",
        "unstyled",
        "content_regions",
        "style_regions",
        "height",
        "width",
        "working_height",
        "working_width",
        "seconds",
        "style",
        "method",
    ]
    seconds = report["seconds"]
    assert list(seconds) == ["decode", "segment", "transfer", "encode", "total"]
    assert all(value >= 0 for value in seconds.values())
    stages = sum(value for name, value in seconds.items() if name != "total")
    assert stages == pytest.approx(seconds["total"], abs=1e-3)

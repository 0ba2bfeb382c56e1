"""The work of the `stylize` model with its other models replaced by functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from photoreal.classes import ADE20K, GROUPS
from photoreal.contract import PLACES, Place
from photoreal.errors import InvalidImage, InvalidMask, InvalidOption, InvalidRequest
from photoreal.preprocess import Limits, decode_mask, decode_photo
from photoreal.regions import LabelMap, Pair
from photoreal.serve.stylize import (
    FloatImage,
    Models,
    StylizeRequest,
    StylizeResponse,
    stylize,
)

Array = npt.NDArray[Any]
Encode = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]
CheckSentence = Callable[[object], None]

SIZE = 16
LIMITS = Limits()


@dataclass
class FakeModels:
    """Returns the content as it is and notes what it was asked."""

    labels: list[Array] = field(default_factory=list)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    segmented: list[FloatImage] = field(default_factory=list)

    def transfer(
        self,
        content: FloatImage,
        style: FloatImage,
        content_labels: LabelMap,
        style_labels: LabelMap,
        *,
        pairs: Sequence[Pair],
        alpha: float,
        places: Collection[Place],
    ) -> FloatImage:
        self.transfers.append(
            {
                "content": content,
                "style": style,
                "content_labels": content_labels,
                "style_labels": style_labels,
                "pairs": list(pairs),
                "alpha": alpha,
                "places": tuple(places),
            }
        )
        return content

    def segment(self, image: FloatImage) -> LabelMap:
        self.segmented.append(image)
        return self.labels[len(self.segmented) - 1].astype(np.uint8)

    @property
    def called(self) -> dict[str, Any]:
        assert len(self.transfers) == 1
        return self.transfers[0]


@pytest.fixture
def fake() -> FakeModels:
    return FakeModels()


@pytest.fixture
def content(photo: Photo) -> npt.NDArray[np.uint8]:
    return photo(16, 24, seed=1)


@pytest.fixture
def style(photo: Photo) -> npt.NDArray[np.uint8]:
    return photo(20, 16, seed=2)


@pytest.fixture
def request_for(content: Array, style: Array, encoded: Encode) -> Callable[..., StylizeRequest]:
    """Makes a request with both photos; masks are given as arrays."""

    def make(**given: Any) -> StylizeRequest:
        for role in ("content_mask", "style_mask"):
            if isinstance(given.get(role), np.ndarray):
                given[role] = encoded(given[role])
        given = {"content": encoded(content), "style": encoded(style), "size": SIZE, **given}
        return StylizeRequest(**given)

    return make


def _models(fake: FakeModels, classes: tuple[str, ...] = ()) -> Models:
    return Models(fake.transfer, fake.segment if classes else None, classes)


def _report(response: StylizeResponse) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(response.report)
    return report


def _rows(height: int, width: int, *labels: int) -> npt.NDArray[np.uint8]:
    """A label map of equal bands, from top to bottom."""
    bands = np.array_split(np.arange(height), len(labels))
    mask = np.zeros((height, width), dtype=np.uint8)
    for band, label in zip(bands, labels, strict=True):
        mask[band] = label
    return mask


def test_without_masks_and_segmenter_the_photo_is_one_region(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, content: Array, style: Array
) -> None:
    response = stylize(request_for(), _models(fake), LIMITS)
    called = fake.called
    np.testing.assert_allclose(called["content"], content.transpose(2, 0, 1) / 255, atol=1e-6)
    np.testing.assert_allclose(called["style"], style.transpose(2, 0, 1) / 255, atol=1e-6)
    assert called["pairs"] == [Pair(0, None)]
    assert called["alpha"] == 1.0
    assert called["places"] == PLACES
    assert called["content_labels"].shape == (16, 24)
    assert not called["content_labels"].any()
    np.testing.assert_array_equal(decode_photo(response.image, "result", LIMITS), content)
    report = _report(response)
    assert report["pairs"] == [{"content": "whole photo", "style": "whole photo", "share": 1.0}]
    assert report["regions"] == "whole"
    assert report["unstyled"] == []


def test_photos_come_at_the_working_size(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    report = _report(stylize(request_for(size=32), _models(fake), LIMITS))
    assert fake.called["content"].shape == (3, 32, 48)
    assert fake.called["style"].shape == (3, 40, 32)
    assert fake.called["style_labels"].shape == (40, 32)
    assert (report["height"], report["width"]) == (32, 48)


def test_options_reach_the_transfer(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    stylize(request_for(alpha=0.25, transfer_at="skip, encoder"), _models(fake), LIMITS)
    assert fake.called["alpha"] == 0.25
    assert fake.called["places"] == ("encoder", "skip")


def test_gray_masks_are_labels_under_the_published_rule(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    content_mask, style_mask = _rows(16, 24, 3, 7), _rows(20, 16, 7, 9)
    response = stylize(
        request_for(content_mask=content_mask, style_mask=style_mask),
        _models(fake, ADE20K),
        LIMITS,
    )
    assert not fake.segmented
    np.testing.assert_array_equal(fake.called["content_labels"], content_mask)
    np.testing.assert_array_equal(fake.called["style_labels"], style_mask)
    assert fake.called["pairs"] == [Pair(7, 7)]
    for png, mask in (
        (response.content_labels, content_mask),
        (response.style_labels, style_mask),
    ):
        np.testing.assert_array_equal(decode_mask(png, "labels", LIMITS).labels, mask)
    report = _report(response)
    assert report["regions"] == "masks"
    assert report["match"] == "published"
    assert report["pairs"] == [{"content": 7, "style": 7, "share": 0.5}]
    assert report["unstyled"] == [3]


def test_color_masks_have_their_colors_names(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    colors = np.array([[0, 0, 255], [0, 255, 0]], dtype=np.uint8)
    response = stylize(
        request_for(
            content_mask=colors[_rows(16, 24, 0, 1)], style_mask=colors[_rows(20, 16, 1, 0)]
        ),
        _models(fake),
        LIMITS,
    )
    assert [(p["content"], p["style"]) for p in _report(response)["pairs"]] == [
        ("blue", "blue"),
        ("green", "green"),
    ]


def test_masks_may_follow_the_nearest_rule(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = request_for(
        content_mask=_rows(16, 24, 3, 7), style_mask=_rows(20, 16, 7, 9), match="nearest"
    )
    report = _report(stylize(request, _models(fake), LIMITS))
    assert fake.called["pairs"] == [Pair(3, None), Pair(7, 7)]
    assert report["match"] == "nearest"
    assert report["unstyled"] == []
    assert report["pairs"][0] == {"content": 3, "style": "whole photo", "share": 0.5}


def test_masks_are_scaled_with_their_photos(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = request_for(content_mask=_rows(16, 24, 1, 2), style_mask=_rows(20, 16, 1, 2), size=32)
    stylize(request, _models(fake), LIMITS)
    np.testing.assert_array_equal(fake.called["content_labels"], _rows(32, 48, 1, 2))


def test_segmenter_s_classes_are_grouped_and_matched_by_kin(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    classes = ("tree", "sky", "lake", "car")
    fake.labels = [_rows(16, 24, 1, 0, 2, 3), _rows(20, 16, 1, 0)]
    response = stylize(request_for(), _models(fake, classes), LIMITS)
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
    report = _report(response)
    assert report["regions"] == "segmenter"
    assert report["match"] == "nearest"
    assert report["pairs"] == [
        {"content": "sky", "style": "sky", "share": 0.25},
        {"content": "vegetation", "style": "vegetation", "share": 0.25},
        {"content": "vehicle", "style": "whole photo", "share": 0.25},
        {"content": "water", "style": "sky", "share": 0.25},
    ]


def test_segmenter_may_follow_the_published_rule(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    fake.labels = [_rows(16, 24, 1, 0), _rows(20, 16, 1, 1)]
    models = _models(fake, ("tree", "sky"))
    report = _report(stylize(request_for(match="published"), models, LIMITS))
    assert [(p["content"], p["style"]) for p in report["pairs"]] == [("sky", "sky")]
    assert report["unstyled"] == ["vegetation"]


def test_segment_false_leaves_the_segmenter_alone(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    response = stylize(request_for(segment=False), _models(fake, ADE20K), LIMITS)
    assert not fake.segmented
    assert _report(response)["regions"] == "whole"


@pytest.mark.parametrize("match", ["published", "nearest"])
def test_shares_of_styled_and_unstyled_regions_make_the_photo(
    match: str, request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    request = request_for(
        content_mask=_rows(16, 24, 1, 2, 3), style_mask=_rows(20, 16, 1, 3, 4), match=match
    )
    report = _report(stylize(request, _models(fake), LIMITS))
    unstyled = np.isin(fake.called["content_labels"], report["unstyled"]).mean()
    assert sum(pair["share"] for pair in report["pairs"]) + unstyled == pytest.approx(1, abs=1e-3)


def test_report_has_the_stages_in_seconds(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    report = _report(stylize(request_for(), _models(fake), LIMITS))
    assert list(report) == [
        "regions",
        "match",
        "pairs",
        "unstyled",
        "height",
        "width",
        "seconds",
    ]
    seconds = report["seconds"]
    assert list(seconds) == ["decode", "segment", "transfer", "encode", "total"]
    assert all(value >= 0 for value in seconds.values())
    stages = sum(value for name, value in seconds.items() if name != "total")
    assert stages == pytest.approx(seconds["total"], abs=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": math.nan}, "alpha is nan"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"transfer_at": "everywhere"}, "transfer_at is 'everywhere'"),
        ({"match": "closest"}, "match is 'closest'"),
        ({"size": 15}, "size is 15"),
        ({"size": 2049}, "size is 2049"),
    ],
)
def test_wrong_options_are_refused(
    change: dict[str, Any],
    words: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    with pytest.raises(InvalidOption) as no:
        stylize(request_for(**change), _models(fake, ADE20K), LIMITS)
    assert str(no.value).startswith(words)
    check_sentence(no.value)
    assert not fake.segmented
    assert not fake.transfers


@pytest.mark.parametrize(
    "change",
    [{"alpha": -1.0}, {"transfer_at": ""}, {"match": ""}, {"content_mask": b"x"}, {"size": 0}],
    ids=str,
)
def test_options_are_checked_before_any_photo_is_decoded(
    change: dict[str, Any], fake: FakeModels
) -> None:
    request = StylizeRequest(**{"content": b"no photo", "style": b"no photo", **change})
    with pytest.raises((InvalidOption, InvalidMask)):
        stylize(request, _models(fake), LIMITS)


@pytest.mark.parametrize("role", ["content", "style"])
def test_an_unreadable_photo_is_named(
    role: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    with pytest.raises(InvalidImage, match=f"^The {role} photo is no image") as no:
        stylize(request_for(**{role: b"nonsense"}), _models(fake), LIMITS)
    check_sentence(no.value)


@pytest.mark.parametrize(("given", "lacking"), [("content", "style"), ("style", "content")])
def test_one_mask_alone_is_refused(
    given: str,
    lacking: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    request = request_for(**{f"{given}_mask": _rows(16, 24, 1, 2)})
    with pytest.raises(InvalidMask, match=f"There is a {given} mask but no {lacking} mask") as no:
        stylize(request, _models(fake), LIMITS)
    check_sentence(no.value)


@pytest.mark.parametrize("role", ["content", "style"])
def test_a_mask_of_another_size_than_its_photo_is_refused(
    role: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    masks = {"content_mask": _rows(16, 24, 1), "style_mask": _rows(20, 16, 1)}
    masks[f"{role}_mask"] = _rows(17, 25, 1)
    with pytest.raises(InvalidMask, match=f"The {role} mask is 25x17 pixels but .*same size") as no:
        stylize(request_for(**masks), _models(fake), LIMITS)
    check_sentence(no.value)


def test_masks_of_different_kinds_are_refused(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, check_sentence: CheckSentence
) -> None:
    colors = np.zeros((20, 16, 3), dtype=np.uint8)
    request = request_for(content_mask=_rows(16, 24, 1), style_mask=colors)
    with pytest.raises(InvalidMask, match="same kind") as no:
        stylize(request, _models(fake), LIMITS)
    check_sentence(no.value)


def test_limits_are_those_that_were_given(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    for limits in (Limits(max_bytes=10), Limits(max_pixels=100), Limits(max_working_pixels=256)):
        with pytest.raises(InvalidRequest):
            stylize(request_for(), _models(fake), limits)
    assert not fake.transfers

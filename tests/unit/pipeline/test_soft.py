"""The default method: soft regions, what is aligned, what reaches `wct2`, what is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from photoreal.contract import PLACES
from photoreal.errors import InvalidOption, NumericalError
from photoreal.pipeline import soft_regions
from photoreal.pipeline.known_regions import KnownRegions
from photoreal.pipeline.request import Models, StylizeRequest, StylizeResponse, Transferred
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import decode_mask, decode_photo
from photoreal.regions.classes import GROUPS

from .conftest import (
    LIMITS,
    Array,
    CheckSentence,
    Encode,
    FakeModels,
    Photo,
    models_of,
    report_of,
    rows,
)

pytestmark = pytest.mark.slow

Make = Callable[..., StylizeRequest]
SKY, VEGETATION = GROUPS.index("sky"), GROUPS.index("vegetation")
CLASSES = ("sky", "tree")
MASKS = {"content_mask": rows(16, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}


def _scene(height: int, width: int, *, horizon: float = 0.5, shift: int = 0) -> Array:
    """A bright blue above a dark green, with texture."""
    random = np.random.default_rng(shift)
    photo = np.empty((height, width, 3))
    edge = int(horizon * height)
    photo[:edge], photo[edge:] = (110 + shift, 150, 230), (40, 90 + shift, 30)
    return np.asarray(np.clip(photo + 12 * random.standard_normal(photo.shape), 0, 255), np.uint8)


def _picture(response: StylizeResponse) -> Array:
    return decode_photo(response.image, "result", LIMITS)


@pytest.fixture
def scenes(encoded: Encode) -> dict[str, Any]:
    return {"content": encoded(_scene(64, 96)), "style": encoded(_scene(80, 64, shift=25))}


@pytest.fixture
def sees(fake: FakeModels) -> Models:
    """Models whose segmenter is sure of sky in the upper half of every photo."""
    fake.labels = [rows(8, 12, 0, 1)] * 20
    return models_of(fake, CLASSES)


def test_a_photo_without_masks_and_segmenter_is_one_region(
    request_for: Make, fake: FakeModels, content: Array
) -> None:
    report = report_of(stylize(request_for(), models_of(fake), LIMITS))
    called = fake.called_soft
    np.testing.assert_array_equal(called["regions"], np.full((1, 16, 24), 255, dtype=np.uint8))
    (style,) = called["styles"]
    np.testing.assert_array_equal(style.regions, np.full((1, 20, 16), 255, dtype=np.uint8))
    np.testing.assert_array_equal(style.coupling, [[1.0]])
    assert called["places"] == PLACES
    assert report["regions"] == "whole"
    assert report["match"] == "nearest"
    assert report["method"] == "wct2"
    assert report["pairs"] == [
        {"content": "whole photo", "style": "whole photo", "share": 1.0, "sure": 1.0}
    ]


def test_colors_are_aligned_before_the_features(
    request_for: Make, fake: FakeModels, style: Array
) -> None:
    stylize(request_for(), models_of(fake), LIMITS)
    aligned, goal = fake.called_soft["content"], style / 255
    np.testing.assert_allclose(aligned.mean(axis=(1, 2)), goal.mean(axis=(0, 1)), atol=0.05)
    np.testing.assert_allclose(aligned.std(axis=(1, 2)), goal.std(axis=(0, 1)), atol=0.08)


@pytest.mark.parametrize(
    "change", [{"alpha": 0.0}, {"color_strength": 0.0, "wct2_strength": 0.0}], ids=str
)
def test_without_strength_the_content_comes_back(
    change: dict[str, float], request_for: Make, fake: FakeModels, content: Array
) -> None:
    response = stylize(request_for(**change), models_of(fake), LIMITS)
    np.testing.assert_array_equal(_picture(response), content)
    assert not fake.soft_transfers


def test_method_color_asks_no_network(request_for: Make, fake: FakeModels) -> None:
    report = report_of(stylize(request_for(method="color"), models_of(fake), LIMITS))
    assert not fake.soft_transfers
    assert not fake.transfers
    assert report["method"] == "color"
    assert list(report["seconds"]) == ["decode", "segment", "colors", "upsample", "encode", "total"]


@pytest.mark.parametrize(
    ("given", "masks", "expected"),
    [
        ({}, {}, 0.6),
        ({}, MASKS, 1.0),
        ({"wct2_strength": 0.7}, {}, 0.7),
        ({"alpha": 0.5}, MASKS, 0.5),
        ({"wct2_strength": 1.0, "alpha": 0.25}, {}, 0.25),
    ],
)
def test_strength_of_the_features_is_a_share_of_their_change(
    given: dict[str, Any],
    masks: dict[str, Any],
    expected: float,
    request_for: Make,
    encoded: Encode,
) -> None:
    gray = encoded(np.full((16, 24, 3), 128, dtype=np.uint8))

    def brighter(content: Array, *_: Any, **__: Any) -> Transferred:
        return Transferred(content + np.float32(0.2))

    request = request_for(content=gray, color_strength=0.0, **given, **masks)
    found = _picture(stylize(request, Models(brighter, transfer_soft=brighter), LIMITS))
    np.testing.assert_allclose(found, 128 + 255 * 0.2 * expected, atol=1)


def test_masks_are_matched_by_label_and_the_rest_takes_the_whole_style(
    request_for: Make, fake: FakeModels
) -> None:
    request = request_for(
        content_mask=rows(16, 24, 3, 7), style_mask=rows(20, 16, 7, 9), mask_edges=False
    )
    response = stylize(request, models_of(fake, CLASSES), LIMITS)
    assert not fake.segmented
    called = fake.called_soft
    np.testing.assert_array_equal(called["regions"][0], 255 * (rows(16, 24, 3, 7) == 3))
    np.testing.assert_array_equal(called["styles"][0].coupling, [[0.5, 0.5], [1.0, 0.0]])
    labels = decode_mask(response.content_labels, "labels", LIMITS).labels
    np.testing.assert_array_equal(labels, rows(16, 24, 3, 7))
    report = report_of(response)
    assert report["regions"] == "masks"
    assert report["pairs"] == [
        {"content": 3, "style": "whole photo", "share": 0.5, "sure": 1.0},
        {"content": 7, "style": 7, "share": 0.5, "sure": 1.0},
    ]
    assert report["content_regions"][0] == {"label": 3, "name": "3", "share": 0.5, "sure": 1.0}
    assert report["unstyled"] == []


@pytest.mark.parametrize(
    ("asked", "moved"),
    [
        ({}, True),
        ({"mask_edges": True, "match": "published"}, True),
        ({"mask_edges": False}, False),
        ({"match": "published"}, False),
    ],
    ids=str,
)
def test_borders_of_masks_move_to_edges_unless_the_rule_is_published(
    asked: dict[str, Any], moved: bool, request_for: Make, fake: FakeModels, encoded: Encode
) -> None:
    """The mask is drawn three rows too low."""
    mask = rows(64, 96, 1, 2)
    photo = encoded(_scene(64, 96, horizon=29 / 64))
    request = request_for(
        **{"content": photo, "style": photo, "size": 64, **asked},
        content_mask=mask,
        style_mask=mask,
    )
    response = stylize(request, models_of(fake), LIMITS)
    labels = decode_mask(response.content_labels, "labels", LIMITS).labels
    assert (labels[30:32] == 2).mean() == pytest.approx(1.0 if moved else 0.0, abs=0.2)


def test_the_published_rule_leaves_the_others_as_they_are(
    request_for: Make, fake: FakeModels, content: Array
) -> None:
    request = request_for(
        content_mask=rows(16, 24, 3, 7),
        style_mask=rows(20, 16, 7, 9),
        match="published",
        method="color",
    )
    response = stylize(request, models_of(fake), LIMITS)
    report = report_of(response)
    assert report["unstyled"] == [3]
    assert [pair["content"] for pair in report["pairs"]] == [7]
    difference = np.abs(_picture(response).astype(int) - content)
    assert difference[:4].max() <= 2
    assert difference[12:].mean() > 5


def test_regions_that_the_segmenter_is_sure_of_have_its_names(
    request_for: Make, fake: FakeModels, sees: Models, scenes: dict[str, Any]
) -> None:
    report = report_of(stylize(request_for(**scenes, size=64), sees, LIMITS))
    assert report["regions"] == "segmenter"
    found = {region["name"]: region for region in report["content_regions"]}
    assert found["sky"]["label"] == SKY
    assert found["sky"]["sure"] > 0.9
    pairs = {pair["content"]: pair["style"] for pair in report["pairs"]}
    assert pairs["sky"] == "sky"
    assert pairs["vegetation"] == "vegetation"
    called = fake.called_soft
    shares = sum(region["share"] for region in report["content_regions"])
    assert shares == pytest.approx(1.0, abs=1e-3)
    assert called["regions"].dtype == np.uint8
    sums = called["regions"].sum(axis=0, dtype=int)
    assert np.abs(sums - 255).max() <= len(called["regions"])
    (style,) = called["styles"]
    assert style.coupling.shape == (len(called["regions"]), len(style.regions))
    np.testing.assert_allclose(style.coupling.sum(axis=1), 1.0)


@pytest.mark.parametrize("method", ["wct2", "color"])
@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("who", ["content", "style", "both"])
def test_photos_of_one_color_and_a_segmenter_that_knows_nothing_give_a_picture(
    value: int, who: str, method: str, request_for: Make, fake: FakeModels, encoded: Encode
) -> None:
    photos = {"content": _scene(40, 56), "style": _scene(48, 40, shift=20)}
    for role, photo in photos.items():
        if who in (role, "both"):
            photo[:] = value

    def alike(image: Array) -> Array:
        return np.full((2, 4, 5), 0.5, dtype=np.float32)

    request = request_for(
        **{role: encoded(photo) for role, photo in photos.items()}, size=40, method=method
    )
    response = stylize(request, replace(models_of(fake, CLASSES), segment=alike), LIMITS)
    for called in fake.soft_transfers:
        assert np.isfinite(called["content"]).all()
        assert np.isfinite(called["styles"][0].coupling).all()
    report = report_of(response)
    assert all(0 <= region["sure"] <= 1 for region in report["content_regions"])
    if who != "content":
        assert (
            np.abs(_picture(response).mean(axis=(0, 1)) - photos["style"].mean((0, 1))).max() < 25
        )


def test_large_photos_are_segmented_at_a_smaller_size(
    request_for: Make,
    fake: FakeModels,
    sees: Models,
    scenes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soft_regions, "SEGMENT_PIXELS", 600)
    stylize(request_for(**scenes, size=48), sees, LIMITS)
    assert [image.shape for image in fake.segmented] == [(3, 20, 30), (3, 27, 22)]
    assert fake.called_soft["regions"].shape[1:] == (48, 72)


def test_a_segmenter_that_gives_no_numbers_gives_no_regions(
    request_for: Make, fake: FakeModels
) -> None:
    def segment(image: Array) -> Array:
        return np.full((2, 2, 3), np.nan, dtype=np.float32)

    models = replace(models_of(fake, CLASSES), segment=segment)
    with pytest.raises(NumericalError, match="give masks instead"):
        stylize(request_for(), models, LIMITS)
    assert not fake.soft_transfers


@pytest.mark.parametrize("source", ["masks", "segmenter", "whole"])
def test_given_pairs_take_the_place_of_a_rule(
    source: str, request_for: Make, fake: FakeModels, sees: Models, scenes: dict[str, Any]
) -> None:
    given: dict[str, Any] = {**scenes, "size": 64, "segment": source == "segmenter"}
    if source == "masks":
        given |= {"content_mask": rows(64, 96, 1, 2), "style_mask": rows(80, 64, 1, 2)}
    pairs = [[0, -1]] if source == "whole" else [[1, 2], [2, -1]]
    report = report_of(stylize(request_for(**given, pairs=pairs), sees, LIMITS))
    assert report["match"] == "given"
    (style,) = fake.called_soft["styles"]
    labels = [region["label"] for region in report["content_regions"]]
    theirs = [region["label"] for region in report["style_regions"]]
    shares = [region["share"] for region in report["style_regions"]]
    for ours, partner in pairs:
        row = style.coupling[labels.index(ours)]
        expected = shares if partner < 0 else [float(label == partner) for label in theirs]
        np.testing.assert_allclose(row, expected, atol=1e-4)


def test_a_region_in_no_pair_keeps_its_look(
    request_for: Make, fake: FakeModels, content: Array
) -> None:
    request = request_for(**MASKS, pairs=[[2, 1]], method="color", mask_edges=False)
    response = stylize(request, models_of(fake), LIMITS)
    assert report_of(response)["unstyled"] == [1]
    assert np.abs(_picture(response).astype(int) - content)[:4].max() <= 2


def test_a_pair_with_an_absent_style_region_is_refused(
    request_for: Make, fake: FakeModels, check_sentence: CheckSentence
) -> None:
    with pytest.raises(InvalidOption, match="style region 5, which the style photo lacks") as no:
        stylize(request_for(**MASKS, pairs=[[1, 5]]), models_of(fake), LIMITS)
    check_sentence(no.value)
    assert not fake.soft_transfers


def test_regions_alone_are_those_of_a_transfer(
    request_for: Make, fake: FakeModels, sees: Models, scenes: dict[str, Any]
) -> None:
    alone = stylize(request_for(**scenes, size=64, regions_only=True), sees, LIMITS)
    assert not fake.soft_transfers
    assert alone.image == b""
    full = stylize(request_for(**scenes, size=64), sees, LIMITS)
    assert alone.content_labels == full.content_labels
    assert alone.style_labels == full.style_labels
    ours, theirs = report_of(alone), report_of(full)
    assert ours["pairs"] == theirs["pairs"]
    assert list(ours["seconds"]) == ["decode", "segment", "encode", "total"]


class TestStyles:
    @pytest.fixture
    def several(self, scenes: dict[str, Any], encoded: Encode) -> dict[str, Any]:
        dark = np.full((64, 64, 3), (60, 40, 30), dtype=np.uint8)
        return {**scenes, "style": [scenes["style"], encoded(dark)], "size": 64}

    def test_each_is_coupled_by_itself(
        self, request_for: Make, fake: FakeModels, sees: Models, several: dict[str, Any]
    ) -> None:
        report = report_of(stylize(request_for(**several, weights=[1, 3]), sees, LIMITS))
        styles = fake.called_soft["styles"]
        assert [style.weight for style in styles] == [0.25, 0.75]
        count = len(fake.called_soft["regions"])
        assert [style.coupling.shape[0] for style in styles] == [count, count]
        assert all(len(pair["style"]) == 2 for pair in report["pairs"])
        assert len(report["style_regions"]) == 2

    def test_colors_lie_between_those_of_the_styles(
        self, request_for: Make, fake: FakeModels, several: dict[str, Any]
    ) -> None:
        means = []
        for weights in ([1, 0], [1, 1], [0, 1]):
            request = request_for(**several, weights=weights, method="color", segment=False)
            means.append(_picture(stylize(request, models_of(fake), LIMITS)).mean())
        assert means[0] > means[1] > means[2]
        assert means[1] == pytest.approx((means[0] + means[2]) / 2, abs=5)

    def test_a_style_without_the_region_has_no_part_in_it(
        self, request_for: Make, fake: FakeModels, style: Array, encoded: Encode
    ) -> None:
        request = request_for(
            style=[encoded(style)] * 2,
            content_mask=rows(16, 24, 3, 5),
            style_mask=[encoded(rows(20, 16, 3, 5)), encoded(rows(20, 16, 3, 7))],
            match="published",
        )
        report = report_of(stylize(request, models_of(fake), LIMITS))
        assert [(pair["content"], pair["style"]) for pair in report["pairs"]] == [
            (3, [3, 3]),
            (5, [5, None]),
        ]

    def test_regions_of_a_style_are_found_once(
        self, request_for: Make, fake: FakeModels, sees: Models, scenes: dict[str, Any]
    ) -> None:
        known = KnownRegions()
        for _ in range(2):
            stylize(request_for(**scenes, size=64), sees, LIMITS, None, known)
        assert len(fake.segmented) == 3
        first, second = (called["styles"][0].regions for called in fake.soft_transfers)
        np.testing.assert_array_equal(first, second)
        assert known.bytes == 4 * first.size


class TestShots:
    def _frames(self, encoded: Encode) -> list[bytes]:
        return [
            encoded(_scene(64, 96, horizon=horizon, shift=shift))
            for horizon, shift in ((0.5, 0), (0.52, 8), (0.48, 16))
        ]

    def test_frames_have_the_same_regions_and_partners(
        self, request_for: Make, fake: FakeModels, sees: Models, encoded: Encode
    ) -> None:
        sequences, style = SteadyRegions(), encoded(_scene(80, 64, shift=25))
        reports = []
        for frame in self._frames(encoded):
            request = request_for(content=frame, style=style, size=64, sequence="a")
            reports.append(report_of(stylize(request, sees, LIMITS, sequences)))
        names = [[region["name"] for region in report["content_regions"]] for report in reports]
        assert names[0] == names[1] == names[2]
        for called in fake.soft_transfers[1:]:
            np.testing.assert_array_equal(
                called["styles"][0].coupling, fake.soft_transfers[0]["styles"][0].coupling
            )

    def test_colors_of_a_shot_are_steadied(
        self, request_for: Make, fake: FakeModels, encoded: Encode, photo: Photo
    ) -> None:
        """A frame that is suddenly darker is not stretched as far as the style at once."""
        sequences, bright = SteadyRegions(), photo(64, 96)
        frames = [encoded(bright), encoded((bright * 0.6).astype(np.uint8))]

        def means(**more: Any) -> list[float]:
            made = [request_for(content=f, size=64, method="color", **more) for f in frames]
            return [
                float(_picture(stylize(m, models_of(fake), LIMITS, sequences)).mean()) for m in made
            ]

        alone, steadied = means(), means(sequence="a", steady=0.8)
        assert alone[0] == pytest.approx(alone[1], abs=6)
        assert steadied[0] == pytest.approx(alone[0], abs=1)
        assert steadied[1] < alone[1] - 10

    @pytest.mark.parametrize("first", [[1, 2, 3], [1, 2]], ids=str)
    def test_masks_of_a_frame_are_its_own(
        self, first: list[int], request_for: Make, fake: FakeModels, style: Array
    ) -> None:
        """The frame before had other regions."""
        sequences = SteadyRegions()
        for labels in (first, [2, 3]):
            request = request_for(
                content_mask=rows(16, 24, *labels),
                style_mask=rows(20, 16, 1, 2, 3),
                sequence="a",
                mask_edges=False,
            )
            stylize(request, models_of(fake), LIMITS, sequences)
        coupling = fake.soft_transfers[-1]["styles"][0].coupling
        np.testing.assert_array_equal(coupling, [[0, 1, 0], [0, 0, 1]])

    def test_pairs_of_a_frame_are_not_those_of_the_next(
        self, request_for: Make, fake: FakeModels, sees: Models, scenes: dict[str, Any]
    ) -> None:
        sequences = SteadyRegions()
        made = request_for(**scenes, size=64, sequence="a")
        for pairs in ([(1, 2)], None):
            last = stylize(replace(made, pairs=pairs), sees, LIMITS, sequences)
        alone = stylize(request_for(**scenes, size=64), sees, LIMITS)
        assert report_of(last)["pairs"] == report_of(alone)["pairs"]

    def test_another_style_begins_the_shot_again(
        self,
        request_for: Make,
        fake: FakeModels,
        sees: Models,
        scenes: dict[str, Any],
        encoded: Encode,
    ) -> None:
        sequences = SteadyRegions()
        one_color = encoded(np.full((64, 64, 3), 90, dtype=np.uint8))
        made = request_for(**scenes, size=64, sequence="a")
        stylize(made, sees, LIMITS, sequences)
        stylize(replace(made, style=one_color), sees, LIMITS, sequences)
        called = fake.soft_transfers[-1]
        assert called["styles"][0].coupling.shape[1] == len(called["styles"][0].regions)

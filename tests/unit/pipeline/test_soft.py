"""The default method: soft regions, what is aligned, what reaches `wct2`, what is reported."""

from __future__ import annotations

from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest

from photoreal.contract import SOFT_PLACES
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.regions import soft
from photoreal.regions.classes import GROUPS
from tests.shared import Array, Photo, photo

from .conftest import CONTENT, GRAY, STYLE, Ask, rows

pytestmark = pytest.mark.slow

SKY = GROUPS.index("sky")
MASKS = {"content_mask": rows(16, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}
ONE_REGION = {"content_mask": rows(16, 24, 1), "style_mask": rows(20, 16, 1)}
OTHER_MASKS = {"content_mask": rows(16, 24, 3, 7), "style_mask": rows(20, 16, 7, 9)}
MASK_COUPLING = [[0.5, 0.5], [1.0, 0.0]]


def _scene(height: int, width: int, *, horizon: float = 0.5, shift: int = 0) -> Photo:
    """A bright blue above a dark green, with texture."""
    random = np.random.default_rng(shift)
    scene = np.empty((height, width, 3))
    edge = int(horizon * height)
    scene[:edge], scene[edge:] = (110 + shift, 150, 230), (40, 90 + shift, 30)
    return np.asarray(np.clip(scene + 12 * random.standard_normal(scene.shape), 0, 255), np.uint8)


SCENES = {"content": _scene(64, 96), "style": _scene(80, 64, shift=25), "size": 64}


@pytest.fixture
def sees(ask: Ask) -> Ask:
    """Its segmenter is sure of sky in the upper half of every photo."""
    ask.classes, ask.labels = ("sky", "tree"), [rows(8, 12, 0, 1)] * 20
    return ask


def test_a_photo_without_masks_and_segmenter_is_one_region(ask: Ask) -> None:
    report = ask().report
    called = ask.called
    np.testing.assert_array_equal(called["regions"], np.full((1, 16, 24), 255, dtype=np.uint8))
    (style,) = called["styles"]
    np.testing.assert_array_equal(style.regions, np.full((1, 20, 16), 255, dtype=np.uint8))
    np.testing.assert_array_equal(style.coupling, [[1.0]])
    assert called["places"] == SOFT_PLACES
    assert [report[name] for name in ("regions", "match", "method")] == ["whole", "nearest", "wct2"]
    whole = {"content": "whole photo", "style": "whole photo", "share": 1.0, "sure": 1.0}
    assert report["pairs"] == [whole]
    # Colors are aligned before the features.
    aligned, goal = called["content"], STYLE / 255
    np.testing.assert_allclose(aligned.mean(axis=(1, 2)), goal.mean(axis=(0, 1)), atol=0.05)
    np.testing.assert_allclose(aligned.std(axis=(1, 2)), goal.std(axis=(0, 1)), atol=0.08)


@pytest.mark.parametrize("given", [{"alpha": 0.0}, {"color_strength": 0.0, "wct2_strength": 0.0}])
def test_without_strength_the_content_comes_back(given: dict[str, float], ask: Ask) -> None:
    np.testing.assert_array_equal(ask(**given).picture, CONTENT)
    assert not ask.transfers


def test_method_color_asks_no_network(ask: Ask) -> None:
    report = ask(method="color").report
    assert not ask.transfers
    assert report["method"] == "color"
    assert list(report["seconds"]) == ["decode", "segment", "colors", "upsample", "encode", "total"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 0.5),
        (ONE_REGION, 1.0),
        ({"wct2_strength": 0.7}, 0.7),
        (ONE_REGION | {"alpha": 0.5}, 0.5),
        ({"wct2_strength": 1.0, "alpha": 0.25}, 0.25),
    ],
)
def test_strength_of_the_features_is_a_share_of_their_change(
    given: dict[str, Any], expected: float, ask: Ask
) -> None:
    ask.change = lambda content: content + np.float32(0.2)
    found = ask(content=GRAY["content"], color_strength=0.0, **given).picture
    np.testing.assert_allclose(found, 128 + 255 * 0.2 * expected, atol=1)


def test_the_features_change_fades_toward_the_borders_of_regions(ask: Ask) -> None:
    ask.change = lambda content: content + np.float32(0.2)
    masks = {"content_mask": rows(96, 24, 1, 2), "style_mask": rows(20, 16, 1, 2)}
    gray = np.full((96, 24, 3), 128, dtype=np.uint8)
    found = ask(content=gray, color_strength=0.0, **masks).picture
    np.testing.assert_allclose(found[:16], 128 + 255 * 0.2, atol=1)
    np.testing.assert_allclose(found[47:49], 128, atol=12)
    steps = np.diff(found.mean(axis=(1, 2))[:48])
    assert np.abs(steps).max() < 5  # without a seam


def test_with_masks_the_chroma_is_aligned_again_after_the_features(ask: Ask) -> None:
    def redder(content: Array) -> Array:
        found: Array = np.clip(content + np.float32(0.06) * np.eye(3, 1)[..., None], 0.0, 1.0)
        return found.astype(np.float32)

    ask.change = redder
    excess = {
        name: _red_over_green(ask(wct2_strength=1.0, **given).picture)
        for name, given in (("masks", ONE_REGION), ("found", {}))
    }
    goal = _red_over_green(STYLE)
    assert excess["masks"] == pytest.approx(goal, abs=2)
    assert excess["found"] > goal + 8


def _red_over_green(picture: Photo) -> float:
    red, green, _ = picture.mean(axis=(0, 1))
    return float(red - green)


def test_masks_are_matched_by_label_and_the_rest_takes_the_whole_style(sees: Ask) -> None:
    answer = sees(**OTHER_MASKS, mask_edges=False)
    assert not sees.segmented
    mask = OTHER_MASKS["content_mask"]
    np.testing.assert_array_equal(sees.called["regions"][0], 255 * (mask == 3))
    np.testing.assert_array_equal(sees.called["styles"][0].coupling, MASK_COUPLING)
    np.testing.assert_array_equal(answer.labels[0], mask)
    report = answer.report
    assert (report["regions"], report["unstyled"]) == ("masks", [])
    assert report["pairs"] == [
        {"content": 3, "style": "whole photo", "share": 0.5, "sure": 1.0},
        {"content": 7, "style": 7, "share": 0.5, "sure": 1.0},
    ]
    assert report["content_regions"][0] == {"label": 3, "name": "3", "share": 0.5, "sure": 1.0}


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
    asked: dict[str, Any], moved: bool, ask: Ask
) -> None:
    """The mask is drawn three rows too low."""
    scene, mask = _scene(64, 96, horizon=29 / 64), rows(64, 96, 1, 2)
    given = {"content": scene, "style": scene, "content_mask": mask, "style_mask": mask}
    (labels, _) = ask(**given, size=64, **asked).labels
    assert (labels[30:32] == 2).mean() == pytest.approx(1.0 if moved else 0.0, abs=0.2)


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        (OTHER_MASKS | {"match": "published"}, 3),
        (MASKS | {"pairs": [[2, 1]], "mask_edges": False}, 1),
    ],
    ids=["published rule", "given pairs"],
)
def test_a_region_without_a_partner_keeps_its_look(
    given: dict[str, Any], lacking: int, ask: Ask
) -> None:
    answer = ask(**given, method="color")
    assert answer.report["unstyled"] == [lacking]
    assert lacking not in [pair["content"] for pair in answer.report["pairs"]]
    difference = np.abs(answer.picture.astype(int) - CONTENT)
    assert difference[:4].max() <= 2
    assert difference[12:].mean() > 5


def test_regions_that_the_segmenter_is_sure_of_have_its_names(sees: Ask) -> None:
    report = sees(**SCENES).report
    assert report["regions"] == "segmenter"
    found = {region["name"]: region for region in report["content_regions"]}
    assert found["sky"]["label"] == SKY
    assert found["sky"]["sure"] > 0.9
    pairs = {pair["content"]: pair["style"] for pair in report["pairs"]}
    assert (pairs["sky"], pairs["vegetation"]) == ("sky", "vegetation")
    shares = sum(region["share"] for region in report["content_regions"])
    assert shares == pytest.approx(1.0, abs=1e-3)
    regions, (style,) = sees.called["regions"], sees.called["styles"]
    assert regions.dtype == np.uint8
    assert np.abs(regions.sum(axis=0, dtype=int) - 255).max() <= len(regions)
    assert style.coupling.shape == (len(regions), len(style.regions))
    np.testing.assert_allclose(style.coupling.sum(axis=1), 1.0)


def test_the_style_is_segmented_while_the_regions_of_the_content_are_found(
    sees: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = sees(**SCENES).picture
    segmented, in_time = Event(), []
    find, segment = soft.find_regions, sees.segment

    def waiting(photo: Array, *given: Any) -> Any:
        if photo.shape[1:] == (64, 96):  # the content
            in_time.append(segmented.wait(10.0))
        return find(photo, *given)

    def noted(image: Array) -> Array:
        if len(sees.segmented) == 3:  # the second photo of the second request
            segmented.set()
        return segment(image)

    monkeypatch.setattr(soft, "find_regions", waiting)
    sees.segment, sees.elsewhere = noted, True
    np.testing.assert_array_equal(sees(**SCENES).picture, expected)
    assert in_time == [True]


def test_on_a_cpu_both_photos_are_segmented_first_and_their_regions_found_side_by_side(
    sees: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = sees(**SCENES).picture
    both, segmented = Barrier(2), []
    find = soft.find_regions

    def together(photo: Array, *given: Any) -> Any:
        both.wait(10.0)  # raises if only one of them is being found
        segmented.append(len(sees.segmented))
        return find(photo, *given)

    monkeypatch.setattr(soft, "find_regions", together)
    np.testing.assert_array_equal(sees(**SCENES).picture, expected)
    assert segmented == [4, 4]  # two requests of two photos


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("who", ["content", "style", "both"])
def test_photos_of_one_color_and_a_segmenter_that_knows_nothing_give_a_picture(
    value: int, who: str, ask: Ask
) -> None:
    photos = {"content": _scene(40, 56), "style": _scene(48, 40, shift=20)}
    for role, scene in photos.items():
        if who in (role, "both"):
            scene[:] = value
    ask.classes = ("sky", "tree")
    ask.segment = lambda image: np.full((2, 4, 5), 0.5, dtype=np.float32)
    answer = ask(**photos, size=40)
    assert np.isfinite(ask.called["content"]).all()
    assert np.isfinite(ask.called["styles"][0].coupling).all()
    assert all(0 <= region["sure"] <= 1 for region in answer.report["content_regions"])
    if who != "content":
        apart = answer.picture.mean(axis=(0, 1)) - photos["style"].mean((0, 1))
        assert np.abs(apart).max() < 25


@pytest.mark.parametrize("source", ["masks", "segmenter", "whole"])
def test_given_pairs_take_the_place_of_a_rule(source: str, sees: Ask) -> None:
    given: dict[str, Any] = {**SCENES, "segment": source == "segmenter"}
    if source == "masks":
        given |= {"content_mask": rows(64, 96, 1, 2), "style_mask": rows(80, 64, 1, 2)}
    pairs = [[0, -1]] if source == "whole" else [[1, 2], [2, -1]]
    report = sees(**given, pairs=pairs).report
    assert report["match"] == "given"
    (style,) = sees.called["styles"]
    labels = [region["label"] for region in report["content_regions"]]
    theirs = [region["label"] for region in report["style_regions"]]
    shares = [region["share"] for region in report["style_regions"]]
    for ours, partner in pairs:
        expected = shares if partner < 0 else [float(label == partner) for label in theirs]
        np.testing.assert_allclose(style.coupling[labels.index(ours)], expected, atol=1e-4)


def test_regions_alone_are_those_of_a_transfer(sees: Ask) -> None:
    alone = sees(**SCENES, regions_only=True)
    assert not sees.transfers
    assert alone.response.image == b""
    full = sees(**SCENES)
    assert alone.response.content_labels == full.response.content_labels
    assert alone.response.style_labels == full.response.style_labels
    assert alone.report["pairs"] == full.report["pairs"]
    assert list(alone.report["seconds"]) == ["decode", "segment", "encode", "total"]


class TestShots:
    @pytest.fixture
    def shot(self, sees: Ask) -> Ask:
        sees.sequences = SteadyRegions()
        sees.defaults |= SCENES | {"sequence": "a"}
        return sees

    def test_frames_have_the_same_regions_and_partners(self, shot: Ask) -> None:
        named = []
        for horizon, shift in ((0.5, 0), (0.52, 8), (0.48, 16)):
            report = shot(content=_scene(64, 96, horizon=horizon, shift=shift)).report
            named.append([region["name"] for region in report["content_regions"]])
        assert named[0] == named[1] == named[2]
        first, *others = (called["styles"][0].coupling for called in shot.transfers)
        for coupling in others:
            np.testing.assert_array_equal(coupling, first)

    def test_colors_of_a_shot_are_steadied(self, ask: Ask) -> None:
        """A frame that is suddenly darker is not stretched as far as the style at once."""
        ask.sequences, bright = SteadyRegions(), photo(64, 96)
        frames = [bright, (bright * 0.6).astype(np.uint8)]

        def means(**more: Any) -> list[float]:
            given = {"size": 64, "method": "color", **more}
            return [float(ask(content=frame, **given).picture.mean()) for frame in frames]

        alone, steadied = means(), means(sequence="a", steady=0.8)
        assert alone[0] == pytest.approx(alone[1], abs=6)
        assert steadied[0] == pytest.approx(alone[0], abs=1)
        assert steadied[1] < alone[1] - 10

    @pytest.mark.parametrize("first", [[1, 2, 3], [1, 2]], ids=str)
    def test_masks_of_a_frame_are_its_own(self, first: list[int], ask: Ask) -> None:
        """The frame before had other regions."""
        ask.sequences = SteadyRegions()
        given = {"style_mask": rows(20, 16, 1, 2, 3), "sequence": "a", "mask_edges": False}
        for labels in (first, [2, 3]):
            ask(content_mask=rows(16, 24, *labels), **given)
        coupling = ask.transfers[-1]["styles"][0].coupling
        np.testing.assert_array_equal(coupling, [[0, 1, 0], [0, 0, 1]])

    def test_pairs_of_a_frame_are_not_those_of_the_next(self, shot: Ask) -> None:
        shot(pairs=[(1, 2)])
        assert shot().report["pairs"] == shot(sequence=None).report["pairs"]

    def test_another_style_begins_the_shot_again(self, shot: Ask) -> None:
        shot()
        shot(style=np.full((64, 64, 3), 90, dtype=np.uint8))
        (style,) = shot.transfers[-1]["styles"]
        assert style.coupling.shape[1] == len(style.regions)

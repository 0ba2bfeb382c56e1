"""The measure of a segmenter, on ones that are right or wrong by design."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.networks.segmenter import Segmenter
from photoreal.train.evaluate import ABSENT, BINS, Reliability, Score, accuracy, class_scores
from photoreal.train.evaluate import evaluate as evaluate_all
from photoreal.train.lights import LIGHTS
from photoreal.train.loop import Photos
from photoreal.train.sources import IGNORE, NOT, PARTIAL, SKY, SOURCE_BY_NAME, LabeledPhoto, Read
from photoreal.train.tables import CLASSES
from tests.shared import photo as random_photo

GROUND, BUILDING, WATER = map(CLASSES.index, ("ground", "building", "water"))
NOT_SKY = NOT + SKY
BLUE, GRAY = (100, 150, 250), (100, 100, 100)
LEAD = 2.0


class ByColor(Segmenter):
    """Takes blue for the sky and all else for ground; notes the sizes that it sees.

    The class it takes has a score of `LEAD`, the others one of 0.
    """

    def __init__(self, names: tuple[str, ...] = CLASSES, temperature: float = 1.0) -> None:
        super().__init__(4, len(names), temperature)
        self.names = names
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        self.seen.append(tuple(images.shape))
        blue = (images[:, 2] > images[:, 0] + 0.2).float()
        scores = torch.zeros(len(images), len(self.names), *images.shape[2:])
        scores[:, self.names.index("sky")] = LEAD * blue
        scores[:, self.names.index("ground")] = LEAD * (1 - blue)
        return scores


def _photo(targets: list[list[int]], blue: list[list[int]], size: int = 64) -> Read:
    """A photo of 4 x 4 patches and its targets; patches are blue or gray."""
    grow = np.ones((size // 4, size // 4), dtype=np.uint8)
    colors = np.array([GRAY, BLUE], dtype=np.uint8)
    return (
        colors[np.kron(np.array(blue, dtype=np.uint8), grow)],
        np.kron(np.array(targets, dtype=np.uint8), grow),
    )


def _item(source: str) -> LabeledPhoto:
    return LabeledPhoto(source, "a.jpg", Path("a.jpg"), Path("a.png"))


def evaluate(source: str, photo: Read, segmenter: Segmenter | None = None) -> Score:
    """The score of the one photo."""
    segmenter = segmenter or ByColor()
    names = segmenter.names if isinstance(segmenter, ByColor) else CLASSES
    (score,) = evaluate_all(segmenter, [_item(source)], [photo], names=names).values()
    return score


MIXED = [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_confusion_counts_labeled_pixels_by_what_was_found() -> None:
    targets = [
        [SKY, SKY, SKY, IGNORE],
        [SKY, GROUND, SKY, BUILDING],
        [GROUND] * 4,
        [IGNORE, IGNORE, BUILDING, BUILDING],
    ]
    size = SOURCE_BY_NAME["camvid"].short_side or 0
    score = evaluate("camvid", _photo(targets, MIXED, size))
    assert score.names == CLASSES
    expected = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    expected[SKY, SKY], expected[SKY, GROUND] = 4, 1
    expected[GROUND, SKY], expected[GROUND, GROUND] = 1, 4
    expected[BUILDING, GROUND] = 3
    np.testing.assert_array_equal(score.confusion, expected * (size // 4) ** 2)
    assert score.accuracy == pytest.approx(8 / 13)
    assert score.by_class() == pytest.approx({"sky": 0.8, "building": 0.0, "ground": 0.8})


def test_a_source_of_sky_alone_is_measured_on_the_sky_alone() -> None:
    targets = [[SKY] * 4, [SKY, NOT_SKY, NOT_SKY, IGNORE], [NOT_SKY] * 4, [SKY, SKY, SKY, SKY]]
    score = evaluate("ade_sky", _photo(targets, MIXED))
    assert score.names == ("not sky", "sky")
    np.testing.assert_array_equal(score.confusion, np.array([[5, 1], [4, 5]]) * 16**2)
    assert score.accuracy == pytest.approx(10 / 15)


def test_photos_of_one_source_add_up_and_sources_stay_apart() -> None:
    right, wrong = (_photo([[SKY] * 4] * 4, [[blue] * 4] * 4, 32) for blue in (1, 0))
    other = _photo([[GROUND] * 4] * 4, [[0] * 4] * 4, 32)
    done: list[int] = []
    segmenter = ByColor().train()
    items = [_item(source) for source in ("ade_sky", "camvid", "ade_sky")]
    scores = evaluate_all(segmenter, items, [right, other, wrong], lambda: done.append(1))
    assert segmenter.training  # as it was before
    assert len(done) == 3
    found = {source: score.accuracy for source, score in scores.items()}
    assert found == {"ade_sky": 0.5, "camvid": 1.0}
    assert scores["ade_sky"].confusion.sum() == 2 * 32**2
    assert accuracy(scores) == 0.75


@pytest.mark.parametrize(
    ("source", "seen"),
    [("camvid", (240, 300)), ("labelmefacade", (300, 375)), ("ade_sky", (80, 100))],
)
def test_photos_are_measured_at_their_source_s_size(source: str, seen: tuple[int, int]) -> None:
    segmenter = ByColor()
    targets = np.full((80, 100), SKY, dtype=np.uint8)
    score = evaluate(source, (np.full((80, 100, 3), BLUE, dtype=np.uint8), targets), segmenter)
    assert segmenter.seen == [(1, 3, *seen)]
    assert score.accuracy == 1.0
    assert score.confusion.sum() == seen[0] * seen[1]


def test_a_change_of_light_is_made_before_the_segmenter_looks(validation: Photos) -> None:
    assert accuracy(evaluate_all(ByColor(), *validation)) > 0.97
    blind = evaluate_all(ByColor(), *validation, change=lambda picture: 0 * picture)
    assert accuracy(blind) < 0.7  # all is ground


def test_a_segmenter_may_lack_classes() -> None:
    """Their pixels are missed, and their probability is 0."""
    names = ("ground", "sky")
    photo = _photo([[SKY] * 4, [WATER] * 4, [GROUND] * 4, [GROUND] * 4], MIXED)
    score = evaluate("msrc21", photo, ByColor(names))
    assert score.by_class() == {"sky": 1.0, "water": 0.0, "ground": 1.0}
    scores, targets = class_scores(ByColor(names), _item("msrc21"), photo, names=names)
    assert scores.shape == (len(CLASSES), 64 * 64)
    assert targets.dtype == torch.int64
    assert set(scores[SKY].tolist()) == {0.0, LEAD}
    lacking = [label for label, name in enumerate(CLASSES) if name not in names]
    assert (scores[lacking] == ABSENT).all()
    assert not scores.softmax(dim=0)[lacking].any()


def test_reliability_compares_confidence_with_what_is_right() -> None:
    reliability = Reliability()
    assert reliability.error == 0
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.55, 1.0], dtype=np.float32)
    reliability.add(confidence, np.array([1, 1, 1, 0, 0, 1], dtype=np.bool_))
    assert reliability.counts.sum() == 6
    assert reliability.counts[BINS - 1] == 1  # a confidence of 1 has a bin
    # four at 0.9 of which three are right, one at 0.55 that is wrong, one at 1 that is right
    assert reliability.error == pytest.approx((4 * 0.9 - 3 + 0.55) / 6, abs=1e-6)


def test_calibration_is_measured_at_both_temperatures() -> None:
    photo = _photo([[SKY] * 4] * 2 + [[GROUND] * 4] * 2, MIXED, 240)
    score = evaluate("camvid", photo, ByColor(temperature=0.5))
    assert score.accuracy == 14 / 16
    for reliability, temperature in ((score.uncalibrated, 1.0), (score.calibrated, 0.5)):
        sure = np.exp(LEAD / temperature)
        confidence = sure / (sure + len(CLASSES) - 1)
        assert reliability.error == pytest.approx(abs(confidence - 14 / 16), abs=1e-4)


def test_what_is_not_one_class_is_sure_as_far_as_that_class_is_not() -> None:
    score = evaluate("ade_sky", _photo([[NOT_SKY] * 4] * 4, [[0] * 4] * 4))
    assert score.accuracy == 1
    sky = 1 / (np.exp(LEAD) + len(CLASSES) - 1)
    assert score.uncalibrated.error == pytest.approx(sky, abs=1e-4)


def test_one_of_several_classes_is_not_measured() -> None:
    thing = PARTIAL["other|vehicle|person|animal"]
    photo = _photo([[SKY] * 4, [thing] * 4, [IGNORE] * 4, [SKY] * 4], MIXED)
    score = evaluate("stanford_background", photo)
    assert score.confusion.sum() == 2 * 4 * 16**2
    assert score.by_class() == {"sky": 0.5}


def test_nothing_labeled_gives_no_accuracy() -> None:
    assert Score().accuracy == 0.0
    assert Score().by_class() == {}


@pytest.mark.parametrize("light", LIGHTS)
def test_lights_change_a_picture_and_keep_it_one(light: str) -> None:
    picture = np.asarray(random_photo(24, 32), dtype=np.float32) / np.float32(255)
    before = picture.copy()
    changed = LIGHTS[light](picture)
    np.testing.assert_array_equal(picture, before)
    assert changed.shape == picture.shape
    assert changed.dtype == np.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert (np.abs(changed - picture).mean() > 0.05) == (light != "as it is")
    np.testing.assert_array_equal(LIGHTS[light](picture), changed)

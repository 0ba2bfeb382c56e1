"""The temperature of a segmenter, on scores whose right temperature is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.networks.segmenter import Segmenter
from photoreal.train.calibrate import calibrate, fit_temperature
from photoreal.train.sources import IGNORE, NOT, SKY, LabeledPhoto, Read
from photoreal.train.tables import CLASSES

COUNT = len(CLASSES)
GROUND, WATER = CLASSES.index("ground"), CLASSES.index("water")


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_scores_were_made_with_is_found(temperature: float) -> None:
    random = torch.Generator().manual_seed(3)
    scores = 2 * torch.randn(COUNT, 20_000, generator=random)
    targets = torch.multinomial(scores.softmax(dim=0).T, 1, generator=random)[:, 0]
    assert fit_temperature(scores * temperature, targets) == pytest.approx(temperature, rel=0.05)


def test_not_a_class_counts_as_the_probability_of_the_others() -> None:
    random = torch.Generator().manual_seed(4)
    scores = 2 * torch.randn(COUNT, 40_000, generator=random)
    drawn = torch.multinomial(scores.softmax(dim=0).T, 1, generator=random)[:, 0]
    targets = torch.where(drawn == SKY, SKY, NOT + SKY)
    assert fit_temperature(scores * 2.0, targets) == pytest.approx(2.0, rel=0.1)


def test_without_pixels_probabilities_stay_as_they_are() -> None:
    assert fit_temperature(torch.empty(COUNT, 0), torch.empty(0, dtype=torch.int64)) == 1.0


class Certain(Segmenter):
    """Says ground with a probability of 0.9 everywhere, for any photo."""

    def __init__(self) -> None:
        super().__init__(4, COUNT)

    def forward(self, images: Tensor) -> Tensor:
        scores = torch.zeros(1, COUNT, *images.shape[2:])
        scores[:, GROUND] = np.log(0.9 / 0.1 * (COUNT - 1))
        return scores


def _item(source: str) -> LabeledPhoto:
    return LabeledPhoto(source, "a.jpg", Path("a.jpg"), Path("a.png"))


def _photo(wrong: float) -> Read:
    """A photo of 40 x 50 pixels of which a share is water, the rest ground; one row unknown."""
    targets = np.full((40, 50), GROUND, dtype=np.uint8)
    targets[: round(39 * wrong)] = WATER
    targets[-1] = IGNORE
    return np.zeros((40, 50, 3), dtype=np.uint8), targets


def _sure(temperature: float) -> float:
    """The probability that `Certain` gives to ground at a temperature."""
    score = (9 * (COUNT - 1)) ** (1 / temperature)
    return float(score / (score + COUNT - 1))


def test_a_segmenter_becomes_as_sure_as_it_is_right() -> None:
    found = calibrate(Certain(), [_item("msrc21")], [_photo(18 / 39)])
    assert _sure(1.0) == pytest.approx(0.9)
    assert _sure(found) == pytest.approx(21 / 39, abs=0.01)
    assert calibrate(Certain(), [_item("msrc21")], [_photo(18 / 39)]) == found


def test_sources_weigh_alike_with_any_number_of_photos() -> None:
    right, wrong = _photo(0.0), _photo(1.0)
    items = [_item("msrc21"), *[_item("stanford_background")] * 3]
    done: list[int] = []
    found = calibrate(Certain(), items, [wrong, right, right, right], lambda: done.append(1))
    assert len(done) == 4
    # 1,950 labeled pixels a photo, all of which are drawn: these sources weigh by their pixels
    assert _sure(found) == pytest.approx(0.75, abs=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("photoreal.train.calibrate._PIXELS", 600)
        even = calibrate(Certain(), items, [wrong, right, right, right])
    assert _sure(even) == pytest.approx(0.5, abs=0.01)


def test_classes_that_a_segmenter_lacks_do_not_count() -> None:
    names = tuple(name for name in CLASSES if name != "water")

    class Seven(Certain):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images)[:, [CLASSES.index(name) for name in names]]

    items, photo = [_item("msrc21")] * 2, _photo(0.5)
    unlabeled = np.where(photo[1] == WATER, IGNORE, photo[1]).astype(np.uint8)
    expected = calibrate(Seven(), items, [(photo[0], unlabeled)] * 2, names=names)
    assert calibrate(Seven(), items, [photo] * 2, names=names) == pytest.approx(expected, rel=1e-3)

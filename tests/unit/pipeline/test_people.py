"""People keep most of their own colors where the style shows no one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from photoreal.regions import Pair
from photoreal.regions.classes import GROUPS
from photoreal.regions.people import KEPT, kept_colors
from tests.shared import Array, Photo

from .conftest import Ask, rows

CLASSES = ("sky", "person", "tree")
SKY, PERSON, TREE = range(3)
LABELS = {name: GROUPS.index(name) for name in ("sky", "person", "vegetation")}


def _classes(**probabilities: float) -> Array:
    """Class probabilities (1, groups) of a region."""
    found = np.zeros((1, len(GROUPS)), dtype=np.float32)
    for name, probability in probabilities.items():
        found[0, GROUPS.index(name)] = probability
    return found


@pytest.mark.parametrize(
    ("content", "style", "expected"),
    [
        ({"person": 0.9}, {"vegetation": 1.0}, KEPT),
        ({"person": 0.9}, {"person": 0.8}, 0.0),
        ({"person": 0.9}, {"person": 0.35}, KEPT / 2),
        ({"person": 0.725}, {"vegetation": 1.0}, KEPT / 2),
        ({"person": 0.6}, {"vegetation": 1.0}, 0.0),
        ({"animal": 0.9}, {"vegetation": 1.0}, 0.0),
        ({"vegetation": 0.9}, {"building": 1.0}, 0.0),
    ],
)
def test_sure_people_without_a_partner_keep_their_colors(
    content: dict[str, float], style: dict[str, float], expected: float
) -> None:
    found = kept_colors(_classes(**content), _classes(**style), np.ones((1, 1)))
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_partner_is_the_mixture() -> None:
    style = np.concatenate([_classes(person=1.0), _classes(vegetation=1.0)])
    content = np.concatenate([_classes(person=1.0)] * 2)
    found = kept_colors(content, style, np.array([[0.6, 0.4], [0.1, 0.9]]))
    np.testing.assert_allclose(found, [0.0, KEPT])


def _scene(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> Photo:
    scene = np.empty((64, 96, 3))
    scene[:32], scene[32:] = upper, lower
    noise = np.random.default_rng(0).normal(0, 8, scene.shape)
    return np.clip(scene + noise, 0, 255).astype(np.uint8)


SKIN = (200, 150, 120)
SCENES: dict[str, Any] = {
    "content": _scene((110, 150, 230), SKIN),
    "style": _scene((200, 120, 100), (40, 110, 30)),
    "size": 64,
    "method": "color",
}


def _lower(ask: Ask, style: int, **given: Any) -> Array:
    """Mean color below, where the content shows a person and the style what `style` says."""
    ask.classes, ask.labels = CLASSES, [rows(8, 12, SKY, PERSON), rows(8, 12, SKY, style)]
    ask.segmented.clear()
    mean: Array = ask(**SCENES | given).picture[40:].mean(axis=(0, 1))
    return mean


def test_skin_does_not_turn_green(ask: Ask) -> None:
    green, skin = _lower(ask, PERSON), _lower(ask, TREE)
    assert green[1] > green[0] + 40
    assert skin[0] > skin[1]
    changed = np.abs(skin - SKIN).sum() / np.abs(green - SKIN).sum()
    assert changed == pytest.approx(1 - KEPT, abs=0.12)  # its partner is mixed in otherwise


def test_given_pairs_do_not_turn_faces_green_either(ask: Ask) -> None:
    """Whoever changes the partner of the sky sends the pair of the person along."""
    pairs = [Pair(LABELS["sky"], LABELS["sky"]), Pair(LABELS["person"], LABELS["vegetation"])]
    given = _lower(ask, TREE, pairs=pairs)
    np.testing.assert_allclose(given, _lower(ask, TREE), atol=20)


def test_masks_have_no_people(ask: Ask) -> None:
    label = LABELS["person"]
    masks = {"content_mask": rows(64, 96, 1, label), "style_mask": rows(64, 96, 1, label)}
    found = _lower(ask, TREE, **masks)
    assert found[1] > found[0] + 40


def test_features_change_people_less(ask: Ask) -> None:
    ask.change = lambda content: content + np.float32(0.2)
    given = {"method": "wct2", "color_strength": 0.0, "wct2_strength": 1.0}
    strong, weak = _lower(ask, PERSON, **given), _lower(ask, TREE, **given)
    np.testing.assert_allclose(weak - SKIN, (1 - KEPT) * (strong - SKIN), atol=4)

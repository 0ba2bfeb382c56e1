"""What is held back: in photos of an unknown kind, of people, and where partners are unlike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from photoreal.pipeline import looks
from photoreal.pipeline.looks import Goals
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.regions.soft import SoftMatch
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.regions import Pair
from photoreal.regions.classes import GROUPS
from photoreal.regions.partners import MOST_WHOLE
from photoreal.regions.people import KEPT
from photoreal.regions.soft import SoftRegions, find_regions, whole_photo
from tests.shared import Array, Photo

from .conftest import GRAY, Ask, rows

CLASSES = ("sky", "tree", "water", "car")


def _scene(seed: int, upper: float, lower: float) -> Array:
    random = np.random.default_rng(seed)
    scene = 0.05 * random.standard_normal((3, 40, 60)).astype(np.float32)
    scene[:, :20] += upper
    scene[:, 20:] += lower
    return np.clip(scene, 0.0, 1.0)


CONTENT, STYLE = _scene(0, 0.6, 0.3), _scene(1, 0.45, 0.65)


def _probabilities(best: float) -> Array:
    """Of sky everywhere, with the rest shared by the other classes."""
    planes = np.full((len(CLASSES), 8, 12), (1.0 - best) / 3, dtype=np.float32)
    planes[0] = best
    return planes


def _halves(whole: float) -> SoftRegions:
    """Two regions, of which a share is left to the photo as a whole."""
    regions, _ = find_regions(CONTENT, None)
    weights = np.zeros((2, 40, 60), dtype=np.float32)
    weights[0, :20], weights[1, 20:] = 1.0, 1.0
    infos = [regions.infos[0]._replace(label=label) for label in (1, 2)]
    return SoftRegions(weights, np.zeros((2, 0), dtype=np.float32), infos, whole)


def _aligned(match: SoftMatch) -> Array:
    whole = match.whole([1.0])
    colors = looks.goals([STYLE], match, [1.0], whole=whole is not None)
    found: Array = looks.align(CONTENT, match, Goals(colors, strength=1.0, whole=whole))
    return found


def _match(whole: float) -> SoftMatch:
    return SoftMatch(_halves(whole), [_halves(0.0)], "segmenter", "nearest", [np.eye(2)])


@pytest.mark.parametrize("whole", [0.2, 0.6])
def test_the_change_is_shared_with_the_whole_photo(whole: float) -> None:
    ours, theirs = whole_photo(CONTENT), whole_photo(STYLE)
    alone = _aligned(SoftMatch(ours, [theirs], "segmenter", "nearest", [np.ones((1, 1))]))
    regional = _aligned(_match(0.0))
    assert np.abs(alone - regional).mean() > 0.05
    expected = whole * alone + (1.0 - whole) * regional
    np.testing.assert_allclose(_aligned(_match(whole)), expected, atol=1e-3)


def test_a_region_without_a_partner_keeps_its_colors() -> None:
    doubted = _match(0.6)
    doubted.take([Pair(1, 1)])
    found = _aligned(doubted)
    assert np.abs(found[:, :20] - CONTENT[:, :20]).mean() > 0.05
    np.testing.assert_allclose(found[:, 20:], CONTENT[:, 20:], atol=1e-6)


@pytest.mark.parametrize(("best", "share"), [(0.9, 1.0), (0.6, 1.0), (0.55, 0.65), (0.4, 0.3)])
def test_features_take_the_share_of_the_regions(best: float, share: float, ask: Ask) -> None:
    ask.change = lambda content: content + np.float32(0.2)
    ask.classes, ask.segment = CLASSES, lambda image: _probabilities(best)
    found = ask(content=GRAY["content"], color_strength=0.0, wct2_strength=1.0).picture
    np.testing.assert_allclose(found, 128 + 255 * 0.2 * share, atol=1)


def test_a_doubted_shot_is_steadied_as_a_whole_too(ask: Ask) -> None:
    """The same frame again and again stays the same, also when the doubt comes and goes."""
    ask.sequences, ask.known, ask.classes = SteadyRegions(), KnownRegions(), CLASSES
    frames = []
    for best in (0.4, 0.4, 0.9, 0.4):
        ask.segment = lambda image, best=best: _probabilities(best)  # type: ignore[misc]
        frames.append(ask(sequence="shot", method="color").picture)
    np.testing.assert_array_equal(frames[1], frames[0])
    np.testing.assert_allclose(frames[3].astype(int), frames[0], atol=2)


SEEN = ("sky", "person", "tree")
SKY, PERSON, TREE = range(3)
LABELS = {name: GROUPS.index(name) for name in ("sky", "person", "vegetation")}


def _street(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> Photo:
    scene = np.empty((64, 96, 3))
    scene[:32], scene[32:] = upper, lower
    noise = np.random.default_rng(0).normal(0, 8, scene.shape)
    return np.clip(scene + noise, 0, 255).astype(np.uint8)


SKIN = (200, 150, 120)
SCENES: dict[str, Any] = {
    "content": _street((110, 150, 230), SKIN),
    "style": _street((200, 120, 100), (40, 110, 30)),
    "size": 64,
    "method": "color",
}


def _lower(ask: Ask, style: int, **given: Any) -> Array:
    """Mean color below, where the content shows a person and the style what `style` says."""
    ask.classes, ask.labels = SEEN, [rows(8, 12, SKY, PERSON), rows(8, 12, SKY, style)]
    ask.segmented.clear()
    mean: Array = ask(**SCENES | given).picture[40:].mean(axis=(0, 1))
    return mean


def test_skin_does_not_turn_green(ask: Ask) -> None:
    green, skin = _lower(ask, PERSON), _lower(ask, TREE)
    assert green[1] > green[0] + 40
    assert skin[0] > skin[1]
    changed = np.abs(skin - SKIN).sum() / np.abs(green - SKIN).sum()
    assert 0.05 < changed < 1 - KEPT + 0.12


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
    share = (1 - KEPT) * (1 - MOST_WHOLE)
    np.testing.assert_allclose(weak - SKIN, share * (strong - SKIN), atol=4)


def test_a_sky_without_a_partner_changes_with_the_photo(ask: Ask) -> None:
    """The style is dark above: its sky darkens the content's, and trees there hardly do."""
    given: dict[str, Any] = {
        "content": _street((200, 210, 230), (60, 90, 40)),
        "style": _street((70, 40, 30), (90, 160, 60)),
        "size": 64,
        "method": "color",
    }
    ask.classes = SEEN
    skies = []
    for style_above in (SKY, TREE):
        ask.labels = [rows(8, 12, SKY, TREE), rows(8, 12, style_above, TREE)]
        ask.segmented.clear()
        skies.append(ask(**given).picture[:24].mean(axis=(0, 1)))
    whole = ask(**given, segment=False).picture[:24].mean(axis=(0, 1))
    away = [np.abs(sky - whole).sum() for sky in skies]
    assert away[1] < 0.5 * away[0]


def test_a_partner_that_the_caller_chose_is_taken_in_full(ask: Ask) -> None:
    """The sky that takes the look of the trees takes all of it; what is not changed stays."""
    sky, tree = LABELS["sky"], LABELS["vegetation"]
    ask.classes, ask.labels = SEEN, [rows(8, 12, SKY, TREE), rows(8, 12, SKY, TREE)]
    skies = []
    for partner in (sky, tree):
        ask.segmented.clear()
        pairs = [Pair(sky, partner), Pair(tree, tree)]
        skies.append(ask(**SCENES, pairs=pairs).picture[:24].mean(axis=(0, 1)))
    np.testing.assert_allclose(skies[0], (200, 120, 100), atol=15)
    np.testing.assert_allclose(skies[1], (40, 110, 30), atol=15)

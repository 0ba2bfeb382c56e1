"""Photos of a kind that the segmenter does not know are partly transferred as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from photoreal.pipeline import looks
from photoreal.pipeline.known_regions import KnownRegions
from photoreal.pipeline.looks import Goals
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.soft_regions import SoftMatch
from photoreal.regions import Pair
from photoreal.regions.soft import SoftRegions, find_regions, whole_photo
from tests.shared import Array

from .conftest import GRAY, Ask

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
    goals = Goals(looks.goals([STYLE], match, [1.0]), strength=1.0)
    found: Array = looks.align(CONTENT, match, goals)
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


@pytest.mark.parametrize(("best", "share"), [(0.9, 1.0), (0.6, 1.0), (0.525, 0.7), (0.4, 0.4)])
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

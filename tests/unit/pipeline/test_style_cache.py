"""The style cache: when a style counts as known, what it keeps and what it lets go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from photoreal.contract import PLACES, STYLE_CACHE_VARIABLE, Place
from photoreal.errors import ServeError
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.regions import Pair
from photoreal.serve.backend.variables import cache_limit
from photoreal.transfer.progressive import LabelledImage, apply_style, transfer
from photoreal.transfer.soft_transfer import SoftImage
from tests.shared import random_image, unlabelled

from .conftest import CountingEngine, rows

LIMIT = 1 << 30
SIDE = 16


def _picture(seed: int, labels: int = 2) -> LabelledImage:
    return LabelledImage(random_image(SIDE, SIDE, seed), rows(SIDE, SIDE, *range(labels)))


def _known(
    cache: StyleCache,
    style: LabelledImage | SoftImage,
    engine: CountingEngine,
    places: Any = PLACES,
) -> bool:
    if isinstance(style, SoftImage):
        return cache.measure_soft(style, engine, places)[1]
    return cache.measure(style, {0, 1}, engine, places)[1]


def test_a_known_style_gives_the_same_picture_without_a_single_level(
    engine: CountingEngine,
) -> None:
    content, style, pairs = _picture(1), _picture(2), [Pair(0, 1), Pair(1, None)]
    expected = transfer(content, style, pairs, engine)
    cache = StyleCache(LIMIT)
    first, known = cache.measure(style, {1, None}, engine, PLACES)
    assert not known
    engine.levels = 0
    second, known = cache.measure(style, {1, None}, engine, PLACES)
    assert known
    assert engine.levels == 0
    for measures in (first, second):
        assert torch.equal(apply_style(content, measures, pairs, engine), expected)


@pytest.mark.parametrize(
    ("first", "then"),
    [({0}, {1, 2, 3}), ({0, 9}, {0, 9})],
    ids=["all are measured", "absent labels do not count"],
)
def test_other_regions_of_a_known_style_are_known_too(
    first: set[int | None], then: set[int | None], engine: CountingEngine
) -> None:
    cache, style = StyleCache(LIMIT), _picture(2, labels=4)
    cache.measure(style, first, engine, PLACES)
    assert cache.measure(style, then, engine, PLACES)[1]


def test_the_whole_photo_is_measured_when_it_is_wanted_and_then_kept(
    engine: CountingEngine,
) -> None:
    cache, style = StyleCache(LIMIT), _picture(2)
    cache.measure(style, {0}, engine, PLACES)
    assert not cache.measure(style, {None}, engine, PLACES)[1]
    assert cache.measure(style, {0, 1, None}, engine, PLACES)[1]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("what", ["pixel", "regions", "places", "size", "kind"])
def test_another_style_is_not_known(what: str, soft: bool, engine: CountingEngine) -> None:
    image = random_image(16, 64)
    labels, weights = rows(16, 64, 0, 1), np.ones((1, 16, 64), dtype=np.float32)

    def style() -> LabelledImage | SoftImage:
        return SoftImage(image, weights) if soft else LabelledImage(image, labels)

    cache = StyleCache(LIMIT)
    first: tuple[Place, ...] = ("encoder",) if what == "places" else PLACES
    _known(cache, style(), engine, first)
    assert _known(cache, style(), engine, first)
    image, labels, weights = image.clone(), labels.copy(), weights.copy()
    if what == "pixel":
        image[0, 0, 5, 5] += 1e-3
    elif what == "regions":
        labels[0, 0], weights[0, 0, 0] = 1, 0.5
    elif what == "size":
        image, labels = image.reshape(1, 3, 32, 32), labels.reshape(32, 32)
        weights = weights.reshape(1, 32, 32)
    elif what == "kind":
        soft, labels = not soft, np.zeros_like(labels)
    assert not _known(cache, style(), engine)


@pytest.mark.parametrize("places", [("encoder",), ("skip", "decoder")])
def test_soft_regions_measured_at_all_places_are_known_at_some(
    places: tuple[Place, ...], engine: CountingEngine
) -> None:
    cache = StyleCache(LIMIT)
    style = SoftImage(random_image(16, 64), np.ones((1, 16, 64), dtype=np.float32))
    cache.measure_soft(style, engine, PLACES)
    found, known = cache.measure_soft(style, engine, places)
    assert known
    own, _ = StyleCache(0).measure_soft(style, engine, places)
    assert found.keys() == own.keys()
    assert all(torch.equal(found[one][0].mean, own[one][0].mean) for one in own)


@pytest.mark.parametrize("soft", [False, True])
def test_the_style_used_longest_ago_goes_first(soft: bool, engine: CountingEngine) -> None:
    images = [random_image(SIDE, SIDE, seed) for seed in range(3)]
    weights = np.ones((1, SIDE, SIDE), dtype=np.float32)
    one, two, three = (SoftImage(i, weights) if soft else unlabelled(i) for i in images)
    cache = StyleCache(LIMIT)
    _known(cache, one, engine)
    size = cache.bytes
    assert size > 0
    cache = StyleCache(2 * size)
    for style in (one, two, one, three):
        _known(cache, style, engine)
    assert cache.bytes == 2 * size
    assert [_known(cache, style, engine) for style in (one, three, two)] == [True, True, False]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("limit", [0, 1])
def test_without_room_nothing_is_kept(limit: int, soft: bool, engine: CountingEngine) -> None:
    cache, style = StyleCache(limit), _picture(2)
    assert set(cache.measure(style, {0, 1}, engine, PLACES)[0]["encoder", 1]) == {0, 1}
    weights = np.ones((1, SIDE, SIDE), dtype=np.float32)
    for _ in range(2):
        assert not _known(cache, SoftImage(style.image, weights) if soft else style, engine)
        assert cache.bytes == 0


def test_no_region_wanted_means_nothing_measured(engine: CountingEngine) -> None:
    assert StyleCache(LIMIT).measure(_picture(2), set(), engine, PLACES) == ({}, False)
    assert engine.levels == 0


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STYLE_CACHE_VARIABLE, raising=False)
    assert cache_limit() > 0
    monkeypatch.setenv(STYLE_CACHE_VARIABLE, "0")
    assert cache_limit() == 0
    for text in ("-1", "many", "1.5", ""):
        monkeypatch.setenv(STYLE_CACHE_VARIABLE, text)
        with pytest.raises(ServeError, match="expected a number of bytes"):
            cache_limit()

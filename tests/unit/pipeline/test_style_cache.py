"""The style cache: when a style counts as known, what it keeps and what it lets go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photoreal.contract import PLACES, STYLE_CACHE_VARIABLE
from photoreal.errors import ServeError
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.regions import Pair
from photoreal.serve.backend.variables import cache_limit
from photoreal.transfer.progressive import LabelledImage, apply_style, transfer

from .conftest import CountingEngine

LIMIT = 1 << 30
SIDE = 32


def _picture(seed: int, labels: int = 2) -> LabelledImage:
    image = torch.rand((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    regions = np.repeat(np.arange(SIDE) * labels // SIDE, SIDE).reshape(SIDE, SIDE)
    return LabelledImage(image, regions.astype(np.uint8))


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


def test_other_regions_of_a_known_style_are_known_too(engine: CountingEngine) -> None:
    cache, style = StyleCache(LIMIT), _picture(2, labels=4)
    cache.measure(style, {0}, engine, PLACES)
    assert cache.measure(style, {1, 2, 3}, engine, PLACES)[1]


def test_the_whole_photo_is_measured_when_it_is_wanted_and_then_kept(
    engine: CountingEngine,
) -> None:
    cache, style = StyleCache(LIMIT), _picture(2)
    cache.measure(style, {0}, engine, PLACES)
    assert not cache.measure(style, {None}, engine, PLACES)[1]
    assert cache.measure(style, {0, 1, None}, engine, PLACES)[1]


def test_a_label_that_the_style_lacks_does_not_hide_what_is_known(engine: CountingEngine) -> None:
    cache, style = StyleCache(LIMIT), _picture(2)
    cache.measure(style, {0, 9}, engine, PLACES)
    assert cache.measure(style, {0, 9}, engine, PLACES)[1]


@pytest.mark.parametrize("what", ["pixel", "label", "places", "size"])
def test_another_style_is_not_known(what: str, engine: CountingEngine) -> None:
    cache, style = StyleCache(LIMIT), _picture(2)
    cache.measure(style, {0, 1}, engine, PLACES)
    image, labels = style.image.clone(), style.labels.copy()
    if what == "pixel":
        image[0, 0, 5, 5] += 1e-3
    elif what == "label":
        labels[0, 0] = 1
    elif what == "size":
        image, labels = image.reshape(1, 3, SIDE // 2, SIDE * 2), labels.reshape(SIDE // 2, -1)
    places = ("encoder",) if what == "places" else PLACES
    assert not cache.measure(LabelledImage(image, labels), {0, 1}, engine, places)[1]


def test_the_style_used_longest_ago_goes_first(engine: CountingEngine) -> None:
    one, two, three = (_picture(seed) for seed in (1, 2, 3))
    cache = StyleCache(LIMIT)
    cache.measure(one, {0}, engine, PLACES)
    size = cache.bytes
    assert size > 0
    cache = StyleCache(2 * size)
    for style in (one, two, one, three):
        cache.measure(style, {0}, engine, PLACES)
    assert cache.bytes == 2 * size
    assert cache.measure(one, {0}, engine, PLACES)[1]
    assert cache.measure(three, {0}, engine, PLACES)[1]
    assert not cache.measure(two, {0}, engine, PLACES)[1]


@pytest.mark.parametrize("limit", [0, 1])
def test_without_room_nothing_is_kept(limit: int, engine: CountingEngine) -> None:
    cache, style = StyleCache(limit), _picture(2)
    for _ in range(2):
        measures, known = cache.measure(style, {0, 1}, engine, PLACES)
        assert not known
        assert set(measures["encoder", 1]) == {0, 1}
        assert cache.bytes == 0


def test_no_region_wanted_means_nothing_measured(engine: CountingEngine) -> None:
    assert StyleCache(LIMIT).measure(_picture(2), set(), engine, PLACES) == ({}, False)
    assert engine.levels == 0


@pytest.mark.parametrize("text", ["-1", "many", "1.5", ""])
def test_a_limit_that_is_no_number_of_bytes_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STYLE_CACHE_VARIABLE, text)
    with pytest.raises(ServeError, match="expected a number of bytes"):
        cache_limit()


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STYLE_CACHE_VARIABLE, "0")
    assert cache_limit() == 0
    monkeypatch.delenv(STYLE_CACHE_VARIABLE)
    assert cache_limit() > 0

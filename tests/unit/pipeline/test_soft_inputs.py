"""Soft regions at `wct2`: how they are laid out, read, refused, mixed and remembered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from photoreal.contract import PLACES, WCT2, Place
from photoreal.errors import InvalidOption
from photoreal.networks.segmenter import Segmenter
from photoreal.pipeline.in_process import in_process_models, prober
from photoreal.pipeline.request import Shot, SoftStyle, StyleInput
from photoreal.pipeline.sequences import SequenceStore
from photoreal.pipeline.wct2.model import serve_wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.pipeline.wct2.style_strip import soft_inputs, wct2_inputs
from photoreal.regions import MAX_REGIONS, Pair
from photoreal.transfer.progressive import NetworkEngine
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from photoreal.transfer.steady import SteadyMoments
from tests.shared import Array, reconstruct, refused

from .conftest import CountingEngine

Inputs = dict[str, Array]
SIDE = 32
SKIP: tuple[Place, ...] = ("skip",)


def _image(seed: int, height: int = SIDE, width: int = SIDE) -> Array:
    image: Array = np.random.default_rng(seed).random((3, height, width), dtype=np.float32)
    return image


def _planes(count: int, height: int = SIDE, width: int = SIDE) -> Array:
    """Bands from top to bottom, with rows in between that two share."""
    bands = np.arange(height) * count // height
    planes = (bands == np.arange(count)[:, None]).astype(np.float32)
    softer = (planes + np.roll(planes, 1, axis=1)) / 2
    softer[:, 0] = planes[:, 0]
    return np.repeat(np.rint(255 * softer)[:, :, None], width, axis=2).astype(np.uint8)


def _style(seed: int, regions: int, content_regions: int, **size: int) -> SoftStyle:
    coupling = np.random.default_rng(seed).random((content_regions, regions))
    coupling /= coupling.sum(axis=1, keepdims=True)
    return SoftStyle(_image(seed, **size), _planes(regions, **size), coupling)


def _two_styles(share: float) -> list[SoftStyle]:
    """Of different sizes; the second has a share in the mix."""
    one, other = _style(1, 3, 2, height=24), _style(2, 1, 2, width=40)
    return [one._replace(weight=1.0 - share), other._replace(weight=share)]


@pytest.fixture
def inputs() -> Inputs:
    return soft_inputs(_image(0), _planes(2), [_style(1, 3, 2, height=24)], places=PLACES)


def _serve(inputs: Inputs, engine: NetworkEngine, cache: int = 0) -> Array:
    return serve_wct2(inputs, engine, StyleCache(cache))["IMAGE"]


def _soft(image: Array, planes: Array) -> SoftImage:
    weights = planes.astype(np.float32)
    return SoftImage(torch.from_numpy(image[None]), weights / weights.sum(axis=0))


def test_the_result_is_that_of_the_library(inputs: Inputs, engine: CountingEngine) -> None:
    style = _style(1, 3, 2, height=24)
    measures = measure_soft(_soft(style.image, style.regions), engine, places=PLACES)
    coupled = couple_measures(measures, style.coupling.astype(np.float32).astype(np.float64))
    content = _soft(_image(0), _planes(2))
    expected = apply_soft(content, coupled, engine, places=PLACES)[0]
    np.testing.assert_array_equal(_serve(inputs, engine), expected)


def test_inputs_are_those_of_the_contract(inputs: Inputs) -> None:
    shot = Shot(b"a", 0.5)
    several = soft_inputs(_image(0), _planes(2), _two_styles(0.5), places=SKIP, shot=shot)
    assert inputs.keys() < several.keys()
    types = {"FP32": np.float32, "UINT8": np.uint8, "INT32": np.int32, "BYTES": np.object_}
    specs = {spec.name: spec for spec in WCT2.inputs}
    for given in (inputs, several):
        for name, value in given.items():
            assert value.dtype == types[specs[name].dtype], name
            sizes = zip(specs[name].dims, value.shape, strict=True)
            assert all(wanted in (-1, size) for wanted, size in sizes), name
    assert several["STYLE_REGIONS"].shape == (3, 32, 72)
    assert several["COUPLING"].shape == (2, 6)
    np.testing.assert_array_equal(several["COUPLING"][:, 4:], 0.0)  # the second has one region


def test_several_styles_of_different_sizes_and_counts_are_mixed(engine: CountingEngine) -> None:
    def run(share: float) -> Array:
        given = soft_inputs(_image(0), _planes(2), _two_styles(share), places=PLACES)
        return _serve(given, engine)

    first, half, mostly, second = (run(share) for share in (0.0, 0.5, 0.8, 1.0))
    alone = _serve(soft_inputs(_image(0), _planes(2), _two_styles(0)[:1], places=PLACES), engine)
    np.testing.assert_allclose(first, alone, atol=1e-4)
    apart = np.abs(first - second).mean()
    for mixed in (half, mostly):
        assert 0 < np.abs(mixed - first).mean() < apart
        assert 0 < np.abs(mixed - second).mean() < apart
    assert np.abs(mostly - second).mean() < np.abs(mostly - first).mean()


def test_a_region_that_takes_nothing_keeps_its_features(engine: CountingEngine) -> None:
    style = _style(1, 1, 2)._replace(coupling=np.array([[0.0], [0.0]]))
    found = _serve(soft_inputs(_image(0), _planes(2), [style], places=PLACES), engine)
    expected = reconstruct(engine, torch.from_numpy(_image(0))[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def _changed(name: str, change: Callable[[Array], Array]) -> Callable[[Inputs], object]:
    return lambda inputs: inputs.update({name: change(inputs[name])})


def _hole(planes: Array) -> Array:
    planes = planes.copy()
    planes[:, 3, 4] = 0
    return planes


def _many(planes: Array) -> Array:
    return np.repeat(planes, MAX_REGIONS, axis=0)


LABELS = np.zeros((SIDE, SIDE), np.uint8)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda inputs: inputs.pop("CONTENT_REGIONS"), "missing: CONTENT_REGIONS"),
        (lambda inputs: inputs.pop("STYLE_REGIONS"), "missing: STYLE_REGIONS"),
        (lambda inputs: inputs.pop("COUPLING"), "missing: COUPLING"),
        (lambda inputs: inputs.update(CONTENT_LABELS=LABELS), "came with CONTENT_LABELS; give"),
        (lambda inputs: inputs.update(PAIRS=LABELS[:1, :2]), "came with PAIRS; give"),
        (_changed("CONTENT_REGIONS", lambda p: p[:, 1:]), "CONTENT_REGIONS is 2x31x32; expected"),
        (_changed("STYLE_REGIONS", lambda p: p[:, :, 1:]), "STYLE_REGIONS is 3x24x31; expected"),
        (_changed("CONTENT_REGIONS", lambda p: p[:0]), "CONTENT_REGIONS is 0x32x32; expected"),
        (_changed("CONTENT_REGIONS", _many), "expected 1 to 64 planes"),
        (_changed("CONTENT_REGIONS", _hole), "CONTENT_REGIONS leaves pixels without a region"),
        (_changed("STYLE_REGIONS", _hole), "STYLE_REGIONS leaves pixels without a region"),
        (_changed("COUPLING", lambda c: c[:1]), "COUPLING is 1x3; expected"),
        (_changed("COUPLING", lambda c: c[:, :2]), "COUPLING is 2x2; expected"),
        (_changed("COUPLING", lambda c: -c), "expected shares from 0 up"),
        (_changed("COUPLING", lambda c: c * np.float32("nan")), "expected shares from 0 up"),
        (_changed("CONTENT", lambda i: i * np.float32("inf")), "CONTENT holds values"),
        (_changed("STYLE", lambda i: i * np.float32("nan")), "STYLE holds values"),
        (_changed("CONTENT", lambda i: i[:, :8]), "CONTENT_REGIONS is 2x32x32; expected"),
    ],
)
def test_refused(
    spoil: Callable[[Inputs], object], words: str, inputs: Inputs, engine: CountingEngine
) -> None:
    spoil(inputs)
    with np.errstate(invalid="ignore"), refused(InvalidOption, words):
        _serve(inputs, engine)
    assert engine.levels == 0


def test_too_small_a_photo_is_refused(engine: CountingEngine) -> None:
    given = soft_inputs(_image(0, height=8), _planes(1, height=8), [_style(1, 1, 1)], places=PLACES)
    with refused(InvalidOption, "at least 16 pixels"):
        _serve(given, engine)
    assert engine.levels == 0


def test_a_known_style_is_not_encoded_again(inputs: Inputs, engine: CountingEngine) -> None:
    cache = StyleCache(1 << 28)
    other = soft_inputs(_image(9), _planes(4), [_style(1, 3, 4, height=24)], places=PLACES)
    found = []
    # The content's four levels up and four down; the style's picture is not decoded.
    for given, known, levels in ((inputs, False, 15), (inputs, True, 8), (other, True, 8)):
        engine.levels = 0
        found.append(serve_wct2(given, engine, cache))
        assert found[-1]["STYLE_CACHED"].tolist() == [known]
        assert engine.levels == levels
    np.testing.assert_array_equal(found[0]["IMAGE"], found[1]["IMAGE"])


def test_moments_of_a_shot_are_steadied_while_a_region_takes_the_same(
    engine: CountingEngine,
) -> None:
    store, cache = SequenceStore(SteadyMoments), StyleCache(1 << 28)
    style = _style(1, 3, 2)

    def run(content: Array, style: SoftStyle, shot: Shot | None) -> Array:
        given = soft_inputs(content, _planes(2), [style], places=PLACES, shot=shot)
        return serve_wct2(given, engine, cache, store)["IMAGE"]

    one, two, shot = _image(0), 0.5 * _image(5), Shot(b"a", 0.8)
    np.testing.assert_array_equal(run(one, style, shot), run(one, style, None))
    assert np.abs(run(two, style, shot) - run(two, style, None)).max() > 0.01
    other = style._replace(coupling=np.roll(style.coupling, 1, axis=1))
    np.testing.assert_array_equal(run(two, other, shot), run(two, other, None))


class TestInProcess:
    def test_models_do_what_goes_through_the_tensors(self, engine: CountingEngine) -> None:
        models = in_process_models(engine)
        assert models.transfer_soft is not None
        assert models.segment is None
        styles = _two_styles(0.5)
        given = soft_inputs(_image(0), _planes(2), styles, places=SKIP)
        for cached in (False, True):
            found = models.transfer_soft(_image(0), _planes(2), styles, places=SKIP)
            np.testing.assert_array_equal(found.image, _serve(given, engine))
            assert found.style_cached is cached

    def test_label_maps_too(self, engine: CountingEngine) -> None:
        labels = np.zeros((SIDE, SIDE), dtype=np.uint8)
        style = StyleInput(_image(1), labels, [Pair(0, None)])
        found = in_process_models(engine).transfer(
            _image(0), labels, [style], alpha=0.5, places=PLACES, blend=2
        )
        given = wct2_inputs(_image(0), labels, [style], alpha=0.5, places=PLACES, blend=2)
        np.testing.assert_array_equal(found.image, _serve(given, engine))

    def test_the_segmenter_is_asked_for_probabilities(self, engine: CountingEngine) -> None:
        torch.manual_seed(0)
        segmenter = Segmenter(4, 5).eval()
        models = in_process_models(engine, segmenter, ("sky",) * 5)
        assert models.segment is not None
        image = _image(3, 64, 48)
        expected = segmenter.labels_and_probabilities(torch.from_numpy(image[None]))[1][0]
        np.testing.assert_array_equal(models.segment(image), expected.detach().numpy())
        np.testing.assert_array_equal(prober(segmenter)(image), expected.detach().numpy())

"""The transform by soft regions: against hard labels, plain definitions, and in what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.contract import PLACES, Place, Unpool
from photoreal.errors import InvalidOption
from photoreal.regions import Pair
from photoreal.regions.soft import find_regions, normalize_weights
from photoreal.transfer import region_transform, soft_transform
from photoreal.transfer.progressive import (
    LabelledImage,
    NetworkEngine,
    apply_style,
    transfer,
)
from photoreal.transfer.region_transform import RegionMeasure, RegionTransform, Target
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from photoreal.transfer.soft_transform import SoftMeasure, SoftTransform
from photoreal.transfer.whitening import (
    AffineMap,
    Moments,
    PixelWeights,
    StyleStatistics,
    affine_map,
    mixture,
    moments,
    style_statistics,
)

Array = npt.NDArray[Any]

HEIGHT, WIDTH, CHANNELS = 32, 48, 5
SKIP: tuple[Place, ...] = ("skip",)


def _features(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 10 * torch.randn((1, CHANNELS, height, width), generator=generator)


def _labels() -> Array:
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[:, 20:], labels[16:, :10] = 1, 2
    return labels


def _one_hot(labels: Array, count: int = 3) -> Array:
    planes: Array = (labels == np.arange(count)[:, None, None]).astype(np.float32)
    return planes


def _soft_weights(seed: int = 0, count: int = 3) -> Array:
    """A third of the plane is shared by all regions, the rest belongs to one each."""
    weights = _one_hot(_labels(), count)
    shared = np.random.default_rng(seed).random((count, HEIGHT, 16)).astype(np.float32) + 0.1
    weights[:, :, 12:28] = shared / shared.sum(axis=0)
    return weights


@pytest.fixture
def statistics() -> dict[int | None, StyleStatistics]:
    styles = (_features(1), 0.2 * _features(2) + 40, 3 * _features(3) - 25)
    return {k: style_statistics(moments([s[0].flatten(1)])) for k, s in enumerate(styles)}


def _assert_same(
    found: Moments, expected: Moments, rtol: float | None = None, atol: float | None = None
) -> None:
    torch.testing.assert_close(found.mean, expected.mean, rtol=rtol, atol=atol)
    torch.testing.assert_close(found.covariance, expected.covariance, rtol=rtol, atol=atol)
    assert float(found.low) == pytest.approx(float(expected.low))
    assert float(found.high) == pytest.approx(float(expected.high))


class TestOneHot:
    @pytest.fixture(autouse=True)
    def _without_a_ridge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Label maps are transformed as published, which adds 1 to each variance alone."""
        monkeypatch.setattr(soft_transform, "RIDGE", 0.0)

    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    @pytest.mark.parametrize("stride", [1, 2, 4])
    def test_the_transform_is_that_of_hard_labels(
        self, stride: int, alpha: float, statistics: dict[int | None, StyleStatistics]
    ) -> None:
        """Borders lie between blocks of pixels, where pooling leaves weights of 0 and 1."""
        features = _features(7, HEIGHT // stride, WIDTH // stride)
        labels = _labels()
        labels[:] = np.repeat(np.repeat(labels[::8, ::8], 8, axis=0), 8, axis=1)
        pairs = [Pair(k, k) for k in range(3)]
        (hard,) = RegionTransform(labels, pairs, alpha, 0)(Target(features.clone(), statistics))
        soft = SoftTransform(_one_hot(labels), alpha)
        (found,) = soft(Target(features.clone(), statistics))
        torch.testing.assert_close(found, hard, rtol=1e-5, atol=1e-4)

    def test_the_measure_is_that_of_hard_labels(self) -> None:
        hard = RegionMeasure(_labels(), [0, 1, 2])(_features(4))
        soft = SoftMeasure(_one_hot(_labels()))(_features(4))
        assert soft.keys() == hard.keys()
        for region, found in soft.items():
            _assert_same(found, hard[region])

    def test_the_whole_transfer_is_that_of_hard_labels(
        self,
        builtin_engine: Callable[[Unpool], NetworkEngine],
        smooth_image: Callable[..., Tensor],
    ) -> None:
        engine = builtin_engine("cat5")
        content, style = smooth_image(64, 72), smooth_image(48, 40, seed=1)
        ours, theirs = np.zeros((64, 72), np.uint8), np.zeros((48, 40), np.uint8)
        ours[32:], theirs[:, 16:] = 1, 1
        pairs = [Pair(0, 1), Pair(1, 0)]
        hard = transfer(
            LabelledImage(content, ours), LabelledImage(style, theirs), pairs, engine, blend=0
        )
        measures = measure_soft(SoftImage(style, _one_hot(theirs, 2)), engine)
        coupled = couple_measures(measures, np.array([[0.0, 1.0], [1.0, 0.0]]))
        soft = apply_soft(SoftImage(content, _one_hot(ours, 2)), coupled, engine)
        torch.testing.assert_close(soft, hard, rtol=0, atol=1e-4)


class TestMoments:
    def test_weighted_moments_are_numpys(self) -> None:
        flat = _features(1)[0].flatten(1)
        weights = torch.rand(flat.shape[1], generator=torch.Generator().manual_seed(0))
        parts = [flat[:, :700], flat[:, 700:900], flat[:, 900:]]
        given = [PixelWeights(w, float(w.sum())) for w in (weights[:700], weights[700:900])]
        weights[900:] = 1.0
        found = moments(parts, [*given, None])
        pixels, shares = flat.numpy().astype(np.float64), weights.numpy().astype(np.float64)
        mean = np.average(pixels, axis=1, weights=shares)
        scatter = (pixels - mean[:, None]) * shares @ (pixels - mean[:, None]).T
        np.testing.assert_allclose(found.mean[:, 0], mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            found.covariance, scatter / (shares.sum() - 1), rtol=1e-4, atol=1e-3
        )
        assert (found.low, found.high) == (float(flat.min()), float(flat.max()))

    def test_weights_of_1_are_no_weights(self) -> None:
        flat = _features(1)[0].flatten(1)
        weights = PixelWeights(torch.ones(flat.shape[1]), float(flat.shape[1]))
        _assert_same(moments([flat], [weights]), moments([flat]))

    def test_a_mixture_has_the_moments_of_the_pixels_together(self) -> None:
        one, two = _features(1)[0].flatten(1), 0.3 * _features(2)[0].flatten(1)[:, :512] + 8
        found = mixture([(one.shape[1], moments([one])), (two.shape[1], moments([two]))])
        together = moments([torch.cat([one, two], dim=1)])
        # Each part divides by one less than its pixels, and so do all together.
        _assert_same(found, together, rtol=3e-3, atol=1e-2)

    def test_a_mixture_of_one_is_that_one(self) -> None:
        only = moments([_features(1)[0].flatten(1)])
        assert mixture([(0.3, only)]) is only

    def test_soft_regions_have_the_moments_of_their_weights(self) -> None:
        weights, features = _soft_weights(), _features(4)
        found = SoftMeasure(weights)(features)
        flat = features[0].flatten(1).numpy().astype(np.float64)
        for region, shares in enumerate(weights.reshape(3, -1).astype(np.float64)):
            mean = np.average(flat, axis=1, weights=shares)
            scatter = (flat - mean[:, None]) * shares @ (flat - mean[:, None]).T
            np.testing.assert_allclose(found[region].mean[:, 0], mean, rtol=1e-3, atol=1e-3)
            covariance = scatter / (shares.sum() - 1) + soft_transform.RIDGE * np.eye(len(flat))
            np.testing.assert_allclose(found[region].covariance, covariance, rtol=1e-3, atol=1e-2)


class TestTransform:
    def test_what_hardly_varies_is_not_amplified_much(
        self, statistics: dict[int | None, StyleStatistics]
    ) -> None:
        flat = 0.01 * _features(4)
        weights = _one_hot(np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
        (found,) = SoftTransform(weights, 1.0)(Target(flat.clone(), {0: statistics[0]}))
        gain = found[0].flatten(1).std(dim=1).mean() / flat[0].flatten(1).std(dim=1).mean()
        strongest = torch.linalg.matrix_norm(statistics[0].root, 2)
        assert gain < strongest / soft_transform.RIDGE**0.5

    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    def test_each_pixel_gets_the_weighted_sum_of_its_regions_results(
        self, alpha: float, statistics: dict[int | None, StyleStatistics]
    ) -> None:
        weights, features = _soft_weights(), _features(4)
        own = SoftMeasure(weights)(features)
        (found,) = SoftTransform(weights, alpha)(Target(features.clone(), statistics))
        flat = features[0].flatten(1)
        expected = torch.zeros_like(flat)
        for region, shares in enumerate(torch.from_numpy(weights).flatten(1)):
            expected += shares * affine_map(own[region], statistics[region], alpha)(flat)
        torch.testing.assert_close(found[0].flatten(1), expected, rtol=1e-4, atol=1e-3)

    def test_a_region_without_statistics_keeps_its_features(
        self, statistics: dict[int | None, StyleStatistics]
    ) -> None:
        del statistics[1]
        weights, features = _soft_weights(), _features(4)
        (found,) = SoftTransform(weights, 1.0)(Target(features.clone(), statistics))
        alone = torch.from_numpy(weights[1] == 1.0)
        assert alone.any()
        assert torch.equal(found[..., alone], features[..., alone])
        assert not torch.equal(found[..., ~alone], features[..., ~alone])

    def test_a_region_of_less_than_a_pixel_keeps_its_features(
        self, statistics: dict[int | None, StyleStatistics]
    ) -> None:
        weights = _one_hot(np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
        weights[:, 3, 3] = 0.5, 0.3, 0.2
        features = _features(4)
        assert SoftMeasure(weights)(features).keys() == {0}
        (found,) = SoftTransform(weights, 1.0)(Target(features, statistics))
        assert torch.isfinite(found).all()

    @pytest.mark.parametrize("stride", [1, 8])
    def test_a_pixel_of_very_many_regions_gets_numbers(self, stride: int) -> None:
        """Each of 64 regions has too little of every pixel to be worth a pass."""
        weights = np.full((64, HEIGHT, WIDTH), 1 / 64, dtype=np.float32)
        features = _features(4, HEIGHT // stride, WIDTH // stride)
        style = style_statistics(moments([_features(1)[0].flatten(1)]))
        found = SoftMeasure(weights)(features)
        assert all(torch.isfinite(one.covariance).all() for one in found.values())
        (result,) = SoftTransform(weights, 1.0)(Target(features, dict.fromkeys(range(64), style)))
        assert torch.isfinite(result).all()


class TestTransfer:
    @pytest.fixture
    def engine(self, builtin_engine: Callable[[Unpool], NetworkEngine]) -> NetworkEngine:
        return builtin_engine("cat5")

    def test_odd_sizes_are_padded_and_cropped(
        self, engine: NetworkEngine, smooth_image: Callable[..., Tensor]
    ) -> None:
        content, style = smooth_image(35, 50), smooth_image(21, 17, seed=1)
        ours, theirs = (
            normalize_weights(np.random.default_rng(0).random((2, *i.shape[2:]), dtype=np.float32))
            for i in (content, style)
        )
        coupled = couple_measures(measure_soft(SoftImage(style, theirs), engine), np.eye(2))
        result = apply_soft(SoftImage(content, ours), coupled, engine)
        assert result.shape == content.shape
        assert torch.isfinite(result).all()

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_photos_of_one_color_give_numbers(self, value: float, engine: NetworkEngine) -> None:
        flat = torch.full((1, 3, 32, 40), value)
        weights = normalize_weights(np.random.default_rng(0).random((2, 32, 40), dtype=np.float32))
        picture = SoftImage(flat, weights)
        coupled = couple_measures(measure_soft(picture, engine), np.full((2, 2), 0.5))
        result = apply_soft(picture, coupled, engine)
        assert torch.isfinite(result).all()
        torch.testing.assert_close(result, flat, rtol=0, atol=0.02)

    def test_regions_whose_partners_have_vanished_have_no_entry(
        self, engine: NetworkEngine, smooth_image: Callable[..., Tensor]
    ) -> None:
        style = smooth_image(32, 32)
        weights = np.zeros((3, 32, 32), dtype=np.float32)
        weights[0, :16], weights[1, 16:] = 1.0, 1.0
        measures = measure_soft(SoftImage(style, weights), engine)
        coupling = np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1.0], [0, 0, 0]])
        coupled = couple_measures(measures, coupling)
        assert all(found.keys() == {0, 1} for found in coupled.values())

    def test_places_and_depth_are_those_asked_for(
        self, engine: NetworkEngine, smooth_image: Callable[..., Tensor]
    ) -> None:
        picture = SoftImage(smooth_image(32, 32), np.ones((1, 32, 32), dtype=np.float32))
        assert measure_soft(picture, engine, places=()) == {}
        skips = measure_soft(picture, engine, places=SKIP)
        assert {name for name, _ in skips} == {"LH", "HL", "HH"}
        assert measure_soft(picture, engine, places=PLACES).keys() > skips.keys()

    def test_too_small_a_photo_is_refused(self, engine: NetworkEngine) -> None:
        tiny = SoftImage(torch.zeros(1, 3, 15, 40), np.ones((1, 15, 40), dtype=np.float32))
        with pytest.raises(InvalidOption, match="at least 16 pixels"):
            measure_soft(tiny, engine)
        with pytest.raises(InvalidOption, match="at least 16 pixels"):
            apply_soft(tiny, {}, engine)


def _natural(height: int, width: int) -> Array:
    """A sky with clouds over hills and a house: borders of all kinds."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width] / height
    photo = np.stack([0.35 + 0.2 * y, 0.5 + 0.2 * y, 0.9 - 0.1 * y])
    clouds = np.sin(9 * x + 3 * np.sin(7 * y)) + np.sin(23 * y + 5 * x) > 0.9
    photo[:, clouds] = 0.5 * photo[:, clouds] + 0.45
    hills = y > 0.55 + 0.08 * np.sin(5 * x) + 0.03 * np.sin(31 * x)
    photo[:, hills] = np.array([0.2, 0.35, 0.12])[:, None]
    photo[:, (abs(x - 0.8) < 0.12) & (y > 0.45) & (y < 0.75)] = np.array([0.6, 0.3, 0.2])[:, None]
    photo[:, y > 0.85] = np.array([0.5, 0.45, 0.4])[:, None]
    photo += 0.03 * random.standard_normal((3, height, width))
    return np.asarray(np.clip(photo, 0, 1), dtype=np.float32)


@pytest.mark.slow
def test_soft_regions_cost_at_most_15_percent_more_products_than_hard_ones(
    builtin_engine: Callable[[Unpool], NetworkEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns that go through moments and maps, each as many products as its channels squared."""
    products = {"now": 0}

    def count(columns: Tensor) -> None:
        products["now"] += columns.shape[1] * columns.shape[0] ** 2

    def counted_moments(parts: Any, *rest: Any) -> Moments:
        parts = list(parts)
        for part in parts:
            count(part)
        return moments(parts, *rest)

    apply_map = AffineMap.__call__

    def counted_map(self: AffineMap, features: Tensor) -> Tensor:
        count(features)
        return apply_map(self, features)

    monkeypatch.setattr(region_transform, "moments", counted_moments)
    monkeypatch.setattr(soft_transform, "moments", counted_moments)
    monkeypatch.setattr(AffineMap, "__call__", counted_map)
    engine = builtin_engine("cat5")
    photo = _natural(320, 480)
    regions, _ = find_regions(photo, None)
    assert len(regions.weights) >= 4
    weights = normalize_weights(regions.weights, 0.75)
    image = torch.from_numpy(photo[None])
    measures = couple_measures(
        measure_soft(SoftImage(image, weights), engine), np.eye(len(weights))
    )

    products["now"] = 0
    labels = weights.argmax(axis=0).astype(np.uint8)
    pairs = [Pair(k, k) for k in range(len(weights))]
    apply_style(LabelledImage(image, labels), measures, pairs, engine)
    hard, products["now"] = products["now"], 0
    apply_soft(SoftImage(image, weights), measures, engine)
    soft = products["now"]
    assert hard > 0
    assert soft <= 1.15 * hard, soft / hard

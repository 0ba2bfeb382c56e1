"""The transform by soft regions: against hard labels, plain definitions, and in what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.contract import PLACES, Place
from photoreal.errors import InvalidOption
from photoreal.regions import Pair
from photoreal.regions.soft import find_regions, normalize_weights
from photoreal.transfer import region_transform, soft_transform
from photoreal.transfer.progressive import LabelledImage, apply_style, transfer
from photoreal.transfer.region_transform import RegionMeasure, RegionTransform, Target
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from photoreal.transfer.soft_transform import SoftMeasure, SoftTransform
from photoreal.transfer.whitening import (
    AffineMap,
    Moments,
    PartMoments,
    PixelWeights,
    StyleStatistics,
    affine_map,
    joined_moments,
    mixture,
    moments,
    part_moments,
    style_statistics,
)
from tests.shared import Array, builtin_engine, narrow_engine, psnr, smooth_image

Statistics = dict[int | None, StyleStatistics]

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
def statistics() -> Statistics:
    styles = (_features(1), 0.2 * _features(2) + 40, 3 * _features(3) - 25)
    return {k: style_statistics(moments([s[0].flatten(1)])) for k, s in enumerate(styles)}


def _assert_same(
    found: Moments, expected: Moments, rtol: float | None = None, atol: float | None = None
) -> None:
    torch.testing.assert_close(found[:2], expected[:2], rtol=rtol, atol=atol)
    assert float(found.low) == pytest.approx(float(expected.low))
    assert float(found.high) == pytest.approx(float(expected.high))


def _numpys(features: Tensor, shares: Array) -> tuple[Array, Array]:
    """The weighted mean and covariance of pixels (C, N)."""
    pixels = features.numpy().astype(np.float64)
    mean = np.average(pixels, axis=1, weights=shares)
    scatter = (pixels - mean[:, None]) * shares @ (pixels - mean[:, None]).T
    return mean, scatter / (shares.sum() - 1)


def _same_range(features: Tensor, labels: Array) -> None:
    """Give the features of every region the range of all.

    Results are clamped to the range of the region with label maps, of the features with weights.
    """
    low, high = torch.aminmax(features)
    for label in np.unique(labels).tolist():
        rows, columns = np.nonzero(labels == label)
        features[0, 0, rows[0], columns[0]] = low
        features[0, 0, rows[1], columns[1]] = high


class TestOneHot:
    @pytest.fixture(autouse=True)
    def _without_a_ridge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Label maps are transformed as published, which adds 1 to each variance alone."""
        monkeypatch.setattr(soft_transform, "RIDGE", 0.0)

    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    @pytest.mark.parametrize("stride", [1, 2, 4])
    def test_the_transform_is_that_of_hard_labels(
        self, stride: int, alpha: float, statistics: Statistics
    ) -> None:
        """Borders lie between blocks of pixels, where pooling leaves weights of 0 and 1."""
        features = _features(7, HEIGHT // stride, WIDTH // stride)
        labels = np.repeat(np.repeat(_labels()[::8, ::8], 8, axis=0), 8, axis=1)
        _same_range(features, labels[::stride, ::stride])
        pairs = [Pair(k, k) for k in range(3)]
        (hard,) = RegionTransform(labels, pairs, alpha, 0)(Target(features.clone(), statistics))
        soft = SoftTransform(_one_hot(labels), alpha)
        (found,) = soft(Target(features.clone(), statistics))
        torch.testing.assert_close(found, hard, rtol=1e-5, atol=1e-4)

    def test_the_measure_is_that_of_hard_labels(self) -> None:
        features = _features(4)
        _same_range(features, _labels())
        (hard,) = RegionMeasure(_labels(), [0, 1, 2])(features)
        (soft,) = SoftMeasure(_one_hot(_labels()))(features)
        assert soft.keys() == hard.keys()
        for region, found in soft.items():
            _assert_same(found, hard[region])

    def test_the_whole_transfer_is_that_of_hard_labels(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Unclamped, since the ranges differ."""
        monkeypatch.setattr(
            AffineMap, "__call__", lambda self, x: torch.addmm(self.offset, self.matrix, x)
        )
        content, style = smooth_image(64, 72), smooth_image(48, 40, seed=1)
        ours, theirs = np.zeros((64, 72), np.uint8), np.zeros((48, 40), np.uint8)
        ours[32:], theirs[:, 16:] = 1, 1
        pairs = [Pair(0, 1), Pair(1, 0)]
        labelled = LabelledImage(content, ours), LabelledImage(style, theirs)
        engine = builtin_engine()
        engine.depth = 4
        hard = transfer(*labelled, pairs, engine, blend=0)
        measures = measure_soft(SoftImage(style, _one_hot(theirs, 2)), engine, places=PLACES)
        coupled = couple_measures(measures, np.array([[0.0, 1.0], [1.0, 0.0]]))
        regions = SoftImage(content, _one_hot(ours, 2))
        soft = apply_soft(regions, coupled, engine, places=PLACES)
        torch.testing.assert_close(soft, hard, rtol=0, atol=1e-4)


class TestMoments:
    def test_weighted_moments_are_numpys(self) -> None:
        flat = _features(1)[0].flatten(1)
        weights = torch.rand(flat.shape[1], generator=torch.Generator().manual_seed(0))
        parts = [flat[:, :700], flat[:, 700:900], flat[:, 900:]]
        given = [PixelWeights(w, float(w.sum())) for w in (weights[:700], weights[700:900])]
        weights[900:] = 1.0
        found = joined_moments(list(map(part_moments, parts, [*given, None])))
        mean, covariance = _numpys(flat, weights.numpy().astype(np.float64))
        np.testing.assert_allclose(found.mean[:, 0], mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-4, atol=1e-3)
        assert (found.low, found.high) == (float(flat.min()), float(flat.max()))

    def test_a_mixture_has_the_moments_of_the_pixels_together(self) -> None:
        one, two = _features(1)[0].flatten(1), 0.3 * _features(2)[0].flatten(1)[:, :512] + 8
        found = mixture([(one.shape[1], moments([one])), (two.shape[1], moments([two]))])
        together = moments([torch.cat([one, two], dim=1)])
        # Each part divides by one less than its pixels, and so do all together.
        _assert_same(found, together, rtol=3e-3, atol=1e-2)
        only = moments([one])
        assert mixture([(0.3, only)]) is only

    def test_soft_regions_have_the_moments_of_their_weights(self) -> None:
        weights, features = _soft_weights(), _features(4)
        (found,) = SoftMeasure(weights)(features)
        for region, shares in enumerate(weights.reshape(3, -1).astype(np.float64)):
            mean, covariance = _numpys(features[0].flatten(1), shares)
            np.testing.assert_allclose(found[region].mean[:, 0], mean, rtol=1e-3, atol=1e-3)
            covariance += soft_transform.RIDGE * np.eye(CHANNELS)
            np.testing.assert_allclose(found[region].covariance, covariance, rtol=1e-3, atol=1e-2)


class TestTransform:
    def test_what_hardly_varies_is_not_amplified_much(self, statistics: Statistics) -> None:
        flat = 0.01 * _features(4)
        weights = _one_hot(np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
        (found,) = SoftTransform(weights, 1.0)(Target(flat.clone(), {0: statistics[0]}))
        gain = found[0].flatten(1).std(dim=1).mean() / flat[0].flatten(1).std(dim=1).mean()
        strongest = torch.linalg.matrix_norm(statistics[0].root, 2)
        assert gain < strongest / soft_transform.RIDGE**0.5

    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    @pytest.mark.parametrize("lacking", [None, 1])
    def test_each_pixel_gets_the_weighted_sum_of_its_regions_results(
        self, lacking: int | None, alpha: float, statistics: Statistics
    ) -> None:
        """A region without statistics keeps its features."""
        weights, features = _soft_weights(), _features(4)
        (own,) = SoftMeasure(weights)(features)
        flat = features[0].flatten(1)
        expected = torch.zeros_like(flat)
        for region, shares in enumerate(torch.from_numpy(weights).flatten(1)):
            function = affine_map(own[region], statistics[region], alpha)
            expected += shares * (flat if region == lacking else function(flat))
        if lacking is not None:
            del statistics[lacking]
        (found,) = SoftTransform(weights, alpha)(Target(features.clone(), statistics))
        torch.testing.assert_close(found[0].flatten(1), expected, rtol=1e-4, atol=1e-3)

    def test_a_region_of_less_than_a_pixel_keeps_its_features(self, statistics: Statistics) -> None:
        weights = _one_hot(np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
        weights[:, 3, 3] = 0.5, 0.3, 0.2
        features = _features(4)
        assert SoftMeasure(weights)(features)[0].keys() == {0}
        (found,) = SoftTransform(weights, 1.0)(Target(features, statistics))
        assert torch.isfinite(found).all()

    @pytest.mark.parametrize("stride", [1, 8])
    def test_a_pixel_of_very_many_regions_gets_numbers(self, stride: int) -> None:
        """Each of 64 regions has too little of every pixel to be worth a pass."""
        weights = np.full((64, HEIGHT, WIDTH), 1 / 64, dtype=np.float32)
        features = _features(4, HEIGHT // stride, WIDTH // stride)
        style = style_statistics(moments([_features(1)[0].flatten(1)]))
        (found,) = SoftMeasure(weights)(features)
        assert all(torch.isfinite(one.covariance).all() for one in found.values())
        (result,) = SoftTransform(weights, 1.0)(Target(features, dict.fromkeys(range(64), style)))
        assert torch.isfinite(result).all()


class TestTransfer:
    def test_odd_sizes_are_padded_and_cropped(self) -> None:
        random = np.random.default_rng(0)
        content, style = (
            SoftImage(image, normalize_weights(random.random((2, *image.shape[2:]), np.float32)))
            for image in (smooth_image(35, 50), smooth_image(21, 17, seed=1))
        )
        coupled = couple_measures(measure_soft(style, narrow_engine()), np.eye(2))
        result = apply_soft(content, coupled, narrow_engine())
        assert result.shape == content.image.shape
        assert torch.isfinite(result).all()

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_photos_of_one_color_give_numbers(self, value: float) -> None:
        flat = torch.full((1, 3, 32, 40), value)
        weights = normalize_weights(np.random.default_rng(0).random((2, 32, 40), dtype=np.float32))
        picture = SoftImage(flat, weights)
        coupled = couple_measures(measure_soft(picture, builtin_engine()), np.full((2, 2), 0.5))
        result = apply_soft(picture, coupled, builtin_engine())
        torch.testing.assert_close(result, flat, rtol=0, atol=0.02)

    def test_regions_whose_partners_have_vanished_have_no_entry(self) -> None:
        weights = np.zeros((3, 32, 32), dtype=np.float32)
        weights[0, :16], weights[1, 16:] = 1.0, 1.0
        measures = measure_soft(SoftImage(smooth_image(32, 32), weights), narrow_engine())
        coupling = np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1.0], [0, 0, 0]])
        coupled = couple_measures(measures, coupling)
        assert all(found.keys() == {0, 1} for found in coupled.values())

    def test_places_and_depth_are_those_asked_for(self) -> None:
        picture = SoftImage(smooth_image(32, 32), np.ones((1, 32, 32), dtype=np.float32))
        assert measure_soft(picture, narrow_engine(), places=()) == {}
        skips = measure_soft(picture, narrow_engine(), places=SKIP)
        assert {name for name, _ in skips} == {"LH", "HL", "HH"}
        assert measure_soft(picture, narrow_engine(), places=PLACES).keys() > skips.keys()

    def test_too_small_a_photo_is_refused(self) -> None:
        tiny = SoftImage(torch.zeros(1, 3, 15, 40), np.ones((1, 15, 40), dtype=np.float32))
        with pytest.raises(InvalidOption, match="at least 16 pixels"):
            measure_soft(tiny, builtin_engine())
        with pytest.raises(InvalidOption, match="at least 16 pixels"):
            apply_soft(tiny, {}, builtin_engine())


def _natural(height: int, width: int) -> Array:
    """A sky with clouds over hills and a house: borders of all kinds."""
    y, x = np.mgrid[:height, :width] / height
    photo = np.stack([0.35 + 0.2 * y, 0.5 + 0.2 * y, 0.9 - 0.1 * y])
    clouds = np.sin(9 * x + 3 * np.sin(7 * y)) + np.sin(23 * y + 5 * x) > 0.9
    photo[:, clouds] = 0.5 * photo[:, clouds] + 0.45
    hills = y > 0.55 + 0.08 * np.sin(5 * x) + 0.03 * np.sin(31 * x)
    photo[:, hills] = np.array([0.2, 0.35, 0.12])[:, None]
    photo[:, (abs(x - 0.8) < 0.12) & (y > 0.45) & (y < 0.75)] = np.array([0.6, 0.3, 0.2])[:, None]
    photo[:, y > 0.85] = np.array([0.5, 0.45, 0.4])[:, None]
    photo += 0.03 * np.random.default_rng(5).standard_normal((3, height, width))
    return np.asarray(np.clip(photo, 0, 1), dtype=np.float32)


@pytest.mark.slow
def test_soft_regions_cost_at_most_15_percent_more_products_than_hard_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Columns that go through moments and maps, each as many products as its channels squared."""
    products: list[int] = []
    apply_map = AffineMap.__call__

    def count(columns: Tensor) -> Tensor:
        products.append(columns.shape[1] * columns.shape[0] ** 2)
        return columns

    def counted_moments(part: Tensor, *rest: Any) -> PartMoments:
        return part_moments(count(part), *rest)

    monkeypatch.setattr(region_transform, "part_moments", counted_moments)
    monkeypatch.setattr(soft_transform, "part_moments", counted_moments)
    monkeypatch.setattr(AffineMap, "__call__", lambda self, x: apply_map(self, count(x)))
    photo = _natural(320, 480)
    regions, _ = find_regions(photo, None)
    count_of_regions = len(regions.weights)
    assert count_of_regions >= 4
    weights = normalize_weights(regions.weights, 0.75)
    image, engine = SoftImage(torch.from_numpy(photo[None]), weights), builtin_engine()
    engine.depth = 4
    found = measure_soft(image, engine, places=PLACES)
    measures = couple_measures(found, np.eye(count_of_regions))

    products.clear()
    labels = weights.argmax(axis=0).astype(np.uint8)
    pairs = [Pair(k, k) for k in range(count_of_regions)]
    apply_style(LabelledImage(image.image, labels), measures, pairs, engine)
    hard = sum(products)
    products.clear()
    apply_soft(image, measures, engine, places=PLACES)
    assert 0 < sum(products) <= 1.15 * hard, sum(products) / hard


@pytest.mark.slow
def test_what_the_default_leaves_out_is_not_visible() -> None:
    """Deep levels of the built-in weights, after an alignment of colors."""
    engine, whole = builtin_engine(), builtin_engine()
    whole.depth = 4
    content, style = smooth_image(64, 72), 0.95 * smooth_image(64, 72, seed=2) + 0.02
    weights = np.ones((1, 64, 72), np.float32)
    pictures = []
    for one in (engine, whole):
        coupled = couple_measures(measure_soft(SoftImage(style, weights), one), np.ones((1, 1)))
        pictures.append(apply_soft(SoftImage(content, weights), coupled, one))
    assert (pictures[0] - content).abs().mean() > 0.02
    assert psnr(*pictures) > 50


@pytest.mark.slow
def test_a_sample_gives_the_picture_of_all_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    content, style = smooth_image(160, 240), 0.8 * smooth_image(160, 240, seed=2) + 0.1
    weights = np.ones((1, 160, 240), np.float32)

    def picture() -> Tensor:
        measures = measure_soft(SoftImage(style, weights), builtin_engine())
        coupled = couple_measures(measures, np.ones((1, 1)))
        return apply_soft(SoftImage(content, weights), coupled, builtin_engine())

    sampled = picture()
    monkeypatch.setattr(soft_transform, "SAMPLE", 160 * 240)
    whole = picture()
    assert not torch.equal(sampled, whole)
    assert psnr(sampled, whole) > 50


def test_a_pixel_elsewhere_does_not_change_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_transform, "SAMPLE", 100)
    weights = torch.ones(1050)
    weights[0] = 0.0
    whole, lacking = (
        torch.cat([piece.pixels for piece in soft_transform._sampled(row)])
        for row in (torch.ones(1050), weights)
    )
    assert 80 < len(whole) < 120
    assert torch.equal(whole, lacking)
    between = (torch.arange(6000) % 11 < 2).float()  # the places of the sample are the sixth of 11
    assert sum(len(piece.pixels) for piece in soft_transform._sampled(between)) == between.sum()

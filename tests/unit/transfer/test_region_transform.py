"""The transform of a feature map by regions, with hard and with soft borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.regions import LabelMap, Pair
from photoreal.transfer.region_transform import RegionMeasure, RegionTransform, Target
from photoreal.transfer.whitening import StyleStatistics, affine_map, moments, styles_statistics

HEIGHT, WIDTH, CHANNELS = 32, 48, 5
EDGE = 20
"""The column at which the second of two regions begins."""

Statistics = dict[int | None, StyleStatistics]


def _features(height: int = HEIGHT, width: int = WIDTH, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 10 * torch.randn((1, CHANNELS, height, width), generator=generator)


def _columns(*starts: int) -> LabelMap:
    """Labels 0, 1, 2 ... side by side; each of `starts` begins the next one."""
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for start in starts:
        labels[:, start:] += 1
    return labels


def _measured(labels: LabelMap, wanted: Sequence[int | None], features: Tensor) -> Statistics:
    found = RegionMeasure(labels, wanted)(features)
    return dict(zip(found, styles_statistics(list(found.values())), strict=True))


@pytest.fixture
def statistics() -> Statistics:
    """Two styles, 4 and 5, and a whole photo that are nothing like each other."""
    styles = (_features(seed=1), 0.2 * _features(seed=2) + 40, 3 * _features(seed=3) - 25)
    found: Statistics = {}
    for label, style in zip((4, 5, None), styles, strict=True):
        found |= _measured(np.full((HEIGHT, WIDTH), label or 0), [label], style)
    return found


PAIRS = [Pair(0, 4), Pair(1, 5)]


def _transform(
    features: Tensor,
    labels: LabelMap,
    statistics: Statistics,
    pairs: Sequence[Pair] = PAIRS,
    *,
    alpha: float = 1.0,
    blend: int = 0,
) -> Tensor:
    """The result for a copy of the features."""
    target = Target(features.clone(), statistics)
    (found,) = RegionTransform(labels, pairs, alpha, blend)(target)
    return found


def _mapped(features: Tensor, region: LabelMap, style: StyleStatistics, alpha: float) -> Tensor:
    """Every pixel under the map of one region, by its definition."""
    flat = features[0].flatten(1)
    inside = torch.from_numpy(region.ravel().astype(bool))
    return affine_map(moments([flat[:, inside]]), style, alpha)(flat).view_as(features)


@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_each_region_gets_its_own_map(alpha: float, statistics: Statistics) -> None:
    features, labels = _features(), _columns(EDGE)
    found = _transform(features, labels, statistics, alpha=alpha)
    for label, style in PAIRS:
        expected = _mapped(features, labels == label, statistics[style], alpha)
        inside = torch.from_numpy(labels == label)
        torch.testing.assert_close(found[..., inside], expected[..., inside])


@pytest.mark.parametrize("blend", [1, 3, 8])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_a_soft_border_mixes_both_regions_maps(
    alpha: float, blend: int, statistics: Statistics
) -> None:
    """By how much of the window around a pixel each region has, on the whole plane."""
    features, labels = _features(), _columns(EDGE)
    hard = _transform(features, labels, statistics, alpha=alpha)
    soft = _transform(features, labels, statistics, alpha=alpha, blend=blend)
    columns = np.arange(WIDTH)
    near = (columns >= EDGE - blend) & (columns < EDGE + blend)
    torch.testing.assert_close(soft[..., ~near], hard[..., ~near], rtol=0, atol=0)
    expected = torch.zeros_like(features)
    for label, style in PAIRS:
        mask = torch.from_numpy((labels == label).astype(np.float32))[None, None]
        weight = F.avg_pool2d(F.pad(mask, (blend,) * 4, mode="replicate"), 2 * blend + 1, stride=1)
        expected += weight * _mapped(features, labels == label, statistics[style], alpha)
    torch.testing.assert_close(soft[..., near], expected[..., near], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("blend", [2, 6])
def test_weights_fall_from_one_region_to_the_other(blend: int, statistics: Statistics) -> None:
    """On features that are constant, what is left of a style is its share at each column."""
    statistics = {
        4: StyleStatistics(torch.zeros(CHANNELS, 1), torch.eye(CHANNELS)),
        5: StyleStatistics(torch.ones(CHANNELS, 1), torch.eye(CHANNELS)),
    }
    features = torch.zeros(1, CHANNELS, HEIGHT, WIDTH)
    features[..., 0, 0], features[..., 0, -1] = -100, 100  # nothing is clamped
    labels = _columns(EDGE)
    hard = _transform(features, labels, statistics)[0, 0, HEIGHT // 2]
    soft = _transform(features, labels, statistics, blend=blend)[0, 0, HEIGHT // 2]
    low, high = float(hard[0]), float(hard[-1])
    share = (soft - low) / (high - low)
    assert (share.diff() >= -1e-4).all()
    assert (share[: EDGE - blend] == 0).all()
    torch.testing.assert_close(share[EDGE + blend :], torch.ones(WIDTH - EDGE - blend))
    ramp = torch.arange(1, 2 * blend + 1) / (2 * blend + 1)
    torch.testing.assert_close(share[EDGE - blend : EDGE + blend], ramp, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (4, 6)])
def test_weights_add_up_to_one(size: tuple[int, int]) -> None:
    labels = _columns(7, 20, 33)
    labels[10:17] = 9
    transform = RegionTransform(labels, [Pair(0, 4), Pair(1, 5), Pair(9, None)], 1.0, 3)
    border = transform._border(_features(*size), [0, 1, 9])
    assert list(border.shares) == [0, 1, 9]
    weights = torch.stack([*(share.weights for share in border.shares.values()), border.own])
    assert weights.shape == (3 + 1, border.pixels.numel())
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(border.pixels.numel()))
    assert border.own.max() > 0.5  # labels 2 and 3 have no style


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_border_is_as_wide_in_pixels_at_every_level(stride: int, statistics: Statistics) -> None:
    features = _features(HEIGHT // stride, WIDTH // stride)
    labels = _columns(24)
    hard = _transform(features, labels, statistics)
    soft = _transform(features, labels, statistics, blend=8)
    changed = ((hard - soft).abs().amax(dim=(0, 1, 2)) > 1e-4).nonzero().squeeze(1) * stride
    assert changed.tolist() == list(range(16, 32, stride))


@pytest.mark.parametrize("blend", [0, 3])
def test_pixels_without_a_pair_keep_their_features(blend: int, statistics: Statistics) -> None:
    features, labels = _features(), _columns(EDGE)
    found = _transform(features, labels, statistics, [Pair(0, 4)], blend=blend)
    assert torch.equal(found[..., EDGE + blend :], features[..., EDGE + blend :])
    assert not torch.equal(found[..., : EDGE - blend], features[..., : EDGE - blend])


def test_a_soft_border_mixes_a_region_with_its_neighbor_s_own_features(
    statistics: Statistics,
) -> None:
    features, labels = _features(), _columns(EDGE)
    found = _transform(features, labels, statistics, [Pair(0, 4)], blend=1)
    mapped = _mapped(features, labels == 0, statistics[4], 1.0)
    for column, share in ((EDGE - 1, 2 / 3), (EDGE, 1 / 3)):
        expected = share * mapped[..., column] + (1 - share) * features[..., column]
        torch.testing.assert_close(found[..., column], expected)


@pytest.mark.parametrize("blend", [0, 2])
def test_a_region_whose_style_has_vanished_keeps_its_features(
    blend: int, statistics: Statistics
) -> None:
    features, labels = _features(), _columns(EDGE)
    del statistics[5]
    found = _transform(features, labels, statistics, blend=blend)
    expected = _transform(features, labels, statistics, [Pair(0, 4)], blend=blend)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[..., EDGE + blend :], features[..., EDGE + blend :])


@pytest.mark.parametrize("blend", [0, 2])
def test_a_region_that_has_vanished_at_a_level_is_skipped_there(
    blend: int, statistics: Statistics
) -> None:
    labels = _columns(EDGE)
    labels[1:4, 1:4] = 2  # no sample of the smallest maps falls into it
    pairs = [*PAIRS, Pair(2, None)]
    features = _features(HEIGHT // 8, WIDTH // 8)
    found = _transform(features, labels, statistics, pairs, blend=blend)
    assert torch.isfinite(found).all()
    without = _transform(features, labels, statistics, PAIRS, blend=blend)
    torch.testing.assert_close(found, without)


@pytest.mark.parametrize("blend", [0, 3])
@pytest.mark.parametrize("pairs", [[], [Pair(7, 4)], [Pair(0, 9)]], ids=str)
def test_without_a_pair_that_exists_nothing_changes(
    pairs: list[Pair], blend: int, statistics: Statistics
) -> None:
    features = _features()
    found = _transform(features, _columns(EDGE), statistics, pairs, blend=blend)
    torch.testing.assert_close(found, features, rtol=1e-6 if blend else 0, atol=0)


def test_one_region_has_no_border(statistics: Statistics) -> None:
    features, labels = _features(), _columns()
    hard = _transform(features, labels, statistics, [Pair(0, None)])
    assert torch.equal(_transform(features, labels, statistics, [Pair(0, None)], blend=5), hard)


@pytest.mark.parametrize("blend", [0, 4])
def test_features_are_overwritten_and_statistics_are_not(
    blend: int, statistics: Statistics
) -> None:
    """The result lies where the features were."""
    kept = {label: (found.mean.clone(), found.root.clone()) for label, found in statistics.items()}
    features = _features()
    (result,) = RegionTransform(_columns(EDGE), PAIRS, 1.0, blend)(Target(features, statistics))
    assert result.data_ptr() == features.data_ptr()
    for label, (mean, root) in kept.items():
        assert torch.equal(statistics[label].mean, mean)
        assert torch.equal(statistics[label].root, root)


def test_statistics_are_those_of_the_region_s_pixels() -> None:
    features, labels = _features(seed=5), _columns(EDGE)
    found = _measured(labels, [0, 1, None, 6], features)
    assert set(found) == {0, 1, None}  # there is no label 6
    for label, columns in ((0, slice(EDGE)), (1, slice(EDGE, None)), (None, slice(None))):
        region = features[0, :, :, columns].flatten(1)
        torch.testing.assert_close(found[label].mean, region.mean(dim=1, keepdim=True))
        identity = torch.eye(CHANNELS)
        torch.testing.assert_close(
            found[label].root @ found[label].root, region.cov() + identity, rtol=1e-4, atol=1e-3
        )


def test_measuring_more_regions_changes_none_of_them() -> None:
    features, labels = _features(seed=6), _columns(10, 30)
    everything = _measured(labels, [0, 1, 2, None], features)
    for label in (0, 1, 2, None):
        alone = _measured(labels, [label], features)[label]
        assert torch.equal(alone.mean, everything[label].mean)
        assert torch.equal(alone.root, everything[label].root)

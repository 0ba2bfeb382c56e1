"""The transform of a feature map by regions, with hard and with soft borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from photoreal.regions import LabelMap, Pair
from photoreal.transfer.region_transform import RegionMeasure, RegionTransform, Target
from photoreal.transfer.whitening import StyleStatistics, affine_map, moments, styles_statistics

HEIGHT, WIDTH, CHANNELS = 32, 48, 5
EDGE = 20
"""The column at which the second of two regions begins."""

Statistics = dict[int | None, StyleStatistics]
PAIRS = [Pair(0, 4), Pair(1, 5)]


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
    (found,) = RegionMeasure(labels, wanted)(features)
    return dict(zip(found, styles_statistics(list(found.values())), strict=True))


@pytest.fixture
def statistics() -> Statistics:
    """Two styles, 4 and 5, and a whole photo that are nothing like each other."""
    styles = (_features(seed=1), 0.2 * _features(seed=2) + 40, 3 * _features(seed=3) - 25)
    found: Statistics = {}
    for label, style in zip((4, 5, None), styles, strict=True):
        found |= _measured(np.full((HEIGHT, WIDTH), label or 0), [label], style)
    return found


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


def _nearby(region: LabelMap, blend: int) -> Tensor:
    """The share of a region in the window around each pixel."""
    inside, everywhere = (
        ndimage.uniform_filter(one.astype(float), 2 * blend + 1, mode="constant")
        for one in (region, np.ones_like(region))
    )
    return torch.from_numpy(inside / everywhere).float()


@pytest.mark.parametrize("blend", [0, 1, 3, 8])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
@pytest.mark.parametrize(
    "pairs", [PAIRS, [*PAIRS, Pair(9, None)], [Pair(0, 4)]], ids=["two", "three", "one"]
)
def test_a_pixel_is_the_mix_of_the_maps_of_the_regions_around_it(
    pairs: list[Pair], alpha: float, blend: int, statistics: Statistics
) -> None:
    """Regions without a pair keep their own features."""
    features, labels = _features(), _columns(7, EDGE, 33)
    labels[10:17, 12:] = 9
    expected, own = torch.zeros_like(features), torch.ones(HEIGHT, WIDTH)
    for label, style in pairs:
        weight = _nearby(labels == label, blend)
        expected += weight * _mapped(features, labels == label, statistics[style], alpha)
        own -= weight
    expected += own * features
    found = _transform(features, labels, statistics, pairs, alpha=alpha, blend=blend)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)
    hard = _transform(features, labels, statistics, pairs, alpha=alpha)
    inside = torch.stack([_nearby(labels == label, blend) for label in np.unique(labels)]).amax(0)
    assert torch.equal(found[..., inside == 1], hard[..., inside == 1])


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_border_is_as_wide_in_pixels_at_every_level(stride: int, statistics: Statistics) -> None:
    features = _features(HEIGHT // stride, WIDTH // stride)
    labels = _columns(24)
    hard = _transform(features, labels, statistics)
    soft = _transform(features, labels, statistics, blend=8)
    changed = ((hard - soft).abs().amax(dim=(0, 1, 2)) > 1e-4).nonzero().squeeze(1) * stride
    assert changed.tolist() == list(range(16, 32, stride))


@pytest.mark.parametrize("blend", [0, 2])
def test_a_region_whose_style_has_vanished_keeps_its_features(
    blend: int, statistics: Statistics
) -> None:
    features, labels = _features(), _columns(EDGE)
    del statistics[5]
    found = _transform(features, labels, statistics, blend=blend)
    expected = _transform(features, labels, statistics, [Pair(0, 4)], blend=blend)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("blend", [0, 2])
def test_a_region_that_has_vanished_at_a_level_is_skipped_there(
    blend: int, statistics: Statistics
) -> None:
    labels = _columns(EDGE)
    labels[1:4, 1:4] = 2  # no sample of the smallest maps falls into it
    features = _features(HEIGHT // 8, WIDTH // 8)
    found = _transform(features, labels, statistics, [*PAIRS, Pair(2, None)], blend=blend)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, _transform(features, labels, statistics, blend=blend))


@pytest.mark.parametrize("blend", [0, 3])
@pytest.mark.parametrize("pairs", [[], [Pair(7, 4)], [Pair(0, 9)]], ids=str)
def test_without_a_pair_that_exists_nothing_changes(
    pairs: list[Pair], blend: int, statistics: Statistics
) -> None:
    features = _features()
    found = _transform(features, _columns(EDGE), statistics, pairs, blend=blend)
    torch.testing.assert_close(found, features, rtol=1e-6 if blend else 0, atol=0)


def test_one_region_has_no_border(statistics: Statistics) -> None:
    features, labels, pairs = _features(), _columns(), [Pair(0, None)]
    hard, soft = (_transform(features, labels, statistics, pairs, blend=b) for b in (0, 5))
    assert torch.equal(soft, hard)


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
        mean, root = found[label]
        torch.testing.assert_close(mean, region.mean(dim=1, keepdim=True))
        covariance = region.cov() + torch.eye(CHANNELS)
        torch.testing.assert_close(root @ root, covariance, rtol=1e-4, atol=1e-3)
        alone = _measured(labels, [label], features)[label]
        assert torch.equal(alone.mean, mean)
        assert torch.equal(alone.root, root)

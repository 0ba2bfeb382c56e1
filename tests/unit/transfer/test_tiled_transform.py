"""All regions of a level together, as on a GPU: results as region by region, in fewer launches.

Tensors are on the CPU here; what a GPU itself computes is in `test_gpu.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from photoreal import devices
from photoreal.regions import MAX_REGIONS
from photoreal.transfer import roots, soft_tiles, tiled_transform
from photoreal.transfer.progressive import NetworkEngine
from photoreal.transfer.region_transform import Target
from photoreal.transfer.soft_tiles import cut_tiles, pooled, rounded
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from photoreal.transfer.soft_transform import SoftMeasure, SoftTransform
from photoreal.transfer.steady import SteadyMoments
from photoreal.transfer.whitening import Moments, StyleStatistics, moments, style_statistics
from tests.shared import Array, builtin_engine, builtin_networks, smooth_image
from tests.unit.networks.work import count_work

pytestmark = pytest.mark.slow

HEIGHT, WIDTH, CHANNELS = 48, 56, 5
STRIDES = (1, 2, 4, 8)

Set = Callable[[bool], None]


@pytest.fixture
def set_queued(monkeypatch: pytest.MonkeyPatch) -> Set:
    return lambda queued: monkeypatch.setattr(devices, "is_queued", lambda device: queued)


@pytest.fixture(params=["usual", "small"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles and blocks of the usual size, or so small that there are many."""
    if request.param == "small":
        for module in (soft_tiles, tiled_transform):
            monkeypatch.setattr(module, "TILE", 64)
        monkeypatch.setattr(tiled_transform, "BLOCK", 64 * CHANNELS * 7)


def _stripes(count: int, width: int = WIDTH) -> Array:
    """Vertical stripes whose borders are shared by two regions."""
    center = (np.arange(count) + 0.5) * width / count
    near = -np.abs(np.arange(width) - center[:, None]).astype(np.float32)
    planes = np.exp(near - near.max(axis=0))
    planes[planes < 0.3] = 0.0
    found: Array = np.repeat((planes / planes.sum(axis=0))[:, None], HEIGHT, axis=1)
    return found


def _noise(count: int) -> Array:
    found = np.random.default_rng(0).dirichlet([0.3] * count, (HEIGHT, WIDTH))
    planes: Array = found.astype(np.float32).transpose(2, 0, 1)
    return planes


def _with_a_pixel(share: float) -> Array:
    """One pixel belongs to the third region, as much as `share`."""
    planes: Array = np.concatenate([_stripes(2), np.zeros((1, HEIGHT, WIDTH), np.float32)])
    planes[:, 9, 17] = (1.0 - share, 0.0, share)
    return planes


LAYOUTS: dict[str, Array] = {
    "one region": np.ones((1, HEIGHT, WIDTH), np.float32),
    "stripes": _stripes(4),
    "noise": _noise(3),
    "an empty region": np.insert(_stripes(3), 1, 0.0, axis=0),
    "a region of a pixel": _with_a_pixel(1.0),
    "a region of less than a pixel": _with_a_pixel(0.4),
    "as many as there may be": _stripes(MAX_REGIONS),
}


def _features(count: int, stride: int, seed: int) -> list[Tensor]:
    """Features far from 0 that vary little in places, as those of networks."""
    random = torch.Generator().manual_seed(seed)
    size = 1, CHANNELS, HEIGHT // stride, WIDTH // stride
    found = [10 * torch.randn(size, generator=random) + 40 for _ in range(count)]
    for one in found:
        one[..., : size[3] // 2] *= 0.1
    return found


def _styles(regions: int) -> dict[int | None, StyleStatistics]:
    """Statistics for all regions but the second."""
    spread = (0.3, 1.0, 2.0)
    return {
        k: style_statistics(moments([spread[k % 3] * _features(1, 1, 9 + k)[0][0].flatten(1)]))
        for k in range(regions)
        if k != 1
    }


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("layout", LAYOUTS)
class TestAlike:
    def test_moments(self, layout: str, stride: int, set_queued: Set) -> None:
        features = _features(3, stride, 0)
        expected = SoftMeasure(LAYOUTS[layout])(*features)
        set_queued(True)
        found = SoftMeasure(LAYOUTS[layout])(*features)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.keys() == theirs.keys()
            for region, own in ours.items():
                torch.testing.assert_close(own[:2], theirs[region][:2], rtol=1e-5, atol=2e-4)

    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    @pytest.mark.parametrize("count", [1, 3])
    def test_results(
        self, layout: str, stride: int, count: int, alpha: float, set_queued: Set
    ) -> None:
        features, styles = _features(count, stride, 0), _styles(len(LAYOUTS[layout]))

        def transformed(weights: Array) -> Tensor:
            targets = (Target(one.clone(), styles) for one in features)
            return torch.cat(SoftTransform(weights, alpha)(*targets))

        expected = transformed(LAYOUTS[layout])
        set_queued(True)
        torch.testing.assert_close(transformed(LAYOUTS[layout]), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiles_hold_each_weight_once_and_little_else(layout: str) -> None:
    weights = torch.from_numpy(LAYOUTS[layout])
    for stride, tiles in cut_tiles(weights).items():
        expected = rounded(pooled(weights, stride))
        found = torch.zeros_like(expected)
        for region, pixels, own in zip(tiles.regions, tiles.pixels, tiles.weights, strict=True):
            found[region].index_add_(0, pixels, own)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(tiles.portions.sum(dim=1), torch.ones(len(tiles.sums)))
        filled = tiles.pixels.numel() - int(expected.count_nonzero())
        assert filled < len(weights) * soft_tiles.TILE


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_is_gathered_at_once_than_a_block(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiled_transform, "BLOCK", 4 * soft_tiles.TILE * CHANNELS)
    tiles = cut_tiles(torch.from_numpy(LAYOUTS["stripes"]))[1]
    gathered = [x for _, x in tiled_transform._Pixels(_features(count, 1, 0), tiles)]
    assert len(gathered) > 1
    assert max(x.numel() for x in gathered) <= tiled_transform.BLOCK
    assert sum(x.shape[1] for x in gathered) == len(tiles.pixels)


def test_a_shot_smooths_the_moments(set_queued: Set) -> None:
    weights, styles = LAYOUTS["stripes"], _styles(4)

    def smooth(region: int, own: Moments) -> Moments:
        return Moments(own.mean + region, 2 * own.covariance, own.low - 1, own.high + 1)

    def transformed() -> Tensor:
        (found,) = SoftTransform(weights, 1.0)(Target(_features(1, 1, 0)[0], styles, smooth))
        return found

    expected = transformed()
    set_queued(True)
    torch.testing.assert_close(transformed(), expected, rtol=1e-5, atol=1e-3)


def test_a_frame_of_a_shot_is_the_same_and_takes_few_launches(set_queued: Set) -> None:
    weights, styles = LAYOUTS["stripes"], _styles(4)

    def frames() -> tuple[list[Tensor], list[int]]:
        memory, results, launches = SteadyMoments(), [], []
        for seed in range(3):
            memory.next_frame()
            target = Target(_features(1, 1, seed)[0], styles, partial(memory, steady=0.7))
            transform = SoftTransform(weights, 1.0)
            with count_work() as work:
                results += transform(target)
            launches.append(work.launches)
        return results, launches

    expected, _ = frames()
    set_queued(True)
    found, (first, *later) = frames()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-3)
    assert max(later) <= first + len(styles)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_of_half_precision_are_float32(dtype: torch.dtype, set_queued: Set) -> None:
    set_queued(True)
    halves = [one.to(dtype) for one in _features(2, 2, 0)]
    measure = SoftMeasure(LAYOUTS["stripes"])
    for ours, theirs in zip(
        measure(*halves), measure(*(one.float() for one in halves)), strict=True
    ):
        for region, own in ours.items():
            assert own.mean.dtype == own.covariance.dtype == torch.float32
            assert torch.equal(own.covariance, theirs[region].covariance)
    target = Target(halves[0].clone(), _styles(4))
    (result,) = SoftTransform(LAYOUTS["stripes"], 1.0)(target)
    assert result.dtype == dtype


COUPLING = np.array([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5], [0.0, 0.0, 0.0]])


def _pictures() -> tuple[SoftImage, SoftImage]:
    content = smooth_image(HEIGHT, WIDTH), LAYOUTS["stripes"]
    return SoftImage(*content), SoftImage(smooth_image(HEIGHT, WIDTH, seed=1), _with_a_pixel(1.0))


@pytest.mark.slow
def test_the_whole_transfer_is_the_same(set_queued: Set) -> None:
    def picture() -> Tensor:
        content, style = _pictures()
        measures = couple_measures(measure_soft(style, builtin_engine()), COUPLING)
        return apply_soft(content, measures, builtin_engine())

    expected = picture()
    set_queued(True)
    torch.testing.assert_close(picture(), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_statistics_are_coupled_alike(set_queued: Set) -> None:
    """The style's third region vanishes at the deeper levels."""
    measures = measure_soft(_pictures()[1], builtin_engine())
    assert len({len(found) for found in measures.values()}) > 1
    expected = couple_measures(measures, COUPLING)
    set_queued(True)
    found = couple_measures(measures, COUPLING)
    assert found.keys() == expected.keys()
    for place, regions in found.items():
        assert regions.keys() == expected[place].keys()
        for region, own in regions.items():
            theirs = expected[place][region]
            torch.testing.assert_close(own.mean, theirs.mean, rtol=1e-5, atol=1e-4)
            torch.testing.assert_close(own.root, theirs.root, rtol=1e-4, atol=1e-3)


class _Graph:
    """Stands in for a captured CUDA graph: a replay is one launch, whatever it computes."""

    def __init__(self, count: int, channels: int, device: torch.device) -> None:
        self.graph, self.given = self, torch.zeros(count, channels, channels)
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with _disable_current_modes():
            self.root, self.inverse = roots.newton_schulz(self.given)


@pytest.mark.slow
@pytest.mark.parametrize("regions", [2, 5])
def test_a_request_with_a_new_style_takes_few_launches(
    regions: int, set_queued: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of them are of the networks; region by region there were several thousand."""
    graphs: dict[tuple[int, ...], _Graph] = {}

    def captured(*given: Any) -> _Graph:
        return graphs.setdefault(given[:2], _Graph(*given))

    monkeypatch.setattr(roots, "_has_graphs", lambda covariances: True)
    monkeypatch.setattr(roots, "_captured", captured)
    set_queued(True)
    weights = torch.from_numpy(_stripes(regions, 32)[:, :32])
    content, style = (SoftImage(smooth_image(32, 32, seed=k), weights) for k in range(2))
    engine = NetworkEngine(*builtin_networks("cat5"), dtype=torch.float16, channels_last=True)
    with count_work() as work:
        measures = couple_measures(measure_soft(style, engine), np.full((regions,) * 2, 0.3))
        apply_soft(content, measures, engine)
    assert 0 < work.launches + sum(graph.replays for graph in graphs.values()) <= 880
    assert work.synchronizations <= 4  # two for the tiles of each photo

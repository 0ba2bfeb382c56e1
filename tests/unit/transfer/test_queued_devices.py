"""The way of a GPU, taken on the CPU: nothing is read back, features may be in half precision.

What a GPU itself computes is checked by `benchmarks/gpu.py`, on one.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal import devices
from photoreal.regions import Pair
from photoreal.transfer import region_pixels
from photoreal.transfer import roots as roots_module
from photoreal.transfer.progressive import LabelledImage, NetworkEngine, transfer
from photoreal.transfer.roots import inverse_roots, newton_schulz, roots
from photoreal.transfer.whitening import moments
from tests.shared import builtin_engine, builtin_networks, psnr, smooth_image

pytestmark = pytest.mark.slow


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "is_queued", lambda device: True)


class _Replayed:
    """Stands in for a captured graph on a machine without a GPU."""

    def __init__(self, count: int, channels: int) -> None:
        self.graph = self
        self.given = torch.zeros(count, channels, channels)

    def replay(self) -> None:
        self.root, self.inverse = newton_schulz(self.given)


@pytest.mark.parametrize("count", [1, 5, 16, 17, 64, 3 * 64])
def test_graphs_are_few_however_many_regions(
    count: int, queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured: dict[tuple[int, int], _Replayed] = {}

    def capture(room: int, channels: int, device: torch.device) -> _Replayed:
        return captured.setdefault((room, channels), _Replayed(room, channels))

    monkeypatch.setattr(roots_module, "_has_graphs", lambda covariances: True)
    monkeypatch.setattr(roots_module, "_captured", capture)
    given = [_covariance(8, 50.0, seed=seed) for seed in range(count)]
    expected, expected_inverses = newton_schulz(torch.stack(given))
    torch.testing.assert_close(torch.stack(roots(given)), expected)
    torch.testing.assert_close(torch.stack(inverse_roots(given)), expected_inverses)
    assert {room for room, _ in captured} <= {1, 2, 4, 8, 16}


def _covariance(channels: int, largest: float, *, seed: int = 0) -> Tensor:
    """A covariance with eigenvalues from 0, a third of them, to `largest`."""
    generator = torch.Generator().manual_seed(seed)
    vectors, _ = torch.linalg.qr(torch.randn(channels, channels, generator=generator))
    values = torch.logspace(-1, np.log10(largest), channels)
    values[: channels // 3] = 0.0
    covariance: Tensor = (vectors * values) @ vectors.T
    return (covariance + covariance.T) / 2


@pytest.mark.parametrize("largest", [0.5, 1e2, 1e3])
@pytest.mark.parametrize("channels", [3, 64, 256])
def test_the_iteration_gives_what_the_decomposition_gives(channels: int, largest: float) -> None:
    found = [_covariance(channels, largest, seed=seed) for seed in range(2)]
    for results, expected in zip(
        newton_schulz(torch.stack(found)), (roots(found), inverse_roots(found)), strict=True
    ):
        for one, wanted in zip(results, expected, strict=True):
            assert (one - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def test_the_iteration_does_not_run_away() -> None:
    """Where float32 has no digits left for the smallest eigenvalues."""
    covariance = _covariance(64, 1e8)
    root, inverse = newton_schulz(covariance[None])
    (expected,) = roots([covariance])
    assert (root[0] - expected).abs().max() < 1e-3 * expected.abs().max()
    assert inverse.abs().max() < 2


def test_the_queued_way_asks_for_no_decomposition(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eigh(matrix: Tensor) -> None:
        raise AssertionError("a decomposition makes the host wait")

    monkeypatch.setattr(torch.linalg, "eigh", eigh)
    found = [_covariance(8, 10.0, seed=seed) for seed in range(3)]
    assert len(roots(found)) == len(inverse_roots(found)) == 3
    assert roots([]) == inverse_roots([]) == []


def test_the_range_of_a_region_stays_a_tensor(queued: None) -> None:
    region = torch.rand(4, 30)
    found = moments([region[:, :10], region[:, 10:]])
    assert isinstance(found.low, Tensor)
    assert isinstance(found.high, Tensor)
    assert (found.low, found.high) == (region.min(), region.max())


def test_statistics_of_half_precision_are_float32() -> None:
    region = (100 + torch.rand(4, 3000)).half()
    found, expected = moments([region]), moments([region.float()])
    assert found.covariance.dtype == found.mean.dtype == torch.float32
    assert torch.equal(found.covariance, expected.covariance)
    assert torch.equal(found.mean, expected.mean)


def _pictures() -> tuple[LabelledImage, LabelledImage, list[Pair]]:
    labels, theirs = np.zeros((48, 44), np.uint8), np.zeros((40, 48), np.uint8)
    labels[:, 20:], labels[30:] = 1, 2
    theirs[12:] = 1
    content = LabelledImage(smooth_image(48, 44), labels)
    style = LabelledImage(smooth_image(40, 48, seed=1), theirs)
    return content, style, [Pair(0, 1), Pair(1, None)]


@pytest.mark.parametrize("blend", [0, 3])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_the_transfer_is_the_same(
    blend: int, alpha: float, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = transfer(*_pictures(), builtin_engine(), alpha=alpha, blend=blend)
    request.getfixturevalue("queued")
    monkeypatch.setattr(region_pixels, "QUEUED_BLOCK", 500)
    found = transfer(*_pictures(), builtin_engine(), alpha=alpha, blend=blend)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("blend", [0, 3])
@pytest.mark.parametrize("channels_last", [False, True])
def test_half_precision_is_close(channels_last: bool, blend: int, queued: None) -> None:
    expected = transfer(*_pictures(), builtin_engine(), blend=blend)
    half = NetworkEngine(
        *builtin_networks("cat5"), dtype=torch.float16, channels_last=channels_last
    )
    found = transfer(*_pictures(), half, blend=blend)
    assert found.dtype == torch.float16
    assert psnr(found.float().clamp(0, 1), expected.clamp(0, 1)) >= 40

"""The Haar transform against convolutions with its filters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.networks import wavelet

each_shape = pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 5, 16, 24), (2, 4, 6, 10)])


def _filter(band: str, channels: int) -> Tensor:
    """The published depthwise filter of a band."""
    taps = torch.tensor(wavelet.FILTERS[band], dtype=torch.float64)
    return taps.view(1, 1, 2, 2).expand(channels, 1, 2, 2)


def _features(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _bands(*shape: int) -> wavelet.Bands:
    return wavelet.Bands(*(_features(*shape, seed=seed) for seed in range(2, 6)))


def _unpooled(bands: wavelet.Bands) -> list[Tensor]:
    """Each band alone, as a transposed convolution."""
    return [
        F.conv_transpose2d(band, _filter(name, band.shape[1]), stride=2, groups=band.shape[1])
        for name, band in zip(bands._fields, bands, strict=True)
    ]


def test_filters_are_products_of_the_low_and_the_high_pass() -> None:
    root = 0.5**0.5
    passes = {"L": torch.tensor([root, root]), "H": torch.tensor([-root, root])}
    for band, taps in wavelet.FILTERS.items():
        product = torch.outer(passes[band[0]], passes[band[1]]).flatten()
        torch.testing.assert_close(torch.tensor(taps), product)


@each_shape
def test_pool_is_a_depthwise_convolution_with_each_filter(shape: tuple[int, ...]) -> None:
    features = _features(*shape)
    bands = wavelet.pool(features)
    for name, band in zip(bands._fields, bands, strict=True):
        expected = F.conv2d(features, _filter(name, shape[1]), stride=2, groups=shape[1])
        torch.testing.assert_close(band, expected)
    torch.testing.assert_close(wavelet.unpool(bands), features)


@each_shape
def test_unpool_is_the_sum_of_transposed_convolutions(shape: tuple[int, ...]) -> None:
    bands = _bands(*shape)
    torch.testing.assert_close(wavelet.unpool(bands), torch.stack(_unpooled(bands)).sum(dim=0))


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 6, 7, 9), (2, 3, 8, 2)])
@pytest.mark.parametrize("outputs", [1, 11])
def test_folded_kernel_is_the_convolution_of_unpooled_bands(
    shape: tuple[int, ...], outputs: int
) -> None:
    bands = _bands(*shape)
    weight = _features(outputs, 4, shape[1], 3, 3)
    padded = F.pad(torch.cat(_unpooled(bands), dim=1), (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(padded, weight.flatten(1, 2))
    found = wavelet.convolve_unpooled(bands, wavelet.fold_unpooling(weight))
    torch.testing.assert_close(found, expected)

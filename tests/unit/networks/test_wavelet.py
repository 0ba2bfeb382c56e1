"""The Haar transform against convolutions with its filters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.networks import wavelet

SHAPES = [(1, 3, 2, 2), (2, 5, 16, 24), (2, 4, 6, 10)]


def _filter(band: str, channels: int) -> Tensor:
    """The published depthwise filter of a band."""
    taps = torch.tensor(wavelet.FILTERS[band], dtype=torch.float64)
    return taps.view(1, 1, 2, 2).expand(channels, 1, 2, 2)


def _features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _bands(*shape: int) -> wavelet.Bands:
    generator = torch.Generator().manual_seed(2)
    return wavelet.Bands(
        *(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(4))
    )


def test_filters_are_products_of_the_low_and_the_high_pass() -> None:
    root = 0.5**0.5
    passes = {"L": torch.tensor([root, root]), "H": torch.tensor([-root, root])}
    for band, taps in wavelet.FILTERS.items():
        product = torch.outer(passes[band[0]], passes[band[1]]).flatten()
        torch.testing.assert_close(torch.tensor(taps), product)


@pytest.mark.parametrize("shape", SHAPES)
def test_pool_is_a_depthwise_convolution_with_each_filter(shape: tuple[int, ...]) -> None:
    features = _features(*shape)
    bands = wavelet.pool(features)
    for name, band in zip(bands._fields, bands, strict=True):
        expected = F.conv2d(features, _filter(name, shape[1]), stride=2, groups=shape[1])
        torch.testing.assert_close(band, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_unpool_is_the_sum_of_transposed_convolutions(shape: tuple[int, ...]) -> None:
    bands = _bands(*shape)
    expected = sum(
        F.conv_transpose2d(band, _filter(name, shape[1]), stride=2, groups=shape[1])
        for name, band in zip(bands._fields, bands, strict=True)
    )
    torch.testing.assert_close(wavelet.unpool(bands), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_unpool_undoes_pool_and_pool_undoes_unpool(shape: tuple[int, ...]) -> None:
    features, bands = _features(*shape), _bands(*shape)
    torch.testing.assert_close(wavelet.unpool(wavelet.pool(features)), features)
    for again, band in zip(wavelet.pool(wavelet.unpool(bands)), bands, strict=True):
        torch.testing.assert_close(again, band)


def test_pool_keeps_the_energy() -> None:
    features = _features(2, 3, 8, 12)
    energy = sum((band**2).sum() for band in wavelet.pool(features))
    torch.testing.assert_close(energy, (features**2).sum())


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 6, 7, 9), (2, 3, 8, 2)])
@pytest.mark.parametrize("outputs", [1, 11])
def test_folded_kernel_is_the_convolution_of_unpooled_bands(
    shape: tuple[int, ...], outputs: int
) -> None:
    bands = _bands(*shape)
    weight = _features(outputs, 4, shape[1], 3, 3)
    side_by_side = torch.cat(
        [
            F.conv_transpose2d(band, _filter(name, shape[1]), stride=2, groups=shape[1])
            for name, band in zip(bands._fields, bands, strict=True)
        ],
        dim=1,
    )
    padded = F.pad(side_by_side, (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(padded, weight.flatten(1, 2))
    found = wavelet.convolve_unpooled(bands, wavelet.fold_unpooling(weight))
    torch.testing.assert_close(found, expected)

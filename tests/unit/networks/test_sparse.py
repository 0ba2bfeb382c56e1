"""What filters only copy, against the convolution of the whole of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from speed.dense import dense_networks
from torch import Tensor, nn

from photoreal.contract import UNPOOLS, Unpool
from photoreal.networks import wavelet
from photoreal.networks.fast import kernels, sparse
from photoreal.networks.fast.sparse import Layer, Run
from photoreal.regions import Pair
from photoreal.transfer.progressive import NetworkEngine, apply_style, measure_style, transfer
from tests.shared import (
    builtin_engine,
    builtin_networks,
    psnr,
    random_image,
    reconstruct,
    smooth_image,
    unlabelled,
)

from .work import count_work

WHOLE = [Pair(0, None)]
C = 24


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _copying(outputs: int, source: int = 0, gain: float = 1.0) -> Tensor:
    weight = torch.zeros(outputs, C, 3, 3)
    weight[torch.arange(outputs), torch.arange(outputs) + source, 1, 1] = gain
    return weight


def _point(outputs: int) -> Tensor:
    weight = torch.zeros(outputs, C, 3, 3)
    weight[:, :, 1, 1] = _random(outputs, C, seed=1)
    return weight


def _full(outputs: int) -> Tensor:
    return _random(outputs, C, 3, 3, seed=2).div(15.0)


ZEROS = torch.zeros(3, C, 3, 3)
HALF, QUARTER = _copying(4, 0, 0.5), _copying(4, 8, 0.25)
LAYERS: dict[str, tuple[Tensor, tuple[Run, ...]]] = {
    "the same": (_copying(C), (Run("copy", 0, C, 0, 1.0),)),
    "half, doubled": (_copying(12, 12, 2.0), (Run("copy", 0, 12, 12, 2.0),)),
    "negative": (_copying(C, 0, -0.5), (Run("copy", 0, C, 0, -0.5),)),
    "a matrix": (_point(5), (Run("point", 0, 5),)),
    "copied, then convolved": (
        torch.cat([_copying(12, 3, 0.5), _full(17)]),
        (Run("copy", 0, 12, 3, 0.5), Run("full", 12, 29)),
    ),
    "two gains": (
        torch.cat([HALF, QUARTER]),
        (Run("copy", 0, 4, 0, 0.5), Run("copy", 4, 8, 8, 0.25)),
    ),
    "no taps after others": (
        torch.cat([_point(5), ZEROS, _full(4), ZEROS]),
        (Run("point", 0, 8), Run("full", 8, 15)),
    ),
    "no taps at first": (
        torch.cat([ZEROS, _copying(C)]),
        (Run("point", 0, 3), Run("copy", 3, C + 3, 0, 1.0)),
    ),
}


@pytest.mark.parametrize(("weight", "runs"), LAYERS.values(), ids=LAYERS)
def test_the_runs_of_a_layer_are_found(weight: Tensor, runs: tuple[Run, ...]) -> None:
    assert sparse.examine(weight, None) == Layer(runs, biased=False)
    assert sparse.examine(weight, torch.zeros(len(weight))) == Layer(runs, biased=False)
    assert sparse.examine(weight, torch.ones(len(weight))) == Layer(runs, biased=True)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("layout", ["rows", "pixels", "neither"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("weight", [layer for layer, _ in LAYERS.values()], ids=LAYERS)
def test_a_layer_gives_what_the_whole_convolution_gives(
    weight: Tensor, biased: bool, layout: str, relu: bool
) -> None:
    x = _random(2, 2 * C, 13, 10, seed=3)[:, ::2]
    if layout != "neither":
        x = x.contiguous(
            memory_format=torch.channels_last if layout == "pixels" else torch.contiguous_format
        )
    before = x.clone()
    bias = _random(len(weight), seed=4) if biased else torch.zeros(len(weight))
    layer = sparse.examine(weight, bias)
    assert layer is not None
    found = sparse.convolve(x, weight, bias, layer, relu=relu)
    expected = kernels.convolve(x.double(), weight.double(), bias.double(), relu=relu)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
    assert kernels.is_channels_last(found) == (layout == "pixels")
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("weight", "biased", "rectified", "is_left_out"),
    [
        (_copying(C), False, True, True),
        (_copying(C), False, False, False),
        (_copying(C), True, True, False),
        (_copying(C, 0, 0.5), False, True, False),
        (_copying(4), False, True, False),
        (_copying(4, 8), False, True, False),
    ],
    ids=["copy", "not rectified", "bias", "gain", "first channels", "other channels"],
)
def test_a_copy_of_rectified_features_is_left_out(
    weight: Tensor, biased: bool, rectified: bool, is_left_out: bool
) -> None:
    x, bias = _random(1, C, 6, 8).relu(), torch.ones(len(weight)) if biased else None
    layer = sparse.examine(weight, bias)
    found = sparse.convolve(x, weight, bias, layer, relu=True, rectified=rectified)
    assert (found is x) == is_left_out
    torch.testing.assert_close(found, kernels.convolve(x, weight, bias, relu=True))


@pytest.mark.parametrize(
    "weight",
    [
        _full(8),
        torch.cat([_copying(2, at) for at in (0, 4, 8, 12, 16)]),
        torch.cat([_full(8), torch.zeros(4, C, 3, 3)]),
        torch.full((4, C, 3, 3), torch.nan),
    ],
    ids=["full", "many runs", "full and none", "not finite"],
)
def test_what_saves_nothing_is_convolved_as_a_whole(weight: Tensor) -> None:
    assert sparse.examine(weight, None) is None


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("gains", [(0.1, 0.1, 0.1, 0.1, 0.9), (1.0, -2.0, 0.0, 0.5, 0.0)], ids=str)
def test_a_join_that_only_adds_up_is_the_convolution_of_it(
    gains: tuple[float, ...], layout: torch.memory_format, biased: bool
) -> None:
    weight = torch.stack([_copying(C, 0, gain) for gain in gains], dim=1)
    assert sparse.join_gains(weight) == pytest.approx(gains)
    planes = [_random(2, C, 5, 7, seed=k).to(memory_format=layout) for k in range(4)]
    original = _random(2, C, 10, 14, seed=4).to(memory_format=layout)
    bias = _random(C, seed=5) if biased else None
    found = wavelet.join_scaled(wavelet.Bands(*planes), original, gains, bias)
    zero = torch.zeros_like(planes[0])
    apart = [[band if i == k else zero for k in range(4)] for i, band in enumerate(planes)]
    stacked = [wavelet.unpool(wavelet.Bands(*one)) for one in apart]
    expected = kernels.convolve(
        torch.cat([*stacked, original], dim=1).double(),
        weight.flatten(1, 2).double(),
        None if bias is None else bias.double(),
        relu=True,
    )
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight[0, 2].copy_(_full(1)[0]),
        lambda weight: weight[3, 4, 3, 1, 1].mul_(2.0),
        lambda weight: weight[:, 1].copy_(_copying(C).flip(0)),
    ],
    ids=["a full filter", "another gain", "other channels"],
)
def test_a_join_that_does_more_is_convolved(change: Callable[[Tensor], object]) -> None:
    weight = torch.stack([_copying(C)] * 5, dim=1)
    change(weight)
    assert sparse.join_gains(weight) is None


@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.slow
def test_the_picture_of_the_built_in_weights_is_the_same(
    unpool: Unpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, style = unlabelled(smooth_image(40, 56)), unlabelled(smooth_image(48, 32, seed=1))
    found = transfer(content, style, WHOLE, builtin_engine(unpool))
    monkeypatch.setattr(kernels, "computes", lambda *_: False)
    expected = transfer(content, style, WHOLE, builtin_engine(unpool))
    assert not torch.equal(found, content.image)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.slow
def test_dense_networks_leave_nothing_out_and_the_picture_as_it_is(unpool: Unpool) -> None:
    """Their parameters are loaded into copies, which examines them again."""
    content, style = unlabelled(smooth_image(40, 56)), unlabelled(smooth_image(48, 32, seed=1))
    networks = builtin_networks(unpool)
    dense = dense_networks(networks)
    assert not any(network._known for network in dense)
    assert all(gains is None for gains in dense[1]._gains.values())
    assert all(network._known for network in networks)
    engines = (NetworkEngine(*one) for one in (networks, dense))
    pictures = [transfer(content, style, WHOLE, one).clamp(0, 1) for one in engines]
    assert psnr(*pictures) > 50


def multiply_adds(network: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of a network's convolutions for a picture (height, width).

    The digit in a layer's name is its VGG level; each level has half the size of the previous one.
    """
    total = 0
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            stride = 2 ** max(int(name.removeprefix("conv")[0]) - 1, 0)
            total += layer.weight.numel() * (height // stride) * (width // stride)
    return total


def test_work_is_counted_from_the_layers() -> None:
    networks = builtin_networks("cat5")
    assert multiply_adds(networks[0], 8, 8) == (
        (3 * 3 + 9 * (3 * 64 + 64 * 64)) * 64
        + 9 * (64 * 128 + 128 * 128) * 16
        + 9 * (128 * 256 + 3 * 256 * 256) * 4
        + 9 * 256 * 512
    )
    total = sum(multiply_adds(network, 512, 768) for network in networks)
    assert total / 1e9 == pytest.approx(362, rel=0.01)


def test_a_thirtieth_of_the_products_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the documentation says."""
    monkeypatch.setenv(kernels.CONVOLUTION_VARIABLE, "direct")
    engine = builtin_engine()  # computing the weights is not counted
    with count_work() as work, torch.inference_mode():
        reconstruct(engine, random_image(96, 96))
    whole = sum(multiply_adds(network, 96, 96) for network in builtin_networks("cat5"))
    assert 0.9 / 30 < work.products / whole < 1.1 / 30


# For a content of 96x96 and a style of 96x48. With nothing left out it is more than four times
# the convolutions and almost six times the products (see test_kernels).
CONVOLUTIONS = 2 * (2 + 3)
PRODUCTS, ALLOCATED = 1_980_000_000, 145_000_000


def test_a_transfer_with_the_built_in_weights_stays_within_its_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kernels.CONVOLUTION_VARIABLE, "direct")
    content, style = unlabelled(random_image(96, 96)), unlabelled(random_image(96, 48))
    engine = builtin_engine()
    with count_work() as work:
        transfer(content, style, WHOLE, engine)
    assert work.convolutions == CONVOLUTIONS
    assert 0.95 * PRODUCTS < work.products <= PRODUCTS
    assert work.allocated <= ALLOCATED
    known = measure_style(style, [None], engine)
    with count_work() as again:
        apply_style(content, known, WHOLE, engine)
    assert again.convolutions == CONVOLUTIONS // 2

"""What filters only copy, against the convolution of the whole of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from speed.dense import dense_networks
from speed.work import multiply_adds
from torch import Tensor

from photoreal.contract import LEVELS, UNPOOLS, Unpool
from photoreal.networks import wavelet
from photoreal.networks.fast import kernels, sparse
from photoreal.networks.fast.sparse import Layer, Run
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.regions import Pair
from photoreal.transfer.progressive import (
    LabelledImage,
    NetworkEngine,
    apply_style,
    measure_style,
    transfer,
)

Networks = Callable[[Unpool], tuple[Encoder, Decoder]]
MakeImage = Callable[..., Tensor]

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


LAYERS: dict[str, tuple[Tensor, list[Run]]] = {
    "the same": (_copying(C), [Run("copy", 0, C, 0, 1.0)]),
    "half, doubled": (_copying(12, 12, 2.0), [Run("copy", 0, 12, 12, 2.0)]),
    "negative": (_copying(C, 0, -0.5), [Run("copy", 0, C, 0, -0.5)]),
    "a matrix": (_point(5), [Run("point", 0, 5)]),
    "copied, then convolved": (
        torch.cat([_copying(12, 3, 0.5), _full(17)]),
        [Run("copy", 0, 12, 3, 0.5), Run("full", 12, 29)],
    ),
    "two gains": (
        torch.cat([_copying(4, 0, 0.5), _copying(4, 8, 0.25)]),
        [Run("copy", 0, 4, 0, 0.5), Run("copy", 4, 8, 8, 0.25)],
    ),
    "no taps after others": (
        torch.cat([_point(5), torch.zeros(3, C, 3, 3), _full(4), torch.zeros(2, C, 3, 3)]),
        [Run("point", 0, 8), Run("full", 8, 14)],
    ),
    "no taps at first": (
        torch.cat([torch.zeros(2, C, 3, 3), _copying(C)]),
        [Run("point", 0, 2), Run("copy", 2, C + 2, 0, 1.0)],
    ),
}


@pytest.mark.parametrize(("weight", "runs"), LAYERS.values(), ids=LAYERS)
def test_the_runs_of_a_layer_are_found(weight: Tensor, runs: list[Run]) -> None:
    assert sparse.examine(weight, None) == Layer(tuple(runs), biased=False)
    assert sparse.examine(weight, torch.zeros(len(weight))) == Layer(tuple(runs), biased=False)
    assert sparse.examine(weight, torch.ones(len(weight))) == Layer(tuple(runs), biased=True)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("layout", ["rows", "pixels", "neither"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("weight", [layer for layer, _ in LAYERS.values()], ids=LAYERS)
def test_a_layer_gives_what_the_whole_convolution_gives(
    weight: Tensor, batch: int, biased: bool, layout: str, relu: bool
) -> None:
    x = _random(batch, 2 * C, 13, 10, seed=3)[:, ::2]
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
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("gains", [(0.1, 0.1, 0.1, 0.1, 0.9), (1.0, -2.0, 0.0, 0.5, 0.0)], ids=str)
def test_a_join_that_only_adds_up_is_the_convolution_of_it(
    gains: tuple[float, ...], batch: int, channels_last: bool, biased: bool
) -> None:
    weight = torch.stack([_copying(C, 0, gain) for gain in gains], dim=1)
    assert sparse.join_gains(weight) == pytest.approx(gains)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    bands = wavelet.Bands(
        *(_random(batch, C, 5, 7, seed=k).to(memory_format=layout) for k in range(4))
    )
    original = _random(batch, C, 10, 14, seed=4).to(memory_format=layout)
    bias = _random(C, seed=5) if biased else None
    found = wavelet.join_scaled(bands, original, gains, bias)
    stacked = [wavelet.unpool(bands._replace(**_alone(bands, name))) for name in bands._fields]
    expected = kernels.convolve(
        torch.cat([*stacked, original], dim=1).double(),
        weight.flatten(1, 2).double(),
        None if bias is None else bias.double(),
        relu=True,
    )
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def _alone(bands: wavelet.Bands, kept: str) -> dict[str, Tensor]:
    """All bands but one as zeros."""
    return {
        name: torch.zeros_like(band)
        for name, band in zip(bands._fields, bands, strict=True)
        if name != kept
    }


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
    unpool: Unpool,
    builtin_networks: Networks,
    smooth_image: MakeImage,
    unlabelled: Callable[[Tensor], LabelledImage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, style = unlabelled(smooth_image(40, 56)), unlabelled(smooth_image(48, 32, seed=1))
    engine = NetworkEngine(*builtin_networks(unpool))
    found = transfer(content, style, [Pair(0, None)], engine)
    monkeypatch.setattr(kernels, "computes", lambda *_: False)
    expected = transfer(content, style, [Pair(0, None)], engine)
    assert not torch.equal(found, content.image)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.slow
def test_new_parameters_are_examined_anew(unpool: Unpool, builtin_networks: Networks) -> None:
    networks = copy.deepcopy(builtin_networks(unpool))
    for network in networks:
        assert network._known
        network.load_state_dict(_noisy(network))
        assert not network._known
    decoder = networks[1]
    assert all(gains is None for gains in decoder._gains.values())


def _noisy(network: torch.nn.Module) -> dict[str, Tensor]:
    return {
        name: value + 0.01 * _random(*value.shape) for name, value in network.state_dict().items()
    }


@pytest.mark.slow
def test_dense_networks_leave_nothing_out_and_the_picture_as_it_is(
    builtin_networks: Networks,
    smooth_image: MakeImage,
    unlabelled: Callable[[Tensor], LabelledImage],
    psnr: Callable[[Tensor, Tensor], float],
) -> None:
    content, style = unlabelled(smooth_image(40, 56)), unlabelled(smooth_image(48, 32, seed=1))
    networks = builtin_networks("cat5")
    dense = dense_networks(networks)
    assert not any(network._known for network in dense)
    assert all(network._known for network in networks)
    pictures = [
        transfer(content, style, [Pair(0, None)], NetworkEngine(*one)).clamp(0, 1)
        for one in (networks, dense)
    ]
    assert psnr(*pictures) > 50


def test_a_thirtieth_of_the_products_is_left(
    builtin_networks: Networks,
    random_image: MakeImage,
    count_work: Callable[[], AbstractContextManager[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the documentation says."""
    monkeypatch.setenv(kernels.CONVOLUTION_VARIABLE, "direct")
    networks = builtin_networks("cat5")
    engine = NetworkEngine(*networks)
    x, skips = random_image(96, 96), []
    with count_work() as work, torch.inference_mode():
        for level in LEVELS:
            x, skip = engine.encode(level, x)
            skips += [] if skip is None else [skip]
        for level in reversed(LEVELS):
            x = engine.decode(level, x, skips.pop() if level > 1 else None)
    whole = sum(multiply_adds(network, 96, 96) for network in networks)
    assert 0.9 / 30 < work.products / whole < 1.1 / 30


# For a content of 96x96 and a style of 96x48. With nothing left out it is more than four times
# the convolutions and almost six times the products (see test_kernels).
CONVOLUTIONS = 2 * (2 + 3)
PRODUCTS, ALLOCATED = 1_980_000_000, 145_000_000


def test_a_transfer_with_the_built_in_weights_stays_within_its_budget(
    builtin_networks: Networks,
    random_image: MakeImage,
    unlabelled: Callable[[Tensor], LabelledImage],
    count_work: Callable[[], AbstractContextManager[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kernels.CONVOLUTION_VARIABLE, "direct")
    content, style = unlabelled(random_image(96, 96)), unlabelled(random_image(96, 48))
    engine = NetworkEngine(*builtin_networks("cat5"))
    with count_work() as work:
        transfer(content, style, [Pair(0, None)], engine)
    assert work.convolutions == CONVOLUTIONS
    assert 0.95 * PRODUCTS < work.products <= PRODUCTS
    assert work.allocated <= ALLOCATED
    known = measure_style(style, [None], engine)
    with count_work() as again:
        apply_style(content, known, [Pair(0, None)], engine)
    assert again.convolutions == CONVOLUTIONS // 2

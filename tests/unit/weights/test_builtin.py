"""The built-in weights reconstruct every picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from photoreal.contract import LEVELS, UNPOOLS, Unpool
from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE, has_winograd
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.weights.builtin import builtin_parameters

Networks = Callable[[Unpool], tuple[Encoder, Decoder]]


@pytest.mark.parametrize("kind", ["random", "smooth", "black and white"])
@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.parametrize(("convolution", "decibels"), [("direct", 140), ("winograd", 115)])
def test_every_picture_is_reconstructed(
    convolution: str,
    decibels: float,
    unpool: Unpool,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    builtin_networks: Networks,
    random_image: Callable[..., Tensor],
    smooth_image: Callable[..., Tensor],
    psnr: Callable[[Tensor, Tensor], float],
) -> None:
    if convolution == "winograd" and not has_winograd():
        pytest.skip("this PyTorch has no NNPACK for this machine")
    monkeypatch.setenv(CONVOLUTION_VARIABLE, convolution)
    picture = smooth_image(64, 96) if kind == "smooth" else random_image(64, 96)
    if kind == "black and white":
        picture = picture.round()
    encoder, decoder = builtin_networks(unpool)
    x, skips = picture, []
    for level in LEVELS:
        x, skip = encoder.level(level, x)
        if skip is not None:
            skips.append(skip)
    for level in reversed(LEVELS):
        x = decoder.level(level, x, skips.pop() if level > 1 else None)
    assert psnr(x, picture) > decibels


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_weights_are_the_same_every_time(unpool: Unpool) -> None:
    for one, other in zip(builtin_parameters(unpool), builtin_parameters(unpool), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_both_ways_of_unpooling_share_their_encoder() -> None:
    one, other = (builtin_parameters(unpool)[0] for unpool in UNPOOLS)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_second_halves_are_filters_of_their_own() -> None:
    encoder, _ = builtin_parameters("cat5")
    corners = []
    for name in ("conv2_1", "conv3_1", "conv4_1"):
        weight = encoder[f"{name}.weight"]
        half = weight[weight.shape[0] // 2 :]
        assert float(half.std()) == pytest.approx(0.3 / (9 * weight.shape[1]) ** 0.5, rel=0.05)
        corners.append(half[:8, :8])
    for one, other in combinations(corners, 2):
        assert not torch.allclose(one / one.std(), other / other.std())

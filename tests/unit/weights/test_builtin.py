"""The built-in weights reconstruct every picture."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from photoreal.contract import UNPOOLS, Unpool
from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE, has_winograd
from photoreal.weights.builtin import builtin_parameters
from tests.shared import builtin_engine, psnr, random_image, reconstruct, smooth_image

PICTURES = {
    "random": random_image(64, 96),
    "smooth": smooth_image(64, 96),
    "black and white": random_image(64, 96).round(),
}


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.parametrize(("convolution", "decibels"), [("direct", 140), ("winograd", 115)])
def test_every_picture_is_reconstructed(
    convolution: str, decibels: float, unpool: Unpool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if convolution == "winograd" and not has_winograd():
        pytest.skip("this PyTorch has no NNPACK for this machine")
    monkeypatch.setenv(CONVOLUTION_VARIABLE, convolution)
    found = reconstruct(builtin_engine(unpool), PICTURES[kind])
    assert psnr(found, PICTURES[kind]) > decibels


def test_weights_are_the_same_every_time_and_both_ways_of_unpooling_share_their_encoder() -> None:
    encoder, decoder = builtin_parameters("cat5")
    again, (other, _) = builtin_parameters("cat5"), builtin_parameters("sum")
    for one, same in ((encoder, again[0]), (decoder, again[1]), (encoder, other)):
        assert one.keys() == same.keys()
        assert all(torch.equal(one[name], same[name]) for name in one)


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

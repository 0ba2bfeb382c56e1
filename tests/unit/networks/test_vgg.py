"""The levels of the encoder and the decoder against their contract and the paper's layout."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal import contract
from photoreal.contract import BANDS, LEVELS, ORIGINAL, UNPOOLS, TensorSpec, Unpool
from photoreal.networks import wavelet
from photoreal.networks.vgg import Decoder, Skips
from photoreal.weights.builtin import builtin_parameters
from tests.shared import (
    builtin_engine,
    builtin_networks,
    random_image,
    reconstruct,
    seeded_networks,
)

each_unpool = pytest.mark.parametrize("unpool", UNPOOLS)
each_level = pytest.mark.parametrize("level", LEVELS)
each_size = pytest.mark.parametrize("size", [(1, 32, 48), (2, 40, 16)])


def _shape(spec: TensorSpec, size: Sequence[int]) -> tuple[int, ...]:
    batch, height, width = size
    return (batch, spec.dims[0], height // spec.stride, width // spec.stride)


def _random(spec: TensorSpec, size: Sequence[int]) -> Tensor:
    return torch.rand(_shape(spec, size), generator=torch.Generator().manual_seed(len(spec.name)))


def _skips(given: dict[str, Tensor]) -> Skips:
    return Skips(given["LH"], given["HL"], given["HH"], given.get(ORIGINAL))


@each_size
@each_level
@each_unpool
def test_levels_have_the_shapes_of_the_contract(
    unpool: Unpool, level: int, size: tuple[int, int, int]
) -> None:
    encoder, decoder = builtin_networks(unpool)
    spec = contract.encoder(level, unpool)
    features, skips = encoder.level(level, _random(spec.inputs[0], size))
    found = {"FEATURES": features}
    if skips is not None:
        found |= {name: getattr(skips, name) for name in BANDS}
        if skips.original is not None:
            found[ORIGINAL] = skips.original
    expected = {tensor.name: _shape(tensor, size) for tensor in spec.outputs}
    assert {name: tuple(value.shape) for name, value in found.items()} == expected

    spec = contract.decoder(level, unpool)
    given = {tensor.name: _random(tensor, size) for tensor in spec.inputs}
    output = decoder.level(level, given["FEATURES"], _skips(given) if level > 1 else None)
    assert tuple(output.shape) == _shape(spec.outputs[0], size)


@each_unpool
def test_a_decoder_level_that_unpools_insists_on_its_skips(unpool: Unpool) -> None:
    for level in (4, 3, 2):
        features = torch.zeros(1, contract.CHANNELS[level], 4, 4)
        with pytest.raises(ValueError, match=f"level {level} needs the skips"):
            builtin_networks(unpool)[1].level(level, features)


@each_unpool
def test_a_decoder_level_is_its_layers_one_by_one(unpool: Unpool) -> None:
    """Level 3: convolve, unpool, join, convolve, each convolution with reflected borders."""
    decoder = copy.deepcopy(seeded_networks(unpool)[1]).double()
    spec = contract.decoder(3, unpool)
    given = {tensor.name: _random(tensor, (2, 32, 48)).double() for tensor in spec.inputs}
    found = decoder.level(3, given["FEATURES"], _skips(given))

    def convolve(name: str, x: Tensor) -> Tensor:
        layer = decoder.get_submodule(name)
        assert isinstance(layer, torch.nn.Conv2d)
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.relu(F.conv2d(padded, layer.weight, layer.bias))

    low = convolve("conv3_1", given["FEATURES"])
    bands = wavelet.Bands(low, given["LH"], given["HL"], given["HH"])
    zero = torch.zeros_like(low)
    unpooled = [
        wavelet.unpool(wavelet.Bands(*(band if i == k else zero for k in range(4))))
        for i, band in enumerate(bands)
    ]
    if unpool == "cat5":
        expected = convolve("conv2_2_2", torch.cat([*unpooled, given[ORIGINAL]], dim=1))
    else:
        expected = convolve("conv2_2", torch.stack(unpooled).sum(dim=0))
    torch.testing.assert_close(found, expected)


def test_loading_parameters_renews_the_folded_kernels() -> None:
    trained = seeded_networks("cat5")[1]
    fresh = Decoder("cat5")
    fresh.load_state_dict(trained.state_dict())
    for name in ("conv3_4_2", "conv2_2_2", "conv1_2_2"):
        assert torch.equal(fresh.get_buffer(f"{name}_folded"), trained.get_buffer(f"{name}_folded"))
    assert not [name for name in fresh.state_dict() if "folded" in name]


@each_unpool
def test_smallest_picture_goes_through(unpool: Unpool) -> None:
    assert reconstruct(builtin_engine(unpool), random_image(16, 16)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(("share", "depth"), [(0.995, 1), (0.9, 2), (0.8, 3), (0.5, 4)])
def test_depth_follows_the_shares_of_the_built_in_weights(share: float, depth: int) -> None:
    _, parameters = builtin_parameters("cat5", share)
    decoder = Decoder("cat5")
    decoder.load_state_dict(parameters)
    assert decoder.depth == depth


def test_other_networks_are_run_at_full_depth() -> None:
    assert builtin_networks("sum")[1].depth == LEVELS[-1]
    _, decoder = builtin_networks("cat5")
    changed = decoder.state_dict()
    changed["conv2_1.weight"] = changed["conv2_1.weight"] + 1e-3  # no longer a copy
    other = Decoder("cat5")
    other.load_state_dict(changed)
    assert (decoder.depth, other.depth) == (2, LEVELS[-1])

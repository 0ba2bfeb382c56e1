"""The built-in weights of WCT2: computed, not trained, and exactly reconstructing.

A ReLU preserves a signed value that is stored as a pair (positive part, negative part), and the
Haar transform is orthonormal. So the encoder is lossless: the first half of each level's channels
is the previous level, and the first level is an orthonormal basis of 3x3 color patches in pairs.
The second half of the channels in deeper levels are fixed random filters, which provide texture
features for the transform and are ignored by the decoder.

Nothing is downloaded and no license is attached.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from photoreal.contract import Unpool
from photoreal.networks.vgg import Decoder, Encoder

# Keeps feature variances well above the 1 that the transform adds to each covariance.
_PATCH_GAIN = 8.0
_RANDOM_DEVIATION = 0.3
# Share of the original features in the cat5 join; the unpooled bands have the rest. Deep levels
# resolve regions to 8 pixels only, so their corrections are visible as blocks along region borders
# and in flat skies; at a tenth of the weight they are not.
ORIGINAL_SHARE = 0.9


def builtin_parameters(
    unpool: Unpool, original_share: float = ORIGINAL_SHARE
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compute the state dicts of the encoder and the decoder for an unpooling variant.

    `original_share` in 0..1 is the share of the features before pooling in "cat5";
    reconstruction is exact for any value.
    """
    encoder = {
        name: torch.zeros_like(value) for name, value in Encoder(unpool).state_dict().items()
    }
    decoder = {
        name: torch.zeros_like(value) for name, value in Decoder(unpool).state_dict().items()
    }
    _fill_encoder(encoder)
    _fill_decoder(decoder, unpool, original_share)
    return encoder, decoder


def _fill_encoder(parameters: Mapping[str, Tensor]) -> None:
    parameters["conv0.weight"][:, :, 0, 0] = 2.0 * torch.eye(3)
    parameters["conv0.bias"].fill_(-1.0)
    basis = _patch_basis()
    first = parameters["conv1_1.weight"]
    first[0:54:2], first[1:54:2] = _PATCH_GAIN * basis, -_PATCH_GAIN * basis
    for name in ("conv1_2", "conv2_2", "conv3_2", "conv3_3", "conv3_4"):
        _set_centre(parameters[f"{name}.weight"], 1.0)
    for name in ("conv2_1", "conv3_1", "conv4_1"):
        weight = parameters[f"{name}.weight"]
        half = weight.shape[0] // 2
        _set_centre(weight[:half], 0.5)  # the low Haar band has gain 2
        weight[half:] = _random_filters(name, tuple(weight[half:].shape))


def _fill_decoder(parameters: Mapping[str, Tensor], unpool: Unpool, original_share: float) -> None:
    for name in ("conv4_1", "conv3_1", "conv2_1"):
        _set_centre(parameters[f"{name}.weight"], 2.0)
    for name in ("conv3_3", "conv3_2"):
        _set_centre(parameters[f"{name}.weight"], 1.0)
    suffix = "_2" if unpool == "cat5" else ""
    for name in ("conv3_4", "conv2_2", "conv1_2"):
        weight = parameters[f"{name}{suffix}.weight"]
        channels = weight.shape[0]
        # Without a transform, the sum of the four unpooled bands equals the original features
        # (the fifth part of cat5), so any mixture of both reconstructs.
        gains = [1.0 - original_share] * 4 + [original_share] if unpool == "cat5" else [1.0]
        for part, gain in enumerate(gains):
            _set_centre(weight[:, part * channels : (part + 1) * channels], gain)
    basis = _patch_basis()
    last = parameters["conv1_1.weight"]
    # Inverse of the patch basis at the center pixel; 16 undoes its gain and the 2 of conv0.
    last[:, 0:54:2, 1, 1] = basis[:, :, 1, 1].T / (2.0 * _PATCH_GAIN)
    last[:, 1:54:2, 1, 1] = -basis[:, :, 1, 1].T / (2.0 * _PATCH_GAIN)
    parameters["conv1_1.bias"].fill_(0.5)


def _set_centre(weight: Tensor, gain: float) -> None:
    """Set `weight` (C_out, C_in, 3, 3) to `gain` times the identity on the common channels."""
    channels = torch.arange(min(weight.shape[0], weight.shape[1]))
    weight[channels, channels, 1, 1] = gain


def _patch_basis() -> Tensor:
    """Orthonormal basis (27, 3, 3, 3) of color patches: products over color, row and column."""
    line = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    basis = np.einsum("ac,br,dx->abdcrx", line, line, line)
    return torch.from_numpy(basis.reshape(27, 3, 3, 3).astype(np.float32))


def _random_filters(name: str, shape: tuple[int, ...]) -> Tensor:
    """Random filters seeded by the layer's name and scaled by the fan-in."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    values = generator.standard_normal(shape) * _RANDOM_DEVIATION / np.sqrt(9 * shape[1])
    return torch.from_numpy(values.astype(np.float32))

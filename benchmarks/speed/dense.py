"""Weights without zeros, like trained ones, so that no multiplication can be skipped."""

from __future__ import annotations

from copy import deepcopy

import torch

from photoreal.networks.vgg import Decoder, Encoder

_SHARE = 1e-5  # of a layer's largest tap: too small to change a picture

Networks = tuple[Encoder, Decoder]


def dense_networks(sparse: Networks) -> Networks:
    """Copy networks, with a small random number added to every tap.

    The built-in weights are mostly zero, and the transfer skips the zeros
    (`photoreal.networks.fast.sparse`). The copies cost what trained weights cost, and give the
    same pictures.
    """
    encoder, decoder = deepcopy(sparse)
    generator = torch.Generator().manual_seed(0)
    for network in (encoder, decoder):
        state = network.state_dict()
        for name, weight in state.items():
            if name.endswith(".weight"):
                noise = torch.randn(weight.shape, generator=generator).to(weight.device)
                state[name] = weight + _SHARE * weight.abs().max() * noise
        network.load_state_dict(state)
    return encoder, decoder

"""Memory on a GPU through which Triton's models hand each other their tensors."""

from __future__ import annotations

import math

from photoreal.contract import LEVELS, TensorSpec, decoder, encoder, network_levels

_FLOAT_BYTES = 4


def pool_bytes(pixels: int) -> int:
    """Bytes that a picture's features take between the models of the bls engine, at most.

    `pixels` at working size. Until a pooling is undone what it handed over is kept, and the
    largest call has all its inputs and outputs there besides.
    """
    kept = sum(
        _per_pixel(tensor)
        for level in LEVELS
        for tensor in encoder(level).outputs
        if any(tensor.name == one.name for one in decoder(2).inputs if one.name != "FEATURES")
    )
    largest = max(
        sum(map(_per_pixel, (*level.inputs, *level.outputs))) for level in network_levels()
    )
    return math.ceil(pixels * (kept + largest))


def _per_pixel(tensor: TensorSpec) -> float:
    return tensor.dims[0] * _FLOAT_BYTES / tensor.stride**2

"""GPU memory pool for the tensors that Triton's models pass to each other."""

from __future__ import annotations

import math

from photoreal.contract import LEVELS, TensorSpec, decoder, encoder, network_levels

_FLOAT_BYTES = 4


def pool_bytes(pixels: int) -> int:
    """Maximum size in bytes of an image's features between the models of the bls engine.

    `pixels` is the image at the working size. The skips of a pooling are kept until it is undone,
    and the largest call needs all of its inputs and outputs in addition.
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

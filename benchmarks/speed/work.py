"""Arithmetic cost of a network."""

from __future__ import annotations

from torch import nn


def multiply_adds(network: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of an encoder's or decoder's convolutions for a picture (height, width).

    The digit in a layer's name is its VGG level; each level works at half the size of the
    previous one. Haar pooling and unpooling, less than one percent, are not counted.
    """
    total = 0
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            digit = name.removeprefix("conv")[0]
            stride = 2 ** max(int(digit) - 1, 0)
            total += layer.weight.numel() * (height // stride) * (width // stride)
    return total

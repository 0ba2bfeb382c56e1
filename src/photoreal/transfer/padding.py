"""Padding of images to sizes that the networks can pool."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from photoreal.contract import PADDING_MULTIPLE
from photoreal.errors import InvalidOption

MIN_SIDE = 16
"""Minimum side in pixels: below it the deepest feature map is too small to pad by reflection."""


def cropped(result: Tensor, image: Tensor) -> Tensor:
    """Crop a result to the size of the image, removing the padding."""
    height, width = image.shape[-2:]
    return result[..., :height, :width]


def check_side(image: Tensor) -> None:
    """Raise InvalidOption when an image (1, 3, H, W) is too small for the networks."""
    height, width = image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise InvalidOption(
            f"The image is {width}x{height} pixels; the transfer needs at least"
            f" {MIN_SIDE} pixels a side."
        )


def padded(image: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Pad an image so that the networks can pool it; also returns the padding (bottom, right).

    Raises InvalidOption when the image is too small.
    """
    check_side(image)
    height, width = image.shape[-2:]
    below, right = -height % PADDING_MULTIPLE, -width % PADDING_MULTIPLE
    if below or right:
        image = F.pad(image, (0, right, 0, below), mode="reflect")
    return image, (below, right)

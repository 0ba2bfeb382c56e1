"""A decoded photo in its own color space and bit depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal.color.icc import RgbSpace
from photoreal.preprocess.metadata import NO_METADATA, Metadata
from photoreal.preprocess.resize import Box, as_photo, resize_photo, resize_pixels
from photoreal.render.pixels import Pixels, in_8_bits

_STRIP_PIXELS = 1 << 18


class Reduced(NamedTuple):
    """Height and width of a picture that its decoder reduced, and the part of the pixels it fills.

    `box` is left, top, right, bottom in reduced pixels: 427 rows at 1/2 are 213.5 of 214.
    """

    shape: tuple[int, int]
    box: Box


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright.

    `pixels` (H, W, 3) are RGB values of 8 or 16 bits in the color space `space`; None is sRGB.
    `reduced` says how much of the file's picture they are if the decoder reduced it.
    """

    pixels: Pixels
    space: RgbSpace | None = None
    metadata: Metadata = NO_METADATA
    reduced: Reduced | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the file's picture."""
        if self.reduced is not None:
            return self.reduced.shape
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def depth(self) -> int:
        """Bits per channel, 8 or 16."""
        return 8 * self.pixels.itemsize

    @property
    def is_plain(self) -> bool:
        """Whether the pixels are sRGB with 8 bits."""
        return self.space is None and self.depth == 8

    def resized(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """The photo in sRGB at another size, float32 (3, height, width) in 0..1."""
        if self.reduced is None:
            image = resize_photo(self.pixels, height, width)
        else:
            image = as_photo(self.resized_pixels(height, width))
        return image if self.space is None else self.space.to_srgb(image)

    def resized_pixels(self, height: int, width: int) -> Pixels:
        """The pixels at another size (height, width, 3), in the photo's own color space."""
        return resize_pixels(self.pixels, height, width, self.reduced and self.reduced.box)

    def srgb(self) -> npt.NDArray[np.uint8]:
        """The photo in sRGB with 8 bits, (H, W, 3); `pixels` themselves if they are that."""
        if self.space is None:
            return in_8_bits(self.pixels)
        result = np.empty(self.pixels.shape, dtype=np.uint8)
        for rows in strips(*self.pixels.shape[:2]):
            part = self.pixels[rows]
            image = self.space.to_srgb(resize_photo(part, *part.shape[:2]))
            result[rows] = np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0)
        return result


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a large picture in parts, to bound the memory of floating-point copies."""
    rows = max(1, _STRIP_PIXELS // width)
    for first in range(0, height, rows):
        yield slice(first, first + rows)

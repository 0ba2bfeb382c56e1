"""From a result at working size to the photo's own pixels, color space and bit depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, is_tensor, like, to_host
from photoreal.cores import available_cores
from photoreal.errors import InvalidOption
from photoreal.options import DEEP_FORMATS, Format, StylizeOptions
from photoreal.options.checks import either
from photoreal.preprocess import Photo, resize_photo, resize_pixels, working_size
from photoreal.render.on_device import apply_on_device
from photoreal.render.pixels import Pixels
from photoreal.render.upsample import apply_colors, fit_colors

_JPEG_START = b"\xff\xd8\xff"


def render(
    photo: Photo,
    content: Floats,
    result: Floats,
    dtype: npt.DTypeLike,
    output_size: int | None = None,
) -> Pixels:
    """Apply what changed from a content to its result to the photo's pixels.

    `content` and `result` are in sRGB at working size, (3, H, W) in 0..1. The pixels, of type
    `dtype`, are in the photo's own color space, and their shorter side is at most `output_size`.

    In another space than sRGB the change is measured there, between both images: colors outside
    sRGB, which neither of them has, are kept by a change of zero and moved with their neighbors.
    """
    if photo.space is not None:
        before, after = (photo.space.from_srgb(to_host(image)) for image in (content, result))
        own = resize_photo(photo.pixels, *content.shape[1:])
        content, result = like(own, content), like(own + (after - before), content)
    pixels = scaled(photo.pixels, output_size)
    model = fit_colors(content, result)
    if is_tensor(content):
        return apply_on_device(model, pixels, dtype=dtype)
    return apply_colors(model, pixels, dtype=dtype, threads=available_cores())


def scaled(pixels: Pixels, size: int | None) -> Pixels:
    """Downscale a photo (H, W, 3) so that its shorter side is at most `size`."""
    height, width = pixels.shape[:2]
    if size is None or size >= min(height, width):
        return pixels
    return resize_pixels(pixels, *working_size(height, width, size))


def result_format(options: StylizeOptions, content: bytes) -> Format:
    """Format of the result's file: the one asked for, else JPEG for a content that is a JPEG.

    Raises InvalidOption when the format does not hold the bit depth that was asked for.
    """
    deep = options.bit_depth == 16
    if options.format is None:
        lossless = deep or options.method == "published" or content[:3] != _JPEG_START
        return "png" if lossless else "jpeg"
    if deep and options.format not in DEEP_FORMATS:
        raise InvalidOption(
            f"bit_depth is 16, and the format {options.format} has 8 bits; expected the format"
            f" {either(DEEP_FORMATS)}."
        )
    return options.format


def result_type(
    kind: Format, bit_depth: int | None, content: Photo
) -> type[np.unsignedinteger[Any]]:
    """Type of the result's values: the bit depth of the content where the format holds it."""
    usual = content.depth if kind in DEEP_FORMATS else 8
    return np.uint16 if (bit_depth or usual) == 16 else np.uint8

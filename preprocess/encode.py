"""Encode arrays as image files."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import InvalidOption
from photoreal.options import DEFAULT_QUALITY, Format
from photoreal.preprocess.deep_files import write_deep_png, write_tiff
from photoreal.preprocess.metadata import NO_METADATA, Metadata
from photoreal.render.pixels import Pixels, highest

# zlib with run lengths alone: filtered photographs hardly repeat, so that searching them takes
# several times as long and makes files no smaller.
_COMPRESSION = {"compress_level": 1, "compress_type": zlib.Z_RLE}
FULL_COLOR = {"subsampling": 0}
"""Options of a JPEG that keeps the color of every pixel; by default Pillow keeps one in four."""
_MOST_SIDE = {"jpeg": 65_535, "webp": 16_383}


def encode_photo(image: npt.NDArray[np.float32]) -> bytes:
    """Encode an image (3, H, W) float32 as PNG; values outside 0..1 are clipped."""
    return encode_pixels(to_pixels(image))


def to_pixels(image: npt.NDArray[np.float32], dtype: npt.DTypeLike = np.uint8) -> Pixels:
    """Convert an image (3, H, W) float32 to (H, W, 3) uint8 or uint16, clipped to 0..1."""
    result = np.empty((*image.shape[1:], 3), dtype=dtype)
    scaled = np.rint(np.clip(image, 0.0, 1.0) * np.float32(highest(result)))
    result[:] = scaled.transpose(1, 2, 0)
    return result


def encode_pixels(pixels: Pixels, kind: Format = "png", metadata: Metadata = NO_METADATA) -> bytes:
    """Encode a photo (H, W, 3), uint8, or uint16 as PNG or TIFF.

    JPEG and WebP are encoded with the quality `DEFAULT_QUALITY`, JPEG with `FULL_COLOR`. Raw
    photos (PPM, the "P6" of Netpbm) take no time to encode, and hold neither profile nor EXIF
    data. Raises InvalidOption when the photo is too large for the format.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > _MOST_SIDE.get(kind, max(height, width)):
        raise InvalidOption(
            f"format is {kind}, which allows sides of up to {_MOST_SIDE[kind]} pixels, but the"
            f" result is {width}x{height}; expected format png or a smaller output_size."
        )
    if kind == "tiff":
        return write_tiff(pixels, metadata)
    if kind == "raw":
        return b"P6 %d %d 255\n" % (width, height) + np.ascontiguousarray(pixels).tobytes()
    options = metadata.options(width, height)
    if kind == "png":
        if pixels.dtype == np.uint16:
            return write_deep_png(pixels, options)
        return _png(pixels, **options)
    stream = io.BytesIO()
    colors = FULL_COLOR if kind == "jpeg" else {}
    image = Image.fromarray(pixels)
    image.save(stream, format=kind, quality=DEFAULT_QUALITY, **colors, **options)
    return stream.getvalue()


def encode_labels(labels: npt.NDArray[np.uint8]) -> bytes:
    """Encode a label map (H, W) uint8 as a gray PNG, which is valid as a mask."""
    return _png(labels)


def _png(pixels: npt.NDArray[np.uint8], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", **_COMPRESSION, **options)
    return stream.getvalue()

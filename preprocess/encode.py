"""Encode arrays as image files."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import InvalidOption
from photoreal.options import DEFAULT_QUALITY, Format

# zlib's fastest level: the default makes photographs a few percent smaller, but takes several
# times as long.
_COMPRESSION = 1
_MOST_SIDE = {"jpeg": 65_535, "webp": 16_383}


def encode_photo(image: npt.NDArray[np.float32]) -> bytes:
    """Encode an image (3, H, W) float32 as PNG; values outside 0..1 are clipped."""
    return encode_pixels(to_pixels(image))


def to_pixels(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Convert an image (3, H, W) float32 to (H, W, 3) uint8; values outside 0..1 are clipped."""
    scaled = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0))


def encode_pixels(pixels: npt.NDArray[np.uint8], kind: Format = "png") -> bytes:
    """Encode a photo (H, W, 3) uint8; raises InvalidOption when it is too large for the format.

    JPEG and WebP are encoded with the quality `DEFAULT_QUALITY`.
    """
    if kind == "png":
        return _png(pixels)
    height, width = pixels.shape[:2]
    if max(height, width) > _MOST_SIDE[kind]:
        raise InvalidOption(
            f"format is {kind}, which has sides of up to {_MOST_SIDE[kind]} pixels, and the result"
            f" is {width}x{height}; expected png, or a smaller output_size."
        )
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind, quality=DEFAULT_QUALITY)
    return stream.getvalue()


def encode_labels(labels: npt.NDArray[np.uint8]) -> bytes:
    """Encode a label map (H, W) uint8 as a gray PNG, which is valid as a mask."""
    return _png(labels)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=_COMPRESSION)
    return stream.getvalue()

"""Encoding of image arguments as the bytes that are sent."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from photoreal.client.errors import InvalidInput

ImageInput: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""A path, the bytes of an image file, a Pillow image, or a uint8 RGB array (H, W, 3).

A mask may also be a uint8 array (H, W) of labels.
"""

# Pillow modes that PNG stores directly.
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})
# Color modes that are converted to RGB before they are encoded as PNG.
_COLOR_MODES = frozenset({"CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBX", "RGBa", "La"})


def encode_image(image: ImageInput, name: str, *, mask: bool = False) -> bytes:
    """Encode an image as the bytes of an image file.

    Files and bytes are returned unchanged. Pillow images and arrays are encoded as lossless PNG;
    modes that PNG does not support (such as CMYK) are converted to RGB first. The EXIF orientation
    of a Pillow image is applied, as the server does for files.

    Args:
        image: the image; an array is uint8, (H, W, 3), or for a mask also (H, W).
        name: name of the image in error messages, for example "content".
        mask: whether the image is a mask.

    Raises:
        InvalidInput: the file is missing or unreadable, or the value cannot be an image.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return _read(Path(image), name)
    if isinstance(image, np.ndarray):
        return _png(_from_array(image, name, mask))
    if isinstance(image, Image.Image):
        return _png(_prepared(image, name))
    raise InvalidInput(
        f"The {name} is a {type(image).__name__}; expected a path, bytes, a Pillow image "
        "or a uint8 array."
    )


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(f"The {name} file {str(path)!r} does not exist.") from None
    except IsADirectoryError:
        raise InvalidInput(f"The {name} {str(path)!r} is a folder; expected a file.") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"The {name} file {str(path)!r} cannot be read: {reason}.") from None


def _from_array(array: NDArray[Any], name: str, mask: bool) -> Image.Image:
    photo = array.ndim == 3 and array.shape[2] == 3
    labels = mask and array.ndim == 2
    if array.dtype != np.uint8 or not (photo or labels) or array.size == 0:
        shapes = "(H, W) or (H, W, 3)" if mask else "(H, W, 3)"
        raise InvalidInput(
            f"The {name} is a {array.dtype} array of shape {array.shape}; "
            f"expected uint8 of shape {shapes}."
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _prepared(image: Image.Image, name: str) -> Image.Image:
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _COLOR_MODES:
            return upright.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:  # Pillow decodes files lazily
        raise InvalidInput(f"The {name} cannot be read by Pillow: {error}.") from None
    if upright.mode not in _PNG_MODES or 0 in upright.size:
        raise InvalidInput(
            f"The {name} is a Pillow image of mode {upright.mode} and size {upright.size}; "
            "expected a picture in RGB, gray or palette colors."
        )
    return upright


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    # The network is rarely the bottleneck, so the fastest compression is enough.
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()

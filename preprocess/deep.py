"""Colors of 16 bits per channel, read with Pillow's decoders.

Pillow has no type for them and keeps one byte of each value. Which one is up to the byte order
that the decoder is told: decoding a file a second time, in the other byte order, gives the other
byte. So formats, limits and checks are those of every other photo.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from photoreal.preprocess.photo import strips

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER = {"L": "B", "B": "L"}
_GRAY_ALPHA = "LA;16B"
_PREMULTIPLIED = "RGBa"
_SEPARATE = 2  # value of the tag PlanarConfiguration
WHITE = 65535

Colors = npt.NDArray[np.uint16]


def deep_mode(image: Image.Image) -> str | None:
    """Raw mode of an image, not yet loaded, with colors of 16 bits; None for any other image."""
    modes = {_raw_mode(tile) for tile in getattr(image, "tile", ())}
    if len(modes) != 1:
        return None
    (mode,) = modes
    base, _, order = mode.partition(";16")
    known = base in ("RGB", "RGBA", "RGBX", _PREMULTIPLIED) and order in ("L", "B", "N")
    return mode if known or mode == _GRAY_ALPHA else None


def has_deep_planes(image: Image.Image) -> bool:
    """Whether an image is a TIFF with a plane of 16 bits for each channel.

    Pillow reads the upper bytes of such a file alone, and garbles it if it is not compressed.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ())
    separate = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE
    return separate and len(bits) > 1 and bits[0] > 8


def byte_modes(mode: str) -> tuple[str, ...]:
    """Raw modes that give the bytes of 16-bit values: the upper ones, then the lower ones.

    For gray with alpha a single mode gives both, side by side.
    """
    if mode == _GRAY_ALPHA:
        return ("RGBA",)
    base, _, order = mode.partition(";16")
    order = _NATIVE if order == "N" else order
    base = "RGBA" if base == _PREMULTIPLIED else base  # not divided by alpha
    return f"{base};16{order}", f"{base};16{_OTHER[order]}"


def take_mode(image: Image.Image, mode: str) -> None:
    """Make an image, not yet loaded, decode with another raw mode."""
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=mode if isinstance(tile.args, str) else (mode, *tile.args[1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]


def join_bytes(layers: Sequence[npt.NDArray[np.uint8]]) -> Colors:
    """Join the images (H, W, C) of `byte_modes` to values (H, W, C)."""
    if len(layers) == 1:
        return np.ascontiguousarray(layers[0]).view(">u2").astype(np.uint16)
    upper, lower = layers
    values = upper.astype(np.uint16)
    values <<= 8
    values |= lower
    return values


def on_white(values: Colors, mode: str, clear: object = None) -> Colors:
    """Colors (H, W, 3) of values (H, W, C) in a raw mode, composited on white.

    `clear` is the color, or for gray the value, that a PNG without alpha declares transparent.
    """
    channels = values.shape[2]
    if channels == 3 and clear is None:
        return values
    count = 1 if channels < 3 else 3
    result = np.empty((*values.shape[:2], 3), dtype=np.uint16)
    for rows in strips(*values.shape[:2]):
        color = values[rows, :, :count]
        if channels in (2, 4):
            alpha = values[rows, :, count:].astype(np.float32) / WHITE
            share = 1.0 if mode.startswith(_PREMULTIPLIED) else alpha
            color = np.rint(np.minimum(color * share + WHITE * (1 - alpha), WHITE))
        elif clear is not None:
            color = np.where((color == np.asarray(clear)).all(axis=2, keepdims=True), WHITE, color)
        result[rows] = color
    return result


def _raw_mode(tile: object) -> str:
    args = getattr(tile, "args", "")
    return str(args if isinstance(args, str) else args[0] if args else "")

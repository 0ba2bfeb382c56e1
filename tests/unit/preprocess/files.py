"""Image files with 8 or 16 bits per channel that Pillow itself does not write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import putchunk
from PIL.TiffImagePlugin import ImageFileDirectory_v2

Array = npt.NDArray[Any]


def raw_png(
    width: int, height: int, depth: int, color: int, rows: bytes, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG of any header; `rows` are the bytes of the filtered lines."""
    stream = io.BytesIO()
    stream.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = zlib.compress(rows)
    for name, content in ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")):
        putchunk(stream, name, content)
    return stream.getvalue()


def png_of(pixels: Array, depth: int, color: int) -> bytes:
    lines = pixels.astype(">u2" if depth == 16 else np.uint8)
    rows = b"".join(b"\0" + line.tobytes() for line in lines)
    return raw_png(pixels.shape[1], pixels.shape[0], depth, color, rows)


def tiff_of(
    values: Array,
    order: str = "<",
    *,
    deflate: bool = False,
    extra: int | None = None,
    planes: bool = False,
    profile: bytes = b"",
    orientation: int = 1,
) -> bytes:
    """A TIFF of 16-bit values (H, W, C) in one strip, or in one for each of its planes.

    `extra` is the kind of the last channel (ExtraSamples), if that is no color.
    """
    height, width, channels = values.shape
    parts = list(np.moveaxis(values, 2, 0)) if planes else [values]
    data = [np.ascontiguousarray(part).astype(f"{order}u2").tobytes() for part in parts]
    data = [zlib.compress(part) for part in data] if deflate else data
    tags = ImageFileDirectory_v2((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    tags[256], tags[257], tags[258] = width, height, (16,) * channels
    tags[259] = 8 if deflate else 1
    tags[262] = 2 if channels > 2 else 1
    tags[273] = tuple(sum(map(len, data[:index])) for index in range(len(data)))
    tags[274], tags[277], tags[278] = orientation, channels, height
    tags[279] = tuple(map(len, data))
    tags[284] = 2 if planes else 1
    if extra is not None:
        tags[338] = extra
    if profile:
        tags[34675] = profile
    stream = io.BytesIO()
    tags.save(stream)  # makes the places of the strips follow the tags
    return stream.getvalue() + b"".join(data)

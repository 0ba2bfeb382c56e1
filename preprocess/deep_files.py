"""Files of pictures with 16 bits per channel, which Pillow cannot write: PNG and TIFF.

Chunks, tags and EXIF directories are written by Pillow, the compressed data by zlib. Libraries
with arrays of 16 bits (tifffile, imagecodecs, OpenCV) write no EXIF directories into a TIFF.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin
from PIL.PngImagePlugin import putchunk

from photoreal.preprocess.metadata import Metadata
from photoreal.preprocess.photo import strips
from photoreal.render.pixels import Pixels

_COMPRESSION = 1  # zlib's fastest level
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2  # color type of PNG, photometric interpretation of TIFF
_SUB = 1  # the PNG filter that stores differences from the pixel to the left
_DEFLATE, _HORIZONTAL = 8, 2  # compression and predictor of TIFF
_EXIF = b"Exif\0\0"


def write_deep_png(pixels: npt.NDArray[np.uint16], options: Mapping[str, bytes]) -> bytes:
    """Write a picture (H, W, 3) as a PNG of 16 bits (PNG third edition, W3C 2025).

    `options` are those of Pillow's `save`: "exif" and "icc_profile".
    """
    height, width = pixels.shape[:2]
    stream = io.BytesIO()
    stream.write(_SIGNATURE)
    putchunk(stream, b"IHDR", struct.pack(">2I5B", width, height, 16, _RGB, 0, 0, 0))
    if "icc_profile" in options:
        packed = zlib.compress(options["icc_profile"])
        putchunk(stream, b"iCCP", b"ICC Profile\0\0" + packed)
    if "exif" in options:
        putchunk(stream, b"eXIf", options["exif"].removeprefix(_EXIF))
    packer = zlib.compressobj(_COMPRESSION)
    for rows in strips(height, width):
        values = pixels[rows].astype(">u2").view(np.uint8).reshape(-1, width, 6)
        lines = np.empty((len(values), 1 + 6 * width), dtype=np.uint8)
        lines[:, 0] = _SUB
        lines[:, 1:] = _differences(values).reshape(len(values), -1)
        if data := packer.compress(lines.data):
            putchunk(stream, b"IDAT", data)
    putchunk(stream, b"IDAT", packer.flush())
    putchunk(stream, b"IEND", b"")
    return stream.getvalue()


def write_tiff(pixels: Pixels, metadata: Metadata) -> bytes:
    """Write a picture (H, W, 3) uint8 or uint16 as a TIFF in strips, with deflate (TIFF 6.0)."""
    height, width = pixels.shape[:2]
    parts = []
    for rows in strips(height, width):
        values = pixels[rows].astype(pixels.dtype.newbyteorder("<"))
        parts.append(zlib.compress(_differences(values).data, _COMPRESSION))
    sizes = [len(part) for part in parts]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in {
        **metadata.tags(width, height),
        TiffImagePlugin.IMAGEWIDTH: width,
        TiffImagePlugin.IMAGELENGTH: height,
        TiffImagePlugin.BITSPERSAMPLE: (8 * pixels.itemsize,) * 3,
        TiffImagePlugin.COMPRESSION: _DEFLATE,
        TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: _RGB,
        TiffImagePlugin.SAMPLESPERPIXEL: 3,
        TiffImagePlugin.PREDICTOR: _HORIZONTAL,
        TiffImagePlugin.ROWSPERSTRIP: len(pixels[next(strips(height, width))]),
        TiffImagePlugin.STRIPBYTECOUNTS: tuple(sizes),
        # `save` adds the end of the tags.
        TiffImagePlugin.STRIPOFFSETS: (0, *np.cumsum(sizes[:-1]).tolist()),
    }.items():
        tags[tag] = value
    if metadata.icc_profile is not None:
        tags[TiffImagePlugin.ICCPROFILE] = metadata.icc_profile
    stream = io.BytesIO()
    tags.save(stream)
    stream.writelines(parts)
    return stream.getvalue()


def _differences(values: Pixels) -> Pixels:
    """Differences (H, W, C) of integers from the pixel to the left, modulo their range."""
    result = values.copy()
    result[:, 1:] -= values[:, :-1]
    return result

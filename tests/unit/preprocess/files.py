"""Image files written by hand, with 8 or 16 bits per channel."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def raw_png(
    width: int, height: int, depth: int, color: int, rows: bytes, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG written by hand; `rows` are the bytes of the filtered lines."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *(chunk(*one) for one in chunks),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


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
    tags: dict[int, tuple[str, list[int] | bytes]] = {
        256: ("H", [width]),
        257: ("H", [height]),
        258: ("H", [16] * channels),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [2 if channels > 2 else 1]),
        273: ("L", [0] * len(data)),
        274: ("H", [orientation]),
        277: ("H", [channels]),
        278: ("H", [height]),
        279: ("L", [len(part) for part in data]),
        284: ("H", [2 if planes else 1]),
    }
    tags |= {338: ("H", [extra])} if extra is not None else {}
    tags |= {34675: ("B", profile)} if profile else {}

    def packed(kind: str, content: list[int] | bytes) -> bytes:
        return struct.pack(f"{order}{len(content)}{kind}", *content)

    behind = 8 + 2 + 12 * len(tags) + 4
    first = behind + sum(len(b) for b in (packed(*one) for one in tags.values()) if len(b) > 4)
    starts = [first + sum(map(len, data[:index])) for index in range(len(data))]
    tags[273] = ("L", starts)
    entries, values_behind = b"", b""
    for tag, (kind, content) in sorted(tags.items()):
        raw = packed(kind, content)
        entries += struct.pack(f"{order}HHL", tag, {"B": 7, "H": 3, "L": 4}[kind], len(content))
        if len(raw) > 4:
            entries += struct.pack(f"{order}L", behind + len(values_behind))
            values_behind += raw
        else:
            entries += raw.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}LH", 8, len(tags))
    return b"".join([head, entries, bytes(4), values_behind, *data])

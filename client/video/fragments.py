"""Truncation of an unfinished MP4 or MOV file to its complete fragments.

Such a file is a sequence of boxes (ISO/IEC 14496-12, section 4.2): a four-byte size, a four-byte
name and, for large boxes, an eight-byte size. A fragment is a `moof` box with the table of its
samples and an `mdat` box with their data.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_HEADER = 8
_LONG_HEADER = 16


def keep_whole_fragments(path: Path) -> None:
    """Truncate a file after its last complete fragment; others stay unchanged.

    Raises OSError when it cannot be read or truncated.
    """
    with path.open("r+b") as file:
        length = os.fstat(file.fileno()).st_size
        start = whole = 0
        while (box := _read_box(file, start)) is not None and start + box[1] <= length:
            name, size = box
            start += size
            if name != b"moof":  # the table is useless without its data
                whole = start
        if whole:
            file.truncate(whole)


def _read_box(file: BinaryIO, start: int) -> tuple[bytes, int] | None:
    """Name and size in bytes of the box that begins at `start`; None if there is no box."""
    file.seek(start)
    header = file.read(_HEADER)
    if len(header) < _HEADER:
        return None
    size, name = int.from_bytes(header[:4], "big"), header[4:]
    if size == 1:
        size = int.from_bytes(file.read(_LONG_HEADER - _HEADER), "big")
    return (name, size) if size >= _HEADER else None

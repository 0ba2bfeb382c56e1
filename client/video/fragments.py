"""Cutting an unfinished MP4 or MOV file back to what is whole in it.

Such a file is a row of boxes (ISO/IEC 14496-12, section 4.2): a size of four bytes, a name of
four, and perhaps a size of eight. A fragment is a `moof` with its table and a `mdat` with the data.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_HEADER = 8
_LONG_HEADER = 16


def keep_whole_fragments(path: Path) -> None:
    """Cut a file after the last fragment that is complete; others stay as they are.

    Raises OSError when it cannot be read or cut.
    """
    with path.open("r+b") as file:
        length = os.fstat(file.fileno()).st_size
        start = whole = 0
        while (box := _read_box(file, start)) is not None and start + box[1] <= length:
            name, size = box
            start += size
            if name != b"moof":  # without its data a table is no use
                whole = start
        if whole:
            file.truncate(whole)


def _read_box(file: BinaryIO, start: int) -> tuple[bytes, int] | None:
    """Name and size in bytes of the box that begins at `start`; None for what is no box."""
    file.seek(start)
    header = file.read(_HEADER)
    if len(header) < _HEADER:
        return None
    size, name = int.from_bytes(header[:4], "big"), header[4:]
    if size == 1:
        size = int.from_bytes(file.read(_LONG_HEADER - _HEADER), "big")
    return (name, size) if size >= _HEADER else None

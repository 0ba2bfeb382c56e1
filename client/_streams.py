"""Image files from standard input and to standard output, both written as ``-``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput

STANDARD = Path("-")


def check_streams(inputs: Iterable[Path | None]) -> None:
    """Raise click.UsageError if standard input is named more than once."""
    if sum(path == STANDARD for path in inputs) > 1:
        raise click.UsageError("Standard input (-) can be one file of a call; name the others.")


def read_file(path: Path, name: str) -> bytes:
    """Read a file or standard input; ``name`` is its name in error messages.

    Raises:
        InvalidInput: the file is missing or unreadable, or standard input is empty.
    """
    if path != STANDARD:
        return encode_image(path, name)
    data = sys.stdin.buffer.read()
    if not data:
        raise InvalidInput(f"Standard input is empty; expected the {name} as an image file.")
    return data


def write_to_output(data: bytes) -> None:
    """Write a picture to standard output.

    Raises:
        OSError: the reader has closed the pipe, or the disk is full.
    """
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()

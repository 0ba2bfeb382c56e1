"""Photos from standard input and pictures to standard output, both written as ``-``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput

STANDARD = Path("-")


def check_streams(inputs: Iterable[Path | None]) -> None:
    """Raise click.UsageError when standard input is to be two files."""
    if sum(path == STANDARD for path in inputs) > 1:
        raise click.UsageError("Standard input (-) can be one file of a call; name the others.")


def read_file(path: Path, name: str) -> bytes:
    """The bytes of a file, or of standard input; ``name`` is what messages call it.

    Raises:
        InvalidInput: there is no such file, it cannot be read, or nothing came.
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
        OSError: whoever reads it has gone, or the disk is full.
    """
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()

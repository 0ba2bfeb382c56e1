"""Results of other methods, to compare with photoreal: pictures that their programs wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pictures import LIMITS
from PIL import Image

from judging.pairs import PhotoPair
from photoreal.errors import InvalidOption
from photoreal.preprocess import decode_photo

Method = Callable[[PhotoPair], Image.Image | None]
"""Makes the result of a pair; None if the method has none for it."""


def copy(pair: PhotoPair) -> Image.Image:
    """The content itself, the reference for every other row."""
    return Image.fromarray(pair.photos()[0])


def folder_peer(option: str) -> tuple[str, Method]:
    """Name and method of an option NAME=PATTERN, a path in which {pair} is the pair's name.

    Raises InvalidOption for an option that is not of this form.
    """
    name, _, pattern = option.partition("=")
    if not name or "{pair}" not in pattern:
        raise InvalidOption(
            f"The peer is {option!r}; expected NAME=PATTERN, a file's path with {{pair}} for the"
            " name of the pair."
        )

    def read(pair: PhotoPair) -> Image.Image | None:
        file = Path(pattern.replace("{pair}", pair.name))
        if not file.exists():
            return None
        with pair.named():
            return Image.fromarray(decode_photo(file.read_bytes(), f"result of {name}", LIMITS))

    return name, read

"""Photo pairs to measure, read from a folder and checked before anything is computed.

A subfolder is a pair: ``content``, ``style`` and, optionally, ``content_mask`` and ``style_mask``;
photos have the suffix of any photo format, masks ``.png``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pictures import LIMITS

from photoreal.errors import InvalidRequest
from photoreal.preprocess import decode_mask, decode_photo

Photo = npt.NDArray[np.uint8]

ROLES = ("content", "style", "content_mask", "style_mask")

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
_SUFFIXES = {role: (".png",) if role.endswith("mask") else _PHOTO_SUFFIXES for role in ROLES}


class InvalidPair(InvalidRequest):
    """A pair lacks a file, or one of its files cannot be used; the message names the pair."""


@dataclass(frozen=True)
class PhotoPair:
    """Encoded files of one pair, with both masks or none."""

    name: str
    content: bytes
    style: bytes
    content_mask: bytes | None = None
    style_mask: bytes | None = None

    @property
    def has_masks(self) -> bool:
        """Whether the pair has drawn regions."""
        return self.content_mask is not None

    def photos(self) -> tuple[Photo, Photo]:
        """Content and style, (H, W, 3) uint8."""
        content = decode_photo(self.content, "content photo", LIMITS)
        return content, decode_photo(self.style, "style photo", LIMITS)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Turn an InvalidRequest into an InvalidPair with the name of the pair."""
        try:
            yield
        except InvalidRequest as error:
            raise InvalidPair(f"Pair {self.name!r}: {error}") from None


def read_pairs(folder: Path, count: int | None = None) -> tuple[list[PhotoPair], list[str]]:
    """Read and decode-check the first `count` pairs of a folder.

    A subfolder with only a content photo, or with none of the files, is not a pair: its name is
    in the second list. Raises InvalidPair for any other incomplete pair, for a file that is not a
    valid picture, and when there is no pair at all.
    """
    found = {one.name: _roles(one) for one in sorted(folder.glob("[!.]*/"))}
    pairs = {name: files for name, files in found.items() if not set(files) <= {"content"}}
    if not pairs:
        raise InvalidPair(
            f"{folder.name} holds no pair; expected subfolders with content and style photos."
        )
    checked = [_read(name, files) for name, files in list(pairs.items())[:count]]
    return checked, [name for name in found if name not in pairs]


def _roles(folder: Path) -> dict[str, Path]:
    """The pair's files by role; of several photos for one, the last by name."""
    files = sorted(folder.iterdir())
    return {one.stem: one for one in files if one.suffix.lower() in _SUFFIXES.get(one.stem, ())}


def _read(name: str, files: dict[str, Path]) -> PhotoPair:
    """Read and check a pair's files, to fail now rather than after minutes of computation."""
    for role in ("content", "style"):
        if role not in files:
            raise InvalidPair(f"Pair {name!r} has no {role} photo.")
    if ("content_mask" in files) != ("style_mask" in files):
        raise InvalidPair(f"Pair {name!r} has only one mask; expected both or none.")
    pair = PhotoPair(name, **{role: path.read_bytes() for role, path in files.items()})
    with pair.named():
        pair.photos()
        for role, mask in (("content", pair.content_mask), ("style", pair.style_mask)):
            if mask is not None:
                decode_mask(mask, f"{role} mask", LIMITS)
    return pair

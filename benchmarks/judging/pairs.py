"""Photo pairs to measure, read from a folder and checked before anything is computed.

Two layouts are supported:

- a folder with one subfolder per pair, which holds ``content`` and ``style`` and, optionally,
  ``content_mask`` and ``style_mask``; photos have the suffix of any photo format, masks ``.png``;
- a ``pairs.json`` (or the folder that holds one): a list of objects with ``name``, ``content``,
  ``style`` and, optionally, the masks, as paths relative to the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photoreal.errors import InvalidRequest
from photoreal.preprocess import Limits, decode_mask, decode_photo

ROLES = ("content", "style", "content_mask", "style_mask")
LISTING = "pairs.json"

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


@dataclass(frozen=True)
class PairFolder:
    """The pairs of a folder, sorted by name, and the subfolders that hold no pair."""

    pairs: tuple[PhotoPair, ...]
    skipped: tuple[str, ...] = ()


def read_pairs(folder: Path, limits: Limits, count: int | None = None) -> PairFolder:
    """Read and decode-check the first `count` pairs of a folder or of a ``pairs.json``.

    A subfolder with only a content photo, or with none of the files, is not a pair: it is skipped
    and listed. Raises InvalidPair for any other incomplete pair, for a file that is not a valid
    picture, and when there is no pair at all.
    """
    listing = folder if folder.is_file() else folder / LISTING
    skipped: list[str] = []
    if listing.is_file():
        found = _listed(listing)
    else:
        found, skipped = _subfolders(folder)
    if not found:
        raise InvalidPair(
            f"{folder.name} holds no pair; expected subfolders with content and style photos, or"
            f" a {LISTING}."
        )
    pairs = [_read(name, files, limits) for name, files in found[:count]]
    return PairFolder(tuple(pairs), tuple(skipped))


def _listed(listing: Path) -> list[tuple[str, dict[str, Path]]]:
    try:
        entries: Any = json.loads(listing.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidPair(f"{listing.name} is no JSON file ({error}).") from None
    if not isinstance(entries, list):
        raise InvalidPair(f"{listing.name} holds no list of pairs.")
    found = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
            raise InvalidPair(f"Entry {number} of {listing.name} is no object of names and paths.")
        files = {role: listing.parent / entry[role] for role in ROLES if role in entry}
        found.append((entry.get("name", str(number)), files))
    return found


def _subfolders(folder: Path) -> tuple[list[tuple[str, dict[str, Path]]], list[str]]:
    found, skipped = [], []
    for subfolder in sorted(folder.iterdir()):
        if not subfolder.is_dir() or subfolder.name.startswith("."):
            continue
        files = _roles(subfolder)
        if set(files) <= {"content"}:
            skipped.append(subfolder.name)
        else:
            found.append((subfolder.name, files))
    return found, skipped


def _roles(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        role = path.stem
        if path.suffix.lower() not in _SUFFIXES.get(role, ()):
            continue
        if role in files:
            raise InvalidPair(
                f"Pair {folder.name!r} has both {files[role].name} and {path.name}; expected one."
            )
        files[role] = path
    return files


def _read(name: str, files: dict[str, Path], limits: Limits) -> PhotoPair:
    """Read and check a pair's files, to fail now rather than after minutes of computation."""
    for role in ("content", "style"):
        if role not in files:
            raise InvalidPair(f"Pair {name!r} has no {role} photo.")
    if ("content_mask" in files) != ("style_mask" in files):
        raise InvalidPair(f"Pair {name!r} has only one mask; expected both or none.")
    data = {}
    for role, path in files.items():
        try:
            data[role] = path.read_bytes()
        except OSError as error:
            raise InvalidPair(
                f"Pair {name!r}: {path.name} cannot be read ({error.strerror})."
            ) from None
        try:
            if role.endswith("mask"):
                decode_mask(data[role], role.replace("_", " "), limits)
            else:
                decode_photo(data[role], f"{role} photo", limits)
        except InvalidRequest as error:
            raise InvalidPair(f"Pair {name!r}: {error}") from None
    return PhotoPair(name, **data)

"""Plan of a batch: which photos of a folder or a list become which pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from posixpath import normpath

from photoreal.client.batch.files import is_file, is_folder, locate, names_in, read, shown
from photoreal.client.errors import InvalidInput
from photoreal.client.folder.plan import PHOTO_SUFFIXES, is_photo_name, picture_name

FAILURES = "photoreal-failed.jsonl"
"""File in the output folder that lists the photos that failed, one JSON object a line."""


@dataclass(frozen=True)
class Photo:
    """A photo and its picture: the picture's name in the output folder, and both addresses."""

    name: str
    content: str
    output: str


@dataclass(frozen=True)
class BatchPlan:
    """The photos, those of them without a picture, and the number of other files.

    Attributes:
        output: address of the output folder.
        photos: the photos, sorted by name or in the order of the list.
        missing: the photos whose picture does not exist.
        ignored: number of files in the input folder that are no photos.
    """

    output: str
    photos: tuple[Photo, ...]
    missing: tuple[Photo, ...]
    ignored: int = 0


def plan_batch(source: str, output: str, suffix: str | None = None) -> BatchPlan:
    """Pair the photos of a folder or a list with their pictures.

    Args:
        source: path or address of a folder, whose subfolders are kept in the output, or of a text
            file with the path or address of a photo on each line, relative to its folder. Empty
            lines and lines that begin with # are skipped.
        output: path or address of the folder of the pictures, which need not exist.
        suffix: suffix of the pictures, such as ".png"; by default that of each photo, and .jpg for
            HEIC.

    Raises:
        InvalidInput: the source is missing, cannot be read or names no photo, two photos have the
            same picture, or pictures would be written among the photos.
    """
    source, output = locate(source), locate(output)
    if is_file(output):
        raise InvalidInput(f"The output {shown(output)!r} is a file; expected a folder.")
    if is_folder(source):
        if f"{output}/".startswith(f"{source}/"):
            raise InvalidInput(
                f"The output folder {shown(output)!r} is inside that of the photos; expected"
                " another."
            )
        found = names_in(source)
        entries = [(name, f"{source}/{name}") for name in found if is_photo_name(name)]
        ignored = len(found) - len(entries)
    else:
        entries, ignored = list(_listed(source)), 0
    if not entries:
        expected = f"expected {', '.join(PHOTO_SUFFIXES)}"
        raise InvalidInput(f"{shown(source)!r} holds no photo; {expected}.")
    photos = _paired(entries, output, suffix)
    existing = set(names_in(output))
    missing = tuple(photo for photo in photos if photo.name not in existing)
    return BatchPlan(output, photos, missing, ignored)


def _listed(address: str) -> Iterable[tuple[str, str]]:
    """Name and address of each photo of a list."""
    if is_photo_name(address.rpartition("/")[2]):
        raise InvalidInput(f"{shown(address)!r} is a photo; expected a folder or a list of photos.")
    try:
        text = read(address, "list").decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"The list {shown(address)!r} is not a text in UTF-8.") from None
    folder = address.rpartition("/")[0]
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if "://" in line or PurePath(line).is_absolute():
            content = locate(line)
            yield content.rpartition("/")[2], content
            continue
        name = normpath(PurePath(line).as_posix())
        if name.split("/")[0] == "..":
            raise InvalidInput(
                f"The list {shown(address)!r} names {line!r}; expected a path below the list's"
                " folder, or an absolute one."
            )
        yield name, f"{folder}/{name}"


def _paired(
    entries: Iterable[tuple[str, str]], output: str, suffix: str | None
) -> tuple[Photo, ...]:
    photos: dict[str, Photo] = {}
    for name, content in entries:
        photo = PurePosixPath(name)
        picture = str(photo.with_name(picture_name(photo, suffix)))
        if picture in photos:
            raise InvalidInput(
                f"Both {shown(photos[picture].content)!r} and {shown(content)!r} would become"
                f" {picture!r}."
            )
        photos[picture] = Photo(picture, content, f"{output}/{picture}")
    sources = {photo.content for photo in photos.values()}
    for picture, one in photos.items():
        if one.output in sources:
            raise InvalidInput(
                f"The picture {picture!r} would replace a photo in {shown(output)!r}; expected"
                " another output folder."
            )
    return tuple(photos.values())

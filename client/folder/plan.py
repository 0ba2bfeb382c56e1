"""Plan of a folder run: which photos, with which style, to which files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from photoreal.client.errors import InvalidInput
from photoreal.client.folder.manifest import NAME as MANIFEST

_HEIC = (".heic", ".heif")
"""Photos from phones; their pictures are written as .jpg."""
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", *_HEIC)


@dataclass(frozen=True)
class Job:
    """One photo to stylize; ``style`` is None if no style has the photo's name."""

    content: Path
    style: Path | None
    output: Path


@dataclass(frozen=True)
class Plan:
    """The photos of a folder, sorted by name, and the number of other entries."""

    jobs: tuple[Job, ...]
    ignored: int


def plan_folder(
    contents: Path, style: Path, output: Path, output_suffix: str | None = None
) -> Plan:
    """Pair each photo of a folder with its style and its output file.

    Args:
        contents: the folder; its subfolders, hidden files and files of other types are ignored.
        style: one style photo for all, or a folder with a style for each photo, of the same name
            except for the suffix.
        output: folder of the pictures, which need not exist.
        output_suffix: suffix of the pictures, such as ".png"; by default that of each photo, and
            .jpg for HEIC.

    Raises:
        InvalidInput: a folder is missing, cannot be read or has no photos, two photos have the
            same output file, or a picture would overwrite a photo.
    """
    photos, ignored = _photos(contents, "content")
    if not photos:
        raise InvalidInput(
            f"The folder {str(contents)!r} holds no photo; expected {', '.join(PHOTO_SUFFIXES)}."
        )
    if output.exists() and not output.is_dir():
        raise InvalidInput(f"The output {str(output)!r} is a file; expected a folder.")
    sources = {contents.resolve()}
    if style.is_dir():
        sources.add(style.resolve())
    if output.resolve() in sources:
        raise InvalidInput(
            f"The output folder {str(output)!r} is one of the photos' own; expected another."
        )
    if style.is_dir():
        by_stem = _by_stem(_photos(style, "style")[0])
        styles = {photo: by_stem.get(photo.stem) for photo in photos}
    elif style.is_file():
        styles = dict.fromkeys(photos, style)
    else:
        raise InvalidInput(f"The style {str(style)!r} does not exist.")
    jobs: dict[str, Job] = {}
    for photo in photos:
        name = picture_name(photo, output_suffix)
        if name in jobs:
            raise InvalidInput(
                f"Both {jobs[name].content.name!r} and {photo.name!r} would become {name!r}."
            )
        jobs[name] = Job(photo, styles[photo], output / name)
    return Plan(tuple(jobs.values()), ignored)


def picture_name(photo: PurePath, suffix: str | None = None) -> str:
    """Return the name of a photo's picture; the default suffix is the photo's, .jpg for HEIC."""
    own = ".jpg" if photo.suffix.lower() in _HEIC else photo.suffix
    return photo.stem + (suffix or own)


def is_photo_name(name: str) -> bool:
    """Whether a file's name, or path relative to a folder, is that of a photo and not hidden."""
    path = PurePath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in PHOTO_SUFFIXES


def _photos(folder: Path, role: str) -> tuple[list[Path], int]:
    """The photos, selected by suffix and sorted by name, and the number of other entries."""
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        raise InvalidInput(f"The {role} folder {str(folder)!r} does not exist.") from None
    except NotADirectoryError:
        raise InvalidInput(f"The {role} folder {str(folder)!r} is a file.") from None
    except OSError as error:
        raise InvalidInput(
            f"The {role} folder {str(folder)!r} cannot be read: {error.strerror}."
        ) from None
    photos = [path for path in entries if is_photo_name(path.name) and path.is_file()]
    return photos, sum(path.name != MANIFEST for path in entries) - len(photos)


def _by_stem(photos: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for photo in photos:
        if photo.stem in found:
            raise InvalidInput(
                f"The style folder has both {found[photo.stem].name!r} and {photo.name!r};"
                " expected one photo of a name."
            )
        found[photo.stem] = photo
    return found

"""Labeled photos: where a data folder keeps them and which target a label value becomes.

A data folder holds one folder a source (`photoreal.train.tables`), in it the folders `train` and
`test`, perhaps `val`, of pictures (`name.jpg`) with their labels (`name.png`, one value a pixel)
beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import TrainingError
from photoreal.train.tables import CLASSES, IGNORED, MEASURED_ELSEWHERE, SOURCES

SKY = CLASSES.index("sky")
ANY = 64
"""Targets from ANY to NOT - 1: the codes of `PARTIAL`."""
NOT = 128
"""Target NOT + c: the pixel may be anything but class c."""
IGNORE = 255
"""Target of pixels whose class the source does not say."""

SOURCE_BY_NAME = {source.name: source for source in SOURCES}

PARTIAL = {
    name: ANY + index
    for index, name in enumerate(
        sorted({name for source in SOURCES for name in source.table if "|" in name})
    )
}
"""Targets by name ("vehicle|person") of pixels that have one of several classes."""

_TARGETS = {
    IGNORED: IGNORE,
    **PARTIAL,
    **{name: index for index, name in enumerate(CLASSES)},
    **{f"not {name}": NOT + index for index, name in enumerate(CLASSES)},
}


def _allowed() -> npt.NDArray[np.bool_]:
    table = np.ones((256, len(CLASSES)), dtype=np.bool_)
    table[: len(CLASSES)] = np.eye(len(CLASSES), dtype=np.bool_)
    table[NOT : NOT + len(CLASSES)] = ~np.eye(len(CLASSES), dtype=np.bool_)
    for name, code in PARTIAL.items():
        table[code] = [one in name.split("|") for one in CLASSES]
    return table


ALLOWED = _allowed()
"""Which classes (256, classes) a pixel of each target may have; of IGNORE, all."""

_HELD_OUT_EVERY = 20
_UNKNOWN = 255  # a label value in no table
_PICTURES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class LabeledPhoto:
    """One photo with its labels; `name` is its path in the data folder."""

    source: str
    name: str
    photo: Path
    labels: Path


def describe(items: Sequence[LabeledPhoto]) -> tuple[dict[str, str], ...]:
    """Describe the photos and their terms, one entry per source, for the weights' metadata."""
    photos = Counter(item.source for item in items)
    return tuple(
        {
            "name": source.name,
            "about": source.about,
            "terms": source.terms,
            "photos": str(photos[source.name]),
        }
        for source in SOURCES
        if photos[source.name]
    )


def terms_of_use(items: Sequence[LabeledPhoto]) -> str:
    """Terms of use of weights trained on these photos."""
    used = [source for source in SOURCES if any(item.source == source.name for item in items)]
    if all(source.commercial for source in used):
        return "; ".join(sorted({source.terms for source in used}))
    return "research and non-commercial use"


def target_table(source: str) -> npt.NDArray[np.uint8]:
    """Lookup table (256,) uint8 from a source's label value to the target of the training."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    for value, name in enumerate(SOURCE_BY_NAME[source].table):
        table[value] = _TARGETS[name]
    return table


def is_measured(targets: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where a target is a class or NOT + a class, so that a prediction is right or wrong."""
    known: npt.NDArray[np.bool_] = (targets < ANY) | ((targets >= NOT) & (targets < IGNORE))
    return known


def list_photos(data: Path, part: str) -> list[LabeledPhoto]:
    """The photos of one part: "train", "val" or "test", in a fixed order.

    Where a source has no "val" of its own, every twentieth photo of its "train" is held out
    for it. Test photos that another source trains on are left out. Raises TrainingError when the
    data folder holds no source, or a photo no labels.
    """
    found: list[LabeledPhoto] = []
    for source in SOURCE_BY_NAME:
        folder = data / source
        if not folder.is_dir():
            continue
        own_validation = (folder / "val").is_dir()
        if part == "test" or own_validation:
            photos = _list_folder(data, source, folder / part)
            found += [photo for photo in photos if photo.name not in MEASURED_ELSEWHERE]
            continue
        photos = _list_folder(data, source, folder / "train")
        held_out = photos[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]
        found += held_out if part == "val" else [p for p in photos if p not in held_out]
    if not found:
        raise TrainingError(
            f"There are no photos to {part} with in {data}; expected some of the folders"
            f" {', '.join(SOURCE_BY_NAME)} with pictures in {part}."
        )
    return found


def _list_folder(data: Path, source: str, folder: Path) -> list[LabeledPhoto]:
    found = []
    for photo in sorted(path for path in folder.glob("*") if path.suffix.lower() in _PICTURES):
        labels = photo.with_suffix(".png")
        name = photo.relative_to(data).as_posix()
        if not labels.is_file():
            raise TrainingError(f"{name} has no labels; expected {labels.name} beside it.")
        found.append(LabeledPhoto(source, name, photo, labels))
    return found


Read = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def read(item: LabeledPhoto) -> Read:
    """Photo (H, W, 3) uint8 RGB and targets (H, W) uint8.

    Raises TrainingError, naming the file, when one does not open, their sizes differ or a
    label value is outside the source's table.
    """
    photo = _open(item.photo, item.name).convert("RGB")
    label_name = str(Path(item.name).with_suffix(".png"))
    labels = _open(item.labels, label_name)
    if labels.mode not in ("L", "P"):
        raise TrainingError(f"{label_name} is not a label map; expected one 8-bit value per pixel.")
    if labels.size != photo.size:
        raise TrainingError(
            f"{label_name} is {labels.width}x{labels.height} pixels but its photo is"
            f" {photo.width}x{photo.height}; expected the same size."
        )
    values = np.asarray(labels)
    known = len(SOURCE_BY_NAME[item.source].table)
    strange = values[(values >= known) & (values != _UNKNOWN)]
    if strange.size:
        raise TrainingError(
            f"{label_name} has the label {strange.max()}; expected 0 to {known - 1}, or"
            f" {_UNKNOWN} for unknown, in {item.source}."
        )
    return np.asarray(photo), target_table(item.source)[values]


def read_all(
    items: Sequence[LabeledPhoto], advance: Callable[[], None] = lambda: None
) -> list[Read]:
    """Read all photos and targets into memory, so that errors show before the training starts."""
    pictures = []
    with ThreadPoolExecutor() as threads:
        for picture in threads.map(read, items):
            pictures.append(picture)
            advance()
    return pictures


def _open(path: Path, name: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{name} cannot be read as an image.") from error
    return image

"""Labeled photos: where a data folder keeps them and what their label values mean.

A data folder holds one folder a source, in it folders of pictures (`name.jpg`) with their
labels (`name.png`, one value a pixel) beside them:

    camvid/{train,val,test}         Brostow et al., "Semantic object classes in video: a
                                    high-definition ground truth database" (2009)
    labelmefacade/{train,test}      Fröhlich et al., "A fast approach for pixelwise labeling
                                    of facade images" (ICPR 2010)
    ade_sky/{train,test}            photos of all kinds in which only the sky is labeled
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import TrainingError

CLASSES = ("other", "sky", "vegetation", "building", "ground", "vehicle", "person")
"""The classes of the default segmenter, all of them groups of `photoreal.classes`."""

SKY = CLASSES.index("sky")
IGNORE = 255
"""Target of pixels whose class the source does not say."""
NOT_SKY = 254
"""Target of pixels that may be anything but sky."""

_IGNORED = "ignored"
_NOT_SKY = "not sky"

TABLES: dict[str, tuple[str, ...]] = {
    # sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist, unlabeled
    "camvid": (
        "sky",
        "building",
        "other",
        "ground",
        "ground",
        "vegetation",
        "other",
        "other",
        "vehicle",
        "person",
        "person",
        _IGNORED,
    ),
    # unlabeled, building, car, door, pavement, road, sky, vegetation, window
    "labelmefacade": (
        _IGNORED,
        "building",
        "vehicle",
        "building",
        "ground",
        "ground",
        "sky",
        "vegetation",
        "building",
    ),
    "ade_sky": (_NOT_SKY, "sky"),
}
"""For each source the class of each label value."""

_TARGETS = {name: index for index, name in enumerate(CLASSES)} | {
    _IGNORED: IGNORE,
    _NOT_SKY: NOT_SKY,
}
_HELD_OUT_EVERY = 20
_PICTURES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class LabeledPhoto:
    """One photo with its labels; `name` is its place in the data folder."""

    source: str
    name: str
    photo: Path
    labels: Path


def target_table(source: str) -> npt.NDArray[np.uint8]:
    """Lookup table (256,) uint8 from a source's label value to the target of the training."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    for value, name in enumerate(TABLES[source]):
        table[value] = _TARGETS[name]
    return table


def list_photos(data: Path, part: str) -> list[LabeledPhoto]:
    """The photos of one part: "train", "val" or "test", in a fixed order.

    Where a source has no "val" of its own, every twentieth photo of its "train" is held out
    for it. Raises TrainingError when the data folder holds no source, or a photo no labels.
    """
    found: list[LabeledPhoto] = []
    for source in TABLES:
        folder = data / source
        if not folder.is_dir():
            continue
        own_validation = (folder / "val").is_dir()
        if part == "test" or own_validation:
            found += _list_folder(data, source, folder / part)
            continue
        photos = _list_folder(data, source, folder / "train")
        held_out = photos[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]
        found += held_out if part == "val" else [p for p in photos if p not in held_out]
    if not found:
        raise TrainingError(
            f"There are no photos to {part} with in {data}; expected some of the folders"
            f" {', '.join(TABLES)} with pictures in {part}."
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
        raise TrainingError(f"{label_name} is no label picture; expected one 8-bit value a pixel.")
    if labels.size != photo.size:
        raise TrainingError(
            f"{label_name} is {labels.width}x{labels.height} pixels but its photo is"
            f" {photo.width}x{photo.height}; expected the same size."
        )
    values = np.asarray(labels)
    known = len(TABLES[item.source])
    if values.max() >= known:
        raise TrainingError(
            f"{label_name} has the label {values.max()}; expected 0 to {known - 1} in"
            f" {item.source}."
        )
    return np.asarray(photo), target_table(item.source)[values]


def read_all(
    items: Sequence[LabeledPhoto], advance: Callable[[], None] = lambda: None
) -> list[Read]:
    """Every photo with its targets in memory: a fault stops before hours are spent."""
    pictures = []
    for item in items:
        pictures.append(read(item))
        advance()
    return pictures


def _open(path: Path, name: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{name} does not open as a picture.") from error
    return image

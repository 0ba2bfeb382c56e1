"""Labeled photos: what their values mean, which belong to which part, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photoreal.errors import TrainingError
from photoreal.regions.classes import GROUPS
from photoreal.train.sources import (
    ALLOWED,
    ANY,
    IGNORE,
    NOT,
    SKY,
    SOURCE_BY_NAME,
    LabeledPhoto,
    describe,
    list_photos,
    read,
    read_all,
    target_table,
    terms_of_use,
)
from photoreal.train.tables import CLASSES, IGNORED, MEASURED_ELSEWHERE, SOURCES
from tests.shared import Array

Write = Callable[..., Path]
PARTS = ("train", "val", "test")


def test_classes_are_groups_of_the_transfer() -> None:
    assert set(CLASSES) <= set(GROUPS)
    assert len(set(CLASSES)) == len(CLASSES) < NOT
    assert NOT + len(CLASSES) < IGNORE
    assert CLASSES[SKY] == "sky"
    assert set(CLASSES) <= {name for source in SOURCES for name in source.table}


@pytest.mark.parametrize("source", SOURCE_BY_NAME)
def test_every_value_of_a_source_has_a_target(source: str) -> None:
    table = target_table(source)
    assert table.shape == (256,)
    assert table.dtype == np.uint8
    names = SOURCE_BY_NAME[source].table
    assert (table[len(names) :] == IGNORE).all()
    for value, name in enumerate(names):
        if name == IGNORED:
            assert table[value] == IGNORE
        elif name.startswith("not "):
            assert table[value] == NOT + CLASSES.index(name.removeprefix("not "))
        elif "|" in name:
            assert ANY <= table[value] < NOT
            allowed = {CLASSES[label] for label in np.flatnonzero(ALLOWED[table[value]])}
            assert allowed == set(name.split("|"))
        else:
            assert table[value] == CLASSES.index(name)
    assert (table[: len(names)] < len(CLASSES)).any()


# A few of each source's values, and how many it has where that is not obvious.
KNOWN: dict[str, tuple[int | None, dict[int, str]]] = {
    "camvid": (None, {0: "sky", 3: "ground", 5: "vegetation", 8: "vehicle", 10: "person"}),
    "labelmefacade": (None, {2: "vehicle", 6: "sky", 8: "building"}),
    "ade_sky": (None, {1: "sky"}),
    "stanford_background": (8, {4: "water", 6: "terrain"}),
    "msrc21": (24, {6: "animal", 10: "water", 23: "vehicle"}),
    "river": (None, {1: "water"}),
    "human_seg": (None, {1: "person"}),
    "ccp": (59, {58: "person"}),
    "coco_stuff21": (
        182,
        {0: "person", 24: "animal", 63: "vegetation", 105: "sky", 134: "terrain", 147: "water"}
        | {148: "ground", 157: "building", 168: "vegetation", 177: "water", 181: "other"},
    ),
}


@pytest.mark.parametrize("source", KNOWN)
def test_known_values(source: str) -> None:
    count, values = KNOWN[source]
    assert {value: CLASSES[target_table(source)[value]] for value in values} == values
    assert count is None or len(SOURCE_BY_NAME[source].table) == count


def test_a_source_s_own_validation_photos_are_taken(data: Path) -> None:
    for part, count in (("train", 8), ("val", 2), ("test", 2)):
        photos = list_photos(data, part)
        assert len(photos) == count
        assert [photo.name for photo in photos] == sorted(photo.name for photo in photos)
        for photo in photos:
            assert photo.name.startswith(f"camvid/{part}/")
            assert photo.photo == data / photo.name
            assert photo.labels == photo.photo.with_suffix(".png")


def _copy(photo: Path, copy: Path) -> None:
    """Of a photo with its labels."""
    for suffix in (".jpg", ".png"):
        shutil.copy(photo.with_suffix(suffix), copy.with_suffix(suffix))


def test_without_them_every_twentieth_is_held_out(tmp_path: Path, write_photo: Write) -> None:
    first = write_photo(tmp_path, "labelmefacade", "train", 0)
    for number in range(1, 45):
        _copy(first, first.with_name(f"{number:03d}"))
    write_photo(tmp_path, "labelmefacade", "test", 99)
    train, validation, test = (
        [Path(photo.name).stem for photo in list_photos(tmp_path, part)] for part in PARTS
    )
    assert validation == ["019", "039"]
    assert sorted(train + validation) == [f"{number:03d}" for number in range(45)]
    assert test == ["099"]


def test_photos_of_all_sources_come_together(tmp_path: Path, write_photo: Write) -> None:
    for source in reversed(SOURCE_BY_NAME):
        write_photo(tmp_path, source, "train", 1)
    upper = write_photo(tmp_path, "ade_sky", "train", 2)
    upper.rename(upper.with_suffix(".JPEG"))
    (tmp_path / "camvid" / "train" / "notes.txt").write_text("mine")
    expected = [f"{source}/train/001.jpg" for source in SOURCE_BY_NAME]
    expected.insert(expected.index("ade_sky/train/001.jpg") + 1, "ade_sky/train/002.JPEG")
    assert [photo.name for photo in list_photos(tmp_path, "train")] == expected


def test_test_photos_that_another_source_trains_on_are_left_out(
    tmp_path: Path, write_photo: Write
) -> None:
    assert len(MEASURED_ELSEWHERE) == 7
    known = write_photo(tmp_path, "ade_sky", "test", 1)
    for name in MEASURED_ELSEWHERE:
        _copy(known, tmp_path / name)
    assert [photo.name for photo in list_photos(tmp_path, "test")] == ["ade_sky/test/001.jpg"]


def test_sources_are_described_with_their_photos_and_terms(
    tmp_path: Path, write_photo: Write
) -> None:
    for source, number in (("river", 1), ("camvid", 1), ("camvid", 2)):
        write_photo(tmp_path, source, "train", number)
    streets, rivers = describe(list_photos(tmp_path, "train"))
    about = SOURCE_BY_NAME["camvid"].about
    assert streets == {"name": "camvid", "about": about, "terms": "research use", "photos": "2"}
    assert (rivers["name"], rivers["photos"]) == ("river", "1")


def test_weights_have_free_terms_only_where_all_photos_do(
    tmp_path: Path, write_photo: Write
) -> None:
    terms = {"horizon_uav": "MIT", "coco_stuff21": "research and non-commercial use"}
    for source, expected in terms.items():
        write_photo(tmp_path, source, "train", 1)
        assert terms_of_use(list_photos(tmp_path, "train")) == expected


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("folder", ["", "camvid/train", "holidays/train"])
def test_a_folder_without_photos_is_refused(folder: str, part: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    with pytest.raises(TrainingError, match=rf"no photos to {part} with .*camvid, labelmefacade"):
        list_photos(tmp_path, part)


def test_a_photo_without_labels_is_named(tmp_path: Path, write_photo: Write) -> None:
    write_photo(tmp_path, "camvid", "train", 1)
    write_photo(tmp_path, "camvid", "train", 2).with_suffix(".png").unlink()
    with pytest.raises(TrainingError, match=r"^camvid/train/002\.jpg has no labels; .*002\.png"):
        list_photos(tmp_path, "train")


@pytest.fixture
def item(tmp_path: Path, write_photo: Write) -> LabeledPhoto:
    """One photo of camvid that may be damaged."""
    write_photo(tmp_path, "camvid", "train", 7)
    (found,) = list_photos(tmp_path, "train")
    return found


def _labels(item: LabeledPhoto) -> Array:
    with Image.open(item.labels) as image:
        return np.array(image)


def test_a_photo_is_read_with_the_targets_of_its_labels(item: LabeledPhoto) -> None:
    labels = _labels(item)
    assert set(np.unique(labels)) == {0, 3, 11}
    labels[3, 4] = 255  # unknown in every source
    Image.fromarray(labels).save(item.labels)
    photo, targets = read(item)
    assert photo.shape == (80, 96, 3)
    assert photo.dtype == targets.dtype == np.uint8
    for value, target in {0: SKY, 3: CLASSES.index("ground"), 11: IGNORE, 255: IGNORE}.items():
        assert (targets[labels == value] == target).all()


def test_labels_in_a_palette_are_their_values_and_gray_photos_have_colors(
    item: LabeledPhoto,
) -> None:
    expected = read(item)[1]
    with Image.open(item.labels) as image, Image.open(item.photo) as photo:
        palette, gray = image.copy(), photo.convert("L")
    palette.putpalette(list(range(255, -1, -1)) * 3)
    assert palette.mode == "P"
    palette.save(item.labels)
    gray.save(item.photo)
    pixels, targets = read(item)
    assert pixels.shape == (80, 96, 3)
    np.testing.assert_array_equal(targets, expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("damage", ["text", "half", "empty"])
def test_a_file_that_does_not_open_is_named(damage: str, suffix: str, item: LabeledPhoto) -> None:
    file = item.photo.with_suffix(suffix)
    half = file.read_bytes()[: file.stat().st_size // 2]
    file.write_bytes({"text": b"no picture", "half": half, "empty": b""}[damage])
    words = rf"^camvid/train/007\{suffix} cannot be read as an image"
    with pytest.raises(TrainingError, match=words):
        read(item)


NO_MAP = r"007\.png is not a label map; expected one 8-bit"


@pytest.mark.parametrize(
    ("mode", "size", "color", "words"),
    [
        ("L", (96, 80), 12, r"^camvid/train/007\.png has the label 12; expected 0 to 11, or 255"),
        ("L", (96, 81), 0, r"is 96x81 pixels but its photo is 96x80; expected the same"),
        ("RGB", (96, 80), 0, NO_MAP),
        ("I;16", (96, 80), 0, NO_MAP),
        ("LA", (96, 80), 0, NO_MAP),
    ],
)
def test_labels_that_do_not_fit_are_named(
    mode: str, size: tuple[int, int], color: int, words: str, item: LabeledPhoto
) -> None:
    Image.new(mode, size, color).save(item.labels)
    with pytest.raises(TrainingError, match=words):
        read(item)


def test_all_photos_are_read_and_each_is_reported(data: Path) -> None:
    items = list_photos(data, "train")
    done: list[int] = []
    pictures = read_all(items, lambda: done.append(1))
    assert len(pictures) == len(done) == len(items)
    np.testing.assert_array_equal(pictures[3][0], read(items[3])[0])

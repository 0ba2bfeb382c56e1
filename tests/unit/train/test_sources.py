"""Labeled photos: what their values mean, which belong to which part, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photoreal.classes import GROUPS
from photoreal.errors import TrainingError
from photoreal.train.sources import (
    CLASSES,
    IGNORE,
    NOT_SKY,
    SKY,
    TABLES,
    LabeledPhoto,
    list_photos,
    read,
    read_all,
    target_table,
)

Write = Callable[..., Path]
PARTS = ("train", "val", "test")


def test_classes_are_groups_of_the_transfer() -> None:
    assert set(CLASSES) <= set(GROUPS)
    assert len(set(CLASSES)) == len(CLASSES) < NOT_SKY < IGNORE
    assert CLASSES[SKY] == "sky"


@pytest.mark.parametrize("source", TABLES)
def test_every_value_of_a_source_has_a_target(source: str) -> None:
    table = target_table(source)
    assert table.shape == (256,)
    assert table.dtype == np.uint8
    count = len(TABLES[source])
    assert (table[count:] == IGNORE).all()
    for value, name in enumerate(TABLES[source]):
        expected = {"ignored": IGNORE, "not sky": NOT_SKY}.get(name)
        if expected is None:
            expected = CLASSES.index(name)
        assert table[value] == expected
    assert SKY in table[:count]


def test_every_class_is_in_some_source() -> None:
    names = {name for table in TABLES.values() for name in table}
    assert set(CLASSES) <= names


@pytest.mark.parametrize(
    ("source", "value", "name"),
    [
        ("camvid", 0, "sky"),
        ("camvid", 3, "ground"),
        ("camvid", 5, "vegetation"),
        ("camvid", 8, "vehicle"),
        ("camvid", 10, "person"),
        ("labelmefacade", 2, "vehicle"),
        ("labelmefacade", 6, "sky"),
        ("labelmefacade", 8, "building"),
        ("ade_sky", 1, "sky"),
    ],
)
def test_known_values(source: str, value: int, name: str) -> None:
    assert target_table(source)[value] == CLASSES.index(name)


def test_a_source_s_own_validation_photos_are_taken(data: Path) -> None:
    found = {part: list_photos(data, part) for part in PARTS}
    assert {part: len(photos) for part, photos in found.items()} == {
        "train": 8,
        "val": 2,
        "test": 2,
    }
    for part, photos in found.items():
        assert [photo.name for photo in photos] == sorted(photo.name for photo in photos)
        for photo in photos:
            assert photo.name.startswith(f"camvid/{part}/")
            assert photo.photo == data / photo.name
            assert photo.labels == photo.photo.with_suffix(".png")


def test_without_them_every_twentieth_is_held_out(tmp_path: Path, write_photo: Write) -> None:
    first = write_photo(tmp_path, "labelmefacade", "train", 0)
    for number in range(1, 45):
        for suffix in (".jpg", ".png"):
            copy = first.with_name(f"{number:03d}{suffix}")
            shutil.copy(first.with_suffix(suffix), copy)
    write_photo(tmp_path, "labelmefacade", "test", 99)
    train, validation, test = (
        [Path(photo.name).stem for photo in list_photos(tmp_path, part)] for part in PARTS
    )
    assert validation == ["019", "039"]
    assert sorted(train + validation) == [f"{number:03d}" for number in range(45)]
    assert not set(train) & set(validation)
    assert test == ["099"]


def test_photos_of_all_sources_come_together(tmp_path: Path, write_photo: Write) -> None:
    for source in TABLES:
        write_photo(tmp_path, source, "train", 1)
    upper = write_photo(tmp_path, "ade_sky", "train", 2)
    upper.rename(upper.with_suffix(".JPEG"))
    (tmp_path / "camvid" / "train" / "notes.txt").write_text("mine")
    assert [photo.name for photo in list_photos(tmp_path, "train")] == [
        "camvid/train/001.jpg",
        "labelmefacade/train/001.jpg",
        "ade_sky/train/001.jpg",
        "ade_sky/train/002.JPEG",
    ]


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


def test_a_photo_is_read_with_the_targets_of_its_labels(item: LabeledPhoto) -> None:
    photo, targets = read(item)
    assert photo.shape == (80, 96, 3)
    assert photo.dtype == targets.dtype == np.uint8
    labels = np.asarray(Image.open(item.labels))
    assert (targets[labels == 0] == SKY).all()
    assert (targets[labels == 3] == CLASSES.index("ground")).all()
    assert (targets[labels == 11] == IGNORE).all()
    assert set(np.unique(labels)) == {0, 3, 11}


def test_labels_in_a_palette_are_their_values(item: LabeledPhoto) -> None:
    expected = read(item)[1]
    with Image.open(item.labels) as image:
        palette = image.copy()
    palette.putpalette(list(range(255, -1, -1)) * 3)
    assert palette.mode == "P"
    palette.save(item.labels)
    np.testing.assert_array_equal(read(item)[1], expected)


def test_a_gray_photo_is_read_in_colors(item: LabeledPhoto) -> None:
    with Image.open(item.photo) as image:
        image.convert("L").save(item.photo)
    assert read(item)[0].shape == (80, 96, 3)


@pytest.mark.parametrize(("suffix", "name"), [(".jpg", "007.jpg"), (".png", "007.png")])
@pytest.mark.parametrize("damage", ["text", "half", "empty"])
def test_a_file_that_does_not_open_is_named(
    damage: str, suffix: str, name: str, item: LabeledPhoto
) -> None:
    file = item.photo.with_suffix(suffix)
    whole = file.read_bytes()
    file.write_bytes(
        {"text": b"no picture", "half": whole[: len(whole) // 2], "empty": b""}[damage]
    )
    with pytest.raises(TrainingError, match=rf"^camvid/train/{name} does not open as a picture"):
        read(item)


def test_a_value_outside_the_table_is_named(item: LabeledPhoto) -> None:
    labels = np.asarray(Image.open(item.labels)).copy()
    labels[3, 4] = 12
    Image.fromarray(labels).save(item.labels)
    with pytest.raises(
        TrainingError, match=r"^camvid/train/007\.png has the label 12; expected 0 to 11 in camvid"
    ):
        read(item)


def test_labels_of_another_size_are_named(item: LabeledPhoto) -> None:
    Image.new("L", (96, 81)).save(item.labels)
    with pytest.raises(
        TrainingError, match=r"007\.png is 96x81 pixels but its photo is 96x80; expected the same"
    ):
        read(item)


@pytest.mark.parametrize("mode", ["RGB", "I;16", "LA"])
def test_a_picture_that_is_no_label_map_is_named(mode: str, item: LabeledPhoto) -> None:
    Image.new(mode, (96, 80)).save(item.labels)
    with pytest.raises(TrainingError, match=r"007\.png is no label picture; expected one 8-bit"):
        read(item)


def test_all_photos_are_read_and_each_is_reported(data: Path) -> None:
    items = list_photos(data, "train")
    done: list[int] = []
    pictures = read_all(items, lambda: done.append(1))
    assert len(pictures) == len(done) == len(items)
    np.testing.assert_array_equal(pictures[3][0], read(items[3])[0])

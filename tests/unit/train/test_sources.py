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

Write = Callable[..., Path]
PARTS = ("train", "val", "test")


def test_classes_are_groups_of_the_transfer() -> None:
    assert set(CLASSES) <= set(GROUPS)
    assert len(set(CLASSES)) == len(CLASSES) < NOT
    assert NOT + len(CLASSES) < IGNORE
    assert CLASSES[SKY] == "sky"


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


def test_every_class_is_in_some_source() -> None:
    names = {name for source in SOURCES for name in source.table}
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
        ("stanford_background", 4, "water"),
        ("stanford_background", 6, "terrain"),
        ("msrc21", 6, "animal"),
        ("msrc21", 10, "water"),
        ("msrc21", 23, "vehicle"),
        ("river", 1, "water"),
        ("human_seg", 1, "person"),
        ("ccp", 58, "person"),
        ("coco_stuff21", 0, "person"),
        ("coco_stuff21", 24, "animal"),
        ("coco_stuff21", 63, "vegetation"),
        ("coco_stuff21", 105, "sky"),
        ("coco_stuff21", 134, "terrain"),
        ("coco_stuff21", 147, "water"),
        ("coco_stuff21", 148, "ground"),
        ("coco_stuff21", 157, "building"),
        ("coco_stuff21", 168, "vegetation"),
        ("coco_stuff21", 177, "water"),
        ("coco_stuff21", 181, "other"),
    ],
)
def test_known_values(source: str, value: int, name: str) -> None:
    assert target_table(source)[value] == CLASSES.index(name)


@pytest.mark.parametrize(
    ("source", "count"),
    [("stanford_background", 8), ("msrc21", 24), ("ccp", 59), ("coco_stuff21", 182)],
)
def test_tables_have_a_line_for_every_value(source: str, count: int) -> None:
    assert len(SOURCE_BY_NAME[source].table) == count


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
    for source in reversed(SOURCE_BY_NAME):
        write_photo(tmp_path, source, "train", 1)
    upper = write_photo(tmp_path, "ade_sky", "train", 2)
    upper.rename(upper.with_suffix(".JPEG"))
    (tmp_path / "camvid" / "train" / "notes.txt").write_text("mine")
    assert [photo.name for photo in list_photos(tmp_path, "train")] == [
        "camvid/train/001.jpg",
        "labelmefacade/train/001.jpg",
        "ade_sky/train/001.jpg",
        "ade_sky/train/002.JPEG",
        *(f"{source}/train/001.jpg" for source in list(SOURCE_BY_NAME)[3:]),
    ]


def test_test_photos_that_another_source_trains_on_are_left_out(
    tmp_path: Path, write_photo: Write
) -> None:
    assert len(MEASURED_ELSEWHERE) == 7
    known = write_photo(tmp_path, "ade_sky", "test", 1)
    write_photo(tmp_path, "ade_sky", "test", 2)
    for name in MEASURED_ELSEWHERE:
        for suffix in (".jpg", ".png"):
            shutil.copy(known.with_suffix(suffix), (tmp_path / name).with_suffix(suffix))
    assert [photo.name for photo in list_photos(tmp_path, "test")] == [
        "ade_sky/test/001.jpg",
        "ade_sky/test/002.jpg",
    ]


def test_sources_are_described_with_their_photos_and_terms(
    tmp_path: Path, write_photo: Write
) -> None:
    for source, number in (("river", 1), ("camvid", 1), ("camvid", 2)):
        write_photo(tmp_path, source, "train", number)
    items = list_photos(tmp_path, "train")
    streets, rivers = describe(items)
    assert streets == {
        "name": "camvid",
        "about": SOURCE_BY_NAME["camvid"].about,
        "terms": "research use",
        "photos": "2",
    }
    assert (rivers["name"], rivers["photos"]) == ("river", "1")
    assert terms_of_use(items) == "research and non-commercial use"


def test_weights_have_free_terms_only_where_all_photos_do(
    tmp_path: Path, write_photo: Write
) -> None:
    write_photo(tmp_path, "horizon_uav", "train", 1)
    assert terms_of_use(list_photos(tmp_path, "train")) == "MIT"
    write_photo(tmp_path, "coco_stuff21", "train", 1)
    assert terms_of_use(list_photos(tmp_path, "train")) == "research and non-commercial use"


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
        TrainingError, match=r"^camvid/train/007\.png has the label 12; expected 0 to 11, or 255"
    ):
        read(item)


def test_255_is_unknown_in_every_source(item: LabeledPhoto) -> None:
    labels = np.asarray(Image.open(item.labels)).copy()
    labels[3, 4] = 255
    Image.fromarray(labels).save(item.labels)
    assert read(item)[1][3, 4] == IGNORE


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

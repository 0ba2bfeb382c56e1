"""A data folder of small labeled landscapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from photoreal.train.loop import Photos
from photoreal.train.settings import Settings, Stage
from photoreal.train.sources import SOURCE_BY_NAME, list_photos, read_all
from photoreal.train.tables import IGNORED

HEIGHT, WIDTH = 80, 96
Write = Callable[..., Path]


def _landscape(number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A blue upper part over a gray lower one (H, W, 3), and where it is blue."""
    random = np.random.default_rng(number)
    horizon = HEIGHT // 2 + int(random.integers(-12, 13))
    sky = np.arange(HEIGHT)[:, None] < np.full(WIDTH, horizon)
    photo = np.where(sky[..., None], (110, 160, 230), (105, 100, 95))
    photo = photo + random.normal(0, 6, photo.shape) + random.integers(-15, 16)
    return np.clip(photo, 0, 255).astype(np.uint8), sky


@pytest.fixture(scope="session")
def write_photo() -> Write:
    """Writes one landscape with its labels, for any source; returns the photo's path.

    The upper part is labeled sky where the source knows it, the lower part ground; else they have
    the source's last and first label. Two rows of camvid are unlabeled.
    """

    def write(data: Path, source: str, part: str, number: int) -> Path:
        photo, sky = _landscape(number)
        folder = data / source / part
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:03d}.jpg"
        Image.fromarray(photo).save(path, quality=95)
        table = SOURCE_BY_NAME[source].table
        upper = table.index("sky") if "sky" in table else len(table) - 1
        lower = table.index("ground") if "ground" in table else 0
        labels = np.where(sky, upper, lower).astype(np.uint8)
        if source == "camvid":
            labels[:2] = table.index(IGNORED)
        Image.fromarray(labels).save(path.with_suffix(".png"))
        return path

    return write


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, write_photo: Write) -> Path:
    """Eight photos to train with, two for validation and two for the test; not to be changed."""
    folder = tmp_path_factory.mktemp("data")
    for part, numbers in (("train", range(8)), ("val", (8, 9)), ("test", (10, 11))):
        for number in numbers:
            write_photo(folder, "camvid", part, number)
    return folder


def _photos(data: Path, part: str) -> Photos:
    items = list_photos(data, part)
    return Photos(items, read_all(items))


@pytest.fixture(scope="session")
def train(data: Path) -> Photos:
    """The photos to train with, read."""
    return _photos(data, "train")


@pytest.fixture(scope="session")
def validation(data: Path) -> Photos:
    """Those for validation, read."""
    return _photos(data, "val")


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """Settings of a run that takes seconds; any of them may be given."""

    def make(**given: Any) -> Settings:
        values: dict[str, Any] = {
            "width": 4,
            "stages": (Stage(4, 64, 2), Stage(2, 72, 2)),
            "warmup": 2,
            "averaging": 0.5,
        }
        return Settings(**(values | given))

    return make

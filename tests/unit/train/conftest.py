"""A data folder of small labeled landscapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photoreal.train.loop import Photos
from photoreal.train.settings import Settings, Stage
from photoreal.train.sources import SOURCE_BY_NAME, list_photos, read_all
from photoreal.train.tables import IGNORED

HEIGHT, WIDTH = 80, 96
SMALL = Settings(
    width=4, stages=(Stage(3, 64, 2), Stage(3, 72, 2)), warmup=2, averaging=0.5, seed=5
)
"""Settings of a run that takes seconds."""


def write_photo(data: Path, source: str, part: str, number: int) -> Path:
    """Write a landscape, blue over gray, with its labels, for any source; returns its path.

    The upper part is labeled sky where the source knows it, the lower part ground; else they have
    the source's last and first label. Two rows of camvid are unlabeled.
    """
    random = np.random.default_rng(number)
    sky = np.arange(HEIGHT)[:, None] < np.full(WIDTH, HEIGHT // 2 + random.integers(-12, 13))
    photo = np.where(sky[..., None], (110, 160, 230), (105, 100, 95))
    photo = photo + random.normal(0, 6, photo.shape) + random.integers(-15, 16)
    path = data / source / part / f"{number:03d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(path, quality=95)
    table = SOURCE_BY_NAME[source].table
    upper = table.index("sky") if "sky" in table else len(table) - 1
    lower = table.index("ground") if "ground" in table else 0
    labels = np.where(sky, upper, lower).astype(np.uint8)
    if source == "camvid":
        labels[:2] = table.index(IGNORED)
    Image.fromarray(labels).save(path.with_suffix(".png"))
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photos to train with, two for validation and two for the test; nobody changes it."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(12):
        write_photo(folder, "camvid", ("train", "val", "test")[max(0, number - 6) // 2], number)
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

"""The segmenter that comes with photoreal: its files, and what it knows."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from photoreal.regions import LabelMap, classes, labels_from_colors
from photoreal.regions.refine import refine_labels
from photoreal.train.settings import Settings
from photoreal.train.sources import SOURCE_BY_NAME
from photoreal.train.tables import CLASSES
from photoreal.weights.segmenter_file import read_segmenter_file
from photoreal.weights.segmenters import DEFAULT_SEGMENTER, SEGMENTER_FILE, load_segmenter
from tests.shared import Array

# --- What is asked of the weights. Raise these with better ones.
ACCURACY = {"noon": 0.96, "dusk": 0.97}
"""Share of a scene's sky and land, by its time of day, that is found to be sky or not."""
LAND_AS_SKY = {"vegetation": 0.03, "ground": 0.02, "terrain": 0.1}
"""Share of each kind of land that may be taken for sky."""
FILES_TOGETHER = 8 * 10**6
"""Bytes that the files may take in all."""

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
FOLDER = ROOT / "src" / "photoreal" / "weights" / "segmenter"
SHORT_SIDE = 256
SKY, WATER = 0, 7
"""Labels of mask colors; water that mirrors the sky may count as either."""
LAND = {1: "vegetation", 5: "ground", 6: "terrain"}


SEGMENTER, NAMES = load_segmenter(DEFAULT_SEGMENTER)


def test_default_segmenter_is_the_one_that_the_training_makes() -> None:
    assert NAMES == CLASSES
    assert SEGMENTER.encoder.conv1.weight.shape[0] == Settings().width == 16
    assert not SEGMENTER.training
    for value in SEGMENTER.state_dict().values():
        assert torch.isfinite(value).all()


def test_its_files_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert {SEGMENTER_FILE, "MODEL_CARD.md", "settings.json", "photos.json"} == set(sizes)
    assert sum(sizes.values()) < FILES_TOGETHER


def test_its_file_says_what_it_was_made_from_and_what_it_is_for() -> None:
    about = read_segmenter_file(FOLDER / SEGMENTER_FILE)[1]
    assert about.terms == "research and non-commercial use"
    assert about.temperature != 1.0  # calibrated
    photos = Counter(
        name.split("/")[0] for name in json.loads((FOLDER / "photos.json").read_text())
    )
    assert {source["name"]: int(source["photos"]) for source in about.sources} == photos
    card = (FOLDER / "MODEL_CARD.md").read_text()
    for source in about.sources:
        known = SOURCE_BY_NAME[source["name"]]
        assert (source["about"], source["terms"]) == (known.about, known.terms)
        assert f"| {known.name} |" in card


def test_the_package_and_its_readme_say_so_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT AND LicenseRef-Research-NonCommercial"
    assert project["license-files"] == ["LICENSE", "LICENSE-weights.md"]
    for file in ("README.md", "LICENSE-weights.md"):
        text = " ".join((ROOT / file).read_text().split())
        assert "research and non-commercial use" in text.replace("*", "")
        assert "MIT" in text


def _picture(time: str) -> tuple[Array, LabelMap]:
    """A rendered scene (3, H, W) and its mask's labels, at a small size."""
    folder = EXAMPLES / "rendered"
    with Image.open(folder / f"{time}.jpg") as photo, Image.open(folder / f"{time}_mask.png") as m:
        size = (round(photo.width * SHORT_SIDE / photo.height), SHORT_SIDE)
        small = np.asarray(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        mask = np.asarray(m.convert("RGB").resize(size, Image.Resampling.NEAREST))
    return small.transpose(2, 0, 1).astype(np.float32) / 255, labels_from_colors(mask)


@pytest.mark.parametrize("time", ACCURACY)
def test_a_rendered_landscape_has_known_sky_and_ground(time: str) -> None:
    """The sky is found as in a request; land is not taken for it."""
    picture, labels = _picture(time)
    with torch.inference_mode():
        _, found = SEGMENTER.labels_and_probabilities(torch.from_numpy(picture)[None])
    groups = classes.group_probabilities(found[0].numpy(), NAMES)
    sky = refine_labels(groups, picture, classes.SKY) == classes.SKY
    counted = labels != WATER
    accuracy = np.mean(sky[counted] == (labels[counted] == SKY))
    assert accuracy >= ACCURACY[time], f"{time}: {accuracy:.3f}"
    present = [label for label in LAND if (labels == label).any()]
    assert present
    for label in present:
        share = sky[labels == label].mean()
        assert share <= LAND_AS_SKY[LAND[label]], f"{LAND[label]} at {time}: {share:.3f}"

"""The pictures that the project ships, and the script that renders some of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
from PIL import Image

from photoreal.regions import MASK_COLORS
from scenery.looks import REGIONS, SKY, Time
from tests.shared import Photo

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
PUBLISHED = set(MASK_COLORS.values())
PAIRS: list[dict[str, str]] = json.loads((EXAMPLES / "pairs.json").read_text(encoding="utf-8"))
TIMES: tuple[Time, ...] = ("noon", "dusk", "night")


Rendered = dict[Time, tuple[Photo, Photo]]


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    """Each time's picture and labels."""
    return {time: scenes.render_scene(time, 96, 144) for time in TIMES}


def pixels(path: Path) -> Photo:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def colors(mask: Photo) -> dict[tuple[int, ...], int]:
    found, counts = np.unique(mask.reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(map(int, c)): int(n) for c, n in zip(found, counts, strict=True)}


@pytest.mark.parametrize("time", TIMES)
def test_scene_repeats_and_has_every_region(time: Time, rendered: Rendered) -> None:
    picture, labels = rendered[time]
    for one, again in zip((picture, labels), scenes.render_scene(time, 96, 144), strict=True):
        assert np.array_equal(one, again)
    assert picture.dtype == labels.dtype == np.uint8
    assert picture.shape == (*labels.shape, 3) == (96, 144, 3)
    assert set(np.unique(labels)) == set(range(len(REGIONS)))
    assert np.bincount(labels.ravel()).min() > 10


def test_scenes_differ_in_light_texture_and_layout(
    rendered: Rendered,
) -> None:
    (noon, noon_labels), (dusk, dusk_labels) = rendered["noon"], rendered["dusk"]
    assert noon.mean() > dusk.mean() + 20
    # The light of dusk is warm: red over blue, and the other way round at noon.
    assert dusk[..., 0].mean() > dusk[..., 2].mean()
    assert noon[..., 2].mean() > noon[..., 0].mean()
    assert np.mean(noon_labels != dusk_labels) > 0.1
    assert np.mean(noon_labels != scenes.render_scene("noon", 96, 144, seed=5)[1]) > 0.02
    steps = np.abs(np.diff(dusk.astype(int), axis=1)).sum(axis=2)
    sky = (dusk_labels == SKY)[:, 1:] & (dusk_labels == SKY)[:, :-1]
    assert np.mean(steps[sky] > 0) > 0.8


@pytest.mark.parametrize(
    ("time", "height", "words"), [("dawn", 64, "must be one of"), ("noon", 8, "at least 16")]
)
def test_bad_scene_is_refused(time: Any, height: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        scenes.render_scene(time, height, 64)


def test_script_writes_pictures_and_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "out"
    monkeypatch.setattr(sys, "argv", ["scenes.py", str(out), "--height", "48", "--width", "64"])
    scenes.main()
    files = {f"{time}{kind}.png" for time in ("noon", "dusk") for kind in ("", "_mask")}
    assert {path.name for path in out.iterdir()} == files
    _, labels = scenes.render_scene("dusk", 48, 64)
    assert np.array_equal(pixels(out / "dusk_mask.png"), scenes.mask_image(labels))


def test_regions_have_published_colors() -> None:
    own = [color for _, color in REGIONS]
    assert len(set(own)) == len(own)
    assert set(own) <= PUBLISHED


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["name"])
def test_pair_fits_together(pair: dict[str, str]) -> None:
    assert set(pair) == {"name", "content", "style", "content_mask", "style_mask"}
    assert [one["name"] for one in PAIRS].count(pair["name"]) == 1
    found = {}
    for role in ("content", "style"):
        mask = pixels(EXAMPLES / pair[f"{role}_mask"])
        assert mask.shape == pixels(EXAMPLES / pair[role]).shape
        found[role] = colors(mask)
        assert set(found[role]) <= PUBLISHED
    # Every region of the content finds its counterpart, with enough pixels on both sides.
    for color, count in found["content"].items():
        assert count > 10
        assert found["style"].get(color, 0) > 10


def test_every_shipped_picture_is_small_and_credited() -> None:
    credit = (EXAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    for folder in ("photos", "rendered"):
        for path in (EXAMPLES / folder).iterdir():
            assert path.stat().st_size < 300_000
            assert f"{folder}/{path.name}" in credit or f"{folder}/*" in credit


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((EXAMPLES / "pipeline.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setenv("PHOTOREAL_DEVICE", "cpu")
    scope: dict[str, Any] = {}
    for cell in notebook["cells"]:
        assert cell["cell_type"] == "markdown" or not cell["outputs"]
        if cell["cell_type"] == "code":
            text = "".join(cell["source"]).replace("size=320", "size=64")
            exec(compile(text, cell["id"], "exec"), scope)  # noqa: S102
    assert scope["result"].report["regions"] == "segmenter"
    assert scope["at_dusk"][1].report["style"] == "cached"
    assert scope["masked"].report["regions"] == "masks"
    assert scope["look"].psnr > 40

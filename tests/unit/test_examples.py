"""The pictures that the project ships, and the script that renders some of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = (96, 144)
PUBLISHED = {
    (0, 0, 255),
    (0, 255, 0),
    (0, 0, 0),
    (255, 255, 255),
    (255, 0, 0),
    (255, 255, 0),
    (128, 128, 128),
    (0, 255, 255),
    (255, 0, 255),
}
PAIRS: list[dict[str, str]] = json.loads((EXAMPLES / "pairs.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scenes() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "photoreal_example_scenes", EXAMPLES / "scenes.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def pixels(name: str) -> npt.NDArray[np.uint8]:
    with Image.open(EXAMPLES / name) as image:
        return np.asarray(image.convert("RGB"))


def colors(mask: npt.NDArray[np.uint8]) -> dict[tuple[int, ...], int]:
    found, counts = np.unique(mask.reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(map(int, c)): int(n) for c, n in zip(found, counts, strict=True)}


@pytest.mark.parametrize("time", ["noon", "dusk", "night"])
def test_scene_repeats_and_has_every_region(scenes: ModuleType, time: str) -> None:
    picture, labels = scenes.render_scene(time, *SIZE)
    again, labels_again = scenes.render_scene(time, *SIZE)
    assert picture.dtype == labels.dtype == np.uint8
    assert picture.shape == (*SIZE, 3)
    assert labels.shape == SIZE
    assert np.array_equal(picture, again)
    assert np.array_equal(labels, labels_again)
    assert set(np.unique(labels)) == set(range(len(scenes.REGIONS)))
    assert np.bincount(labels.ravel()).min() > 10


def test_layout_follows_the_seed(scenes: ModuleType) -> None:
    _, labels = scenes.render_scene("noon", *SIZE)
    _, other = scenes.render_scene("noon", *SIZE, seed=5)
    assert np.mean(labels != other) > 0.02


def test_noon_and_dusk_differ_in_light_and_layout(scenes: ModuleType) -> None:
    noon, noon_labels = scenes.render_scene("noon", *SIZE)
    dusk, dusk_labels = scenes.render_scene("dusk", *SIZE)
    assert noon.mean() > dusk.mean() + 20
    # The light of dusk is warm: red over blue, and the other way round at noon.
    assert dusk[..., 0].mean() > dusk[..., 2].mean()
    assert noon[..., 2].mean() > noon[..., 0].mean()
    assert np.mean(noon_labels != dusk_labels) > 0.1


def test_sky_has_texture(scenes: ModuleType) -> None:
    picture, labels = scenes.render_scene("dusk", *SIZE)
    steps = np.abs(np.diff(picture.astype(int), axis=1)).sum(axis=2)
    sky = (labels == scenes.SKY)[:, 1:] & (labels == scenes.SKY)[:, :-1]
    assert np.mean(steps[sky] > 0) > 0.8


@pytest.mark.parametrize(
    ("time", "height"), [pytest.param("dawn", 64, id="time"), pytest.param("noon", 8, id="size")]
)
def test_bad_scene_is_refused(scenes: ModuleType, time: str, height: int) -> None:
    with pytest.raises(ValueError, match=r"must be one of|at least 16"):
        scenes.render_scene(time, height, 64)


def test_script_writes_pictures_and_masks(
    scenes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "out"
    monkeypatch.setattr(sys, "argv", ["scenes.py", str(out), "--height", "48", "--width", "64"])
    scenes.main()
    assert {p.name for p in out.iterdir()} == {
        "noon.png",
        "noon_mask.png",
        "dusk.png",
        "dusk_mask.png",
    }
    _, labels = scenes.render_scene("dusk", 48, 64)
    assert np.array_equal(pixels(str(out / "dusk_mask.png")), scenes.mask_image(labels))


def test_regions_have_published_colors(scenes: ModuleType) -> None:
    own = [color for _, color in scenes.REGIONS]
    assert len(set(own)) == len(own)
    assert set(own) <= PUBLISHED


def test_pairs_are_named_once() -> None:
    names = [pair["name"] for pair in PAIRS]
    assert len(names) >= 2
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["name"])
def test_pair_fits_together(pair: dict[str, str]) -> None:
    assert set(pair) == {"name", "content", "style", "content_mask", "style_mask"}
    found = {}
    for role in ("content", "style"):
        mask = pixels(pair[f"{role}_mask"])
        assert mask.shape == pixels(pair[role]).shape
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

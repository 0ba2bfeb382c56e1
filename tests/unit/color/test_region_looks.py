"""Looks of single regions: one table for each region of a style or of a content photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.ndimage import binary_erosion

from photoreal import Pipeline
from photoreal.client import InvalidInput, StyleTransferClient
from photoreal.client.cli.look import look
from photoreal.client.look import neutral_photo
from photoreal.client.region_looks import region_file
from photoreal.color.cube import apply_table
from photoreal.pipeline.presets.preset import read_preset
from photoreal.preprocess import Limits

Photo = npt.NDArray[np.uint8]
EXAMPLES = Path(__file__).parents[3] / "examples"


def small(file: str, side: int = 160) -> Photo:
    with Image.open(EXAMPLES / file) as image:
        image.thumbnail((side, side))
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(device="cpu")


@pytest.fixture(scope="module")
def style() -> Photo:
    return small("rendered/dusk.jpg")


def test_the_tables_of_a_content_give_what_the_method_color_gives(
    pipeline: Pipeline, style: Photo
) -> None:
    content = small("photos/china.jpg")
    wanted = pipeline.stylize(content, style, method="color", labels=True)
    looks = {one.region: one for one in pipeline.region_looks(style, content)}
    assert len(looks) > 1
    assert list(looks) == [str(region["name"]) for region in wanted.report["content_regions"]]
    for region in wanted.report["content_regions"]:
        # At its border, the maps of several regions are mixed.
        inside = binary_erosion(wanted.content_labels == region["label"], iterations=10)
        if inside.sum() < 100:
            continue
        table = looks[str(region["name"])].table
        given = 255 * apply_table(table, content[inside] / np.float32(255))
        difference = np.abs(given - np.asarray(wanted.image)[inside])
        assert np.median(difference) < 0.6
        assert np.quantile(difference, 0.95) < 2.5


def test_the_tables_of_a_style_give_the_colors_of_its_regions(
    pipeline: Pipeline, style: Photo
) -> None:
    found = pipeline.style(style, method="color")
    looks = pipeline.region_looks(found)
    assert len(looks) == len(found.regions) > 1
    before = neutral_photo().reshape(-1, 3) / np.float32(255)
    assert found.preset is not None
    colors = read_preset(found.preset, "style", Limits()).colors
    for one, region, goal in zip(looks, found.regions, colors, strict=True):
        assert one.title == f"photoreal: {region['name']}, {100 * region['share']:.0f} %"
        assert goal is not None
        given = apply_table(one.table, before)
        np.testing.assert_allclose(given.mean(axis=0), goal.moments.mean, atol=0.02)
        np.testing.assert_allclose(np.cov(given.T), goal.moments.covariance, atol=0.01)


def test_the_regions_of_several_styles_need_a_content(pipeline: Pipeline, style: Photo) -> None:
    with pytest.raises(InvalidInput, match=r"2 styles.*expected a content photo"):
        pipeline.region_looks([style, style])


@pytest.mark.parametrize(
    ("region", "name"), [("sky", "a b-sky.cube"), ("area 1", "a b-area-1.cube")]
)
def test_files_are_named_after_regions(region: str, name: str) -> None:
    assert region_file(Path("x/a b.cube"), region) == Path("x") / name


class TestCommand:
    def run(self, pipeline: Pipeline, *arguments: object) -> Any:
        def connect(url: str | None, **options: Any) -> StyleTransferClient:
            return StyleTransferClient(transport=pipeline.transport)

        return CliRunner().invoke(look, [str(one) for one in arguments], obj=connect)

    def test_writes_a_file_for_each_region(self, pipeline: Pipeline, tmp_path: Path) -> None:
        photo = EXAMPLES / "rendered/dusk.jpg"
        call = (photo, "--regions", "--points", 9, "-o", tmp_path / "dusk.cube")
        outcome = self.run(pipeline, *call)
        assert outcome.exit_code == 0, outcome.output
        written = sorted(path.name for path in tmp_path.iterdir())
        assert "dusk-sky.cube" in written
        assert len(written) == outcome.stdout.count("9 points a side") > 1
        text = (tmp_path / "dusk-sky.cube").read_text()
        assert text.startswith('TITLE "dusk: sky, ')

    @pytest.mark.parametrize("more", [("--method", "wct2"), ("--wct2-strength", "1")])
    def test_options_of_another_method(
        self, pipeline: Pipeline, tmp_path: Path, more: tuple[str, str]
    ) -> None:
        photo = EXAMPLES / "rendered/dusk.jpg"
        outcome = self.run(pipeline, photo, "--regions", *more, "-o", tmp_path / "dusk.cube")
        assert outcome.exit_code == 2
        assert not list(tmp_path.iterdir())

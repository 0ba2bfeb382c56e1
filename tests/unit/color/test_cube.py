"""Looks: tables fitted to colors, written for other programs, and applied by one of them."""

from __future__ import annotations

import io
import types
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from photoreal import Pipeline
from photoreal.client import InvalidInput, StyleTransferClient
from photoreal.client.cli.look import look
from photoreal.client.look import Look, make_look, neutral_photo
from photoreal.color import cube
from photoreal.errors import InvalidOption
from tests.shared import Array, Photo, encoded

EXAMPLES = Path(__file__).parents[3] / "examples"


def psnr(one: Array, other: Array) -> float:
    """Of two pictures in 0..255, in dB."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(20 * np.log10(255) - 10 * np.log10(max(error, 1e-9)))


def colors(count: int = 5_000) -> Array:
    """Colors as in photos: around the gray axis."""
    random = np.random.default_rng(0)
    gray = random.uniform(0.05, 0.95, (count, 1))
    near: Array = np.clip(gray + random.normal(0, 0.08, (count, 3)), 0, 1)
    return near.astype(np.float32)


def small(file: str, side: int = 128) -> Photo:
    with Image.open(EXAMPLES / file) as image:
        image.thumbnail((side, side))
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(device="cpu", segmenter=None)


@pytest.fixture(scope="module")
def graded() -> Look:
    """A look that is not straight: warm lights, blue shadows, more contrast."""

    def stylize(photo: bytes, style: object, **options: object) -> Any:
        with Image.open(io.BytesIO(photo)) as image:
            before = np.asarray(image) / 255
        after = 0.5 + 0.45 * np.sin(np.pi * (before - 0.5)) + [0.04, 0.0, -0.04] * (before - 0.5)
        pixels = np.rint(after * 255).astype(np.uint8)
        return types.SimpleNamespace(image=Image.fromarray(pixels))

    return make_look(types.SimpleNamespace(stylize=stylize), b"style", points=17)


class TestFit:
    @pytest.mark.parametrize("points", [9, 33])
    def test_an_affine_map_is_found_everywhere(self, points: int) -> None:
        before, matrix = colors(), np.array([[0.7, 0.1, 0.0], [0.05, 0.6, 0.1], [0.0, 0.1, 0.5]])
        table = cube.fit_table(before, (before @ matrix.T + 0.1).astype(np.float32), points)
        wanted = cube.identity_table(points) @ matrix.T + 0.1
        np.testing.assert_allclose(table, wanted, atol=2e-3)

    def test_a_curve_is_found_where_colors_are(self) -> None:
        before = colors()
        after = before**2.2
        table = cube.fit_table(before, after, 17)
        assert psnr(255 * cube.apply_table(table, before), 255 * after) > 55
        assert table.dtype == np.float32
        assert 0 <= table.min() < table.max() <= 1

    def test_a_shift_is_found_everywhere(self) -> None:
        identity, gray = cube.identity_table(5), np.full((100, 3), 0.5, dtype=np.float32)
        table = cube.fit_table(colors(500), colors(500), 5)
        np.testing.assert_allclose(table, identity, atol=1e-4)
        table = cube.fit_table(gray, gray + np.float32(0.1), 5)  # from one color
        np.testing.assert_allclose(table, np.minimum(identity + 0.1, 1), atol=1e-3)
        for points in (1, 66):  # which programs do not read
            with pytest.raises(InvalidOption, match=f"{points} points a side.*expected 2 to 65"):
                cube.fit_table(gray, gray, points)


class TestFiles:
    def test_a_cube_has_red_fastest(self, tmp_path: Path) -> None:
        table = cube.fit_table(colors(500), colors(500)[:, [1, 0, 2]], 3)
        path = Look(table, 'a "look"', 50.0).save(tmp_path / "out.cube")
        lines = path.read_text().splitlines()
        assert lines[:2] == ['TITLE "a look"', "LUT_3D_SIZE 3"]
        values = np.loadtxt(lines[4:])
        np.testing.assert_allclose(values, table.transpose(2, 1, 0, 3).reshape(27, 3), atol=1e-6)

    def test_a_hald_picture_of_no_change_holds_all_colors(self, tmp_path: Path) -> None:
        path = Look(cube.identity_table(), "none", 99.0).save(tmp_path / "out.png")
        with Image.open(path) as image:
            pixels = np.asarray(image)
        assert pixels.shape == (512, 512, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 64**3
        assert pixels[0, 1].tolist() == [4, 0, 0]
        assert pixels[-1, -1].tolist() == [255, 255, 255]

    def test_other_files_are_refused(self, graded: Look, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match=r"expected \.cube, or \.png"):
            graded.save(tmp_path / "out.3dl")


def _filtered(pixels: Photo, name: str, arguments: str) -> Photo:
    """A picture as ffmpeg's filter gives it."""
    graph = av.filter.Graph()
    height, width = pixels.shape[:2]
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1)
    )
    table = graph.add(name, arguments)
    sink = graph.add("buffersink")
    source.link_to(table)
    table.link_to(sink)
    graph.configure()
    graph.push(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
    frame = graph.pull()
    assert isinstance(frame, av.VideoFrame)
    return np.asarray(frame.to_ndarray(format="rgb24"))


class TestOtherPrograms:
    def test_ffmpeg_applies_it_as_we_do(self, graded: Look, tmp_path: Path) -> None:
        path = graded.save(tmp_path / "out.cube")
        photo = small("photos/china.jpg")
        ours = cube.apply_table(graded.table, photo.reshape(-1, 3) / np.float32(255)) * 255
        theirs = _filtered(photo, "lut3d", str(path))
        assert psnr(ours.reshape(photo.shape), theirs) > 45
        assert psnr(photo, theirs) < 30  # it changes a lot

    def test_the_look_of_colors_is_the_whole_photo_s_result(
        self, pipeline: Pipeline, tmp_path: Path
    ) -> None:
        content, style = small("photos/china.jpg"), small("rendered/dusk.jpg")
        options: dict[str, Any] = {"method": "color"}
        found = pipeline.look(style, content, points=17, **options)
        theirs = _filtered(content, "lut3d", str(found.save(tmp_path / "out.cube")))
        whole = pipeline.stylize(content, style, segment=False, **options)
        assert psnr(np.asarray(whole.image), theirs) > 45
        assert found.psnr > 45

    def test_a_photo_that_it_was_not_made_for(self, pipeline: Pipeline) -> None:
        style = small("rendered/dusk.jpg")
        found = pipeline.look(style, method="color", points=17)
        photo = small("photos/rocket.jpg")
        given = cube.apply_table(found.table, photo.reshape(-1, 3) / np.float32(255)) * 255
        before = np.abs(photo.mean((0, 1)) - style.mean((0, 1))).sum()
        assert np.abs(given.mean(axis=0) - style.mean((0, 1))).sum() < before


def test_the_made_up_photo_is_like_photos() -> None:
    flat = neutral_photo().reshape(-1, 3).astype(float)
    assert np.ptp(flat.mean(axis=0)) < 3  # gray on the whole
    luma = flat @ [0.299, 0.587, 0.114]
    assert 55 < luma.std() < 80
    assert 10 < (flat - luma[:, None]).std() < 30


class TestCommand:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def run(self, pipeline: Pipeline, *arguments: object) -> Result:
        def connect(url: str | None, **options: Any) -> StyleTransferClient:
            return StyleTransferClient(transport=pipeline.transport)

        return CliRunner().invoke(look, [str(one) for one in arguments], obj=connect)

    def test_writes_and_says_how_near_it_is(self, pipeline: Pipeline) -> None:
        Path("dusk.png").write_bytes(encoded(small("rendered/dusk.jpg")))
        Path("in.png").write_bytes(encoded(small("photos/china.jpg")))
        call = "dusk.png --content in.png --method color --points 17 -o out.cube"
        outcome = self.run(pipeline, *call.split())
        assert outcome.exit_code == 0, outcome.output
        assert "out.cube: 17 points a side" in outcome.stdout
        assert 'TITLE "dusk"\nLUT_3D_SIZE 17\n' in Path("out.cube").read_text()

    @pytest.mark.parametrize(
        "arguments",
        [
            "PHOTO -o out.doc",
            "PHOTO -o none/out.cube",
            "none.jpg -o out.cube",
            "PHOTO -o out.cube --points 1",
            "PHOTO -o out.cube --content none.jpg",
            "- --content - -o out.cube",
        ],
    )
    def test_calls_that_cannot_succeed(self, arguments: str, pipeline: Pipeline) -> None:
        photo = EXAMPLES / "rendered" / "dusk.jpg"
        call = [photo if one == "PHOTO" else one for one in arguments.split()]
        outcome = self.run(pipeline, *call)
        assert outcome.exit_code == 2, outcome.output
        assert "Error: " in outcome.stderr
        assert not list(Path().iterdir())

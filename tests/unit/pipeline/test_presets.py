"""Presets: measured styles in files, which take the place of the photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from photoreal import Pipeline
from photoreal.client import InvalidInput
from photoreal.client.style import Style
from photoreal.errors import InvalidImage, InvalidMask, InvalidOption, InvalidRequest
from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.presets.tensor_file import MAX_HEADER, read_tensors, write_tensors
from photoreal.pipeline.request import StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.pipeline.wct2.measures_file import read_measures
from photoreal.preprocess import Limits
from photoreal.transfer.soft_transform import RIDGE
from tests.shared import NARROW

Photo = npt.NDArray[np.uint8]
EXAMPLES = Path(__file__).parents[3] / "examples"
SIZE = 32


def small(file: str, side: int = 120) -> Photo:
    with Image.open(EXAMPLES / file) as image:
        image.thumbnail((side, side))
        return np.asarray(image.convert("RGB"))


CONTENT, NOON = small("photos/china.jpg"), small("photos/rocket.jpg")
DUSK = small("rendered/dusk.jpg")


def halves(photo: Photo) -> Photo:
    mask = np.zeros(photo.shape[:2], dtype=np.uint8)
    mask[len(mask) // 2 :] = 1
    return mask


@pytest.fixture(scope="module")
def pipeline(few_channels: None) -> Pipeline:
    return Pipeline(device="cpu")


@pytest.fixture(scope="module")
def dusk(pipeline: Pipeline) -> bytes:
    return preset_of(pipeline, DUSK)


@pytest.fixture(scope="module")
def colors(pipeline: Pipeline) -> bytes:
    return preset_of(pipeline, DUSK, method="color")


def preset_of(pipeline: Pipeline, photo: Photo, mask: Photo | None = None, **options: Any) -> bytes:
    preset = pipeline.style(photo, mask, **{"size": SIZE, **options}).preset
    assert preset is not None
    return preset


def same(pipeline: Pipeline, preset: Any, photo: Any, **options: Any) -> None:
    """Asserts that the preset gives the picture and the pairs of the photo."""
    options = {"size": SIZE, **options}
    own = options.pop("own", {})
    ours = pipeline.stylize(CONTENT, preset, **options)
    theirs = pipeline.stylize(CONTENT, photo, **options, **own)
    assert ours.png == theirs.png
    assert ours.report["pairs"] == theirs.report["pairs"]
    assert ours.report["style_regions"] == theirs.report["style_regions"]


class TestEquality:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"method": "color"},
            {"alpha": 0.6, "match": "published"},
            {"transfer_at": "decoder"},
            {"transfer_at": "encoder,skip", "wct2_strength": 1.0},
        ],
        ids=str,
    )
    def test_a_preset_gives_the_picture_of_its_photo(
        self, pipeline: Pipeline, dusk: bytes, options: dict[str, Any]
    ) -> None:
        same(pipeline, dusk, DUSK, **options)

    def test_colors_alone_are_a_small_file(self, pipeline: Pipeline, colors: bytes) -> None:
        assert len(colors) < 20_000
        same(pipeline, colors, DUSK, method="color")

    def test_a_whole_photo(self, pipeline: Pipeline) -> None:
        preset = preset_of(pipeline, DUSK, segment=False)
        same(pipeline, preset, DUSK, segment=False)
        assert pipeline.stylize(CONTENT, preset, size=SIZE).report["pairs"][0]["style"] == (
            "whole photo"
        )

    def test_a_content_without_regions_takes_the_whole_preset(
        self, pipeline: Pipeline, dusk: bytes
    ) -> None:
        ours, theirs = (
            np.asarray(pipeline.stylize(CONTENT, one, size=SIZE, segment=False).image, float)
            for one in (dusk, DUSK)
        )
        assert np.abs(ours - theirs).mean() < 1  # moments of parts against those of the whole

    def test_regions_of_a_mask(self, pipeline: Pipeline) -> None:
        preset = preset_of(pipeline, DUSK, halves(DUSK))
        mask = halves(CONTENT)
        same(pipeline, preset, DUSK, content_mask=mask, own={"style_mask": halves(DUSK)})
        loaded = Style(preset=preset)
        assert pipeline.stylize(CONTENT, loaded, content_mask=mask, size=SIZE).report["pairs"]

    def test_a_preset_and_a_photo_are_mixed(self, pipeline: Pipeline, dusk: bytes) -> None:
        same(pipeline, [dusk, NOON], [DUSK, NOON], weights=[0.7, 0.3])
        same(pipeline, [NOON, dusk], [NOON, DUSK])
        same(pipeline, [dusk, dusk], [DUSK, DUSK])

    def test_pairs_name_regions_of_a_preset(self, pipeline: Pipeline, dusk: bytes) -> None:
        found = pipeline.find_regions(CONTENT, dusk, size=SIZE)
        assert found.style_labels.shape == (0, 0)
        ours = found.report["content_regions"][0]["label"]
        theirs = found.report["style_regions"][-1]["label"]
        same(pipeline, dusk, DUSK, pairs=[(ours, theirs)])

    def test_frames_of_a_shot(self, pipeline: Pipeline, dusk: bytes) -> None:
        for frame in range(2):
            photo = np.roll(CONTENT, frame, axis=1)
            results = [
                pipeline.stylize(photo, style, size=SIZE, sequence=name)
                for style, name in ((dusk, "preset"), (DUSK, "photo"))
            ]
            assert results[0].png == results[1].png

    def test_saved_and_loaded(self, pipeline: Pipeline, tmp_path: Path) -> None:
        style = pipeline.style(DUSK, size=SIZE)
        path = style.save(tmp_path / "dusk.safetensors")
        assert Style.load(path).preset == style.preset == path.read_bytes()
        same(pipeline, str(path), DUSK)
        same(pipeline, Style.load(path), style)


def test_a_preset_holds_no_picture(dusk: bytes) -> None:
    _, tensors = read_tensors(dusk)
    pixels = SIZE * SIZE
    own = [
        name
        for name, one in tensors.items()
        if not name.endswith((".means", ".covariances", ".tones"))
    ]
    assert sorted(own) == sorted(
        ["shares", "traits", "pixels", *(name for name in own if name.endswith(".regions"))]
    )
    assert all(tensors[name].size < max(pixels, 64) // 10 for name in own)


def test_covariances_are_read_whole(dusk: bytes) -> None:
    """A file holds one triangle of each."""
    weights = read_tensors(dusk)[0]["weights"]
    for regions in read_measures(dusk, weights, torch.device("cpu"), depth=4).values():
        for one in regions.values():
            assert torch.equal(one.covariance, one.covariance.T)


@pytest.fixture(scope="module")
def other(dusk: bytes) -> bytes:
    known, tensors = read_tensors(dusk)
    return write_tensors({**known, "weights": "0123456789abcdef"}, tensors)


class TestOtherWeights:
    def test_are_refused_for_wct2(
        self, pipeline: Pipeline, other: bytes, check_sentence: Callable[[object], None]
    ) -> None:
        with pytest.raises(InvalidOption, match=r"weights '0123456789abcdef'.*measure") as refused:
            pipeline.stylize(CONTENT, other, size=SIZE)
        check_sentence(refused.value)

    def test_do_not_matter_for_colors(self, pipeline: Pipeline, other: bytes) -> None:
        same(pipeline, other, DUSK, method="color")


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def tensor(name: str, value: Callable[[Any], Any]) -> Change:
    def change(about: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors[name] = value(tensors[name].copy())

    return change


def about(**values: Any) -> Change:
    return lambda known, tensors: known.update(values)


def drop(name: str) -> Change:
    def change(about: dict[str, Any], tensors: dict[str, Any]) -> None:
        del tensors[name]

    return change


DAMAGES: dict[str, tuple[Change, str]] = {
    "version": (about(version=1), "version '1'.*version 2"),
    "no regions": (about(regions=[]), "no regions"),
    "label": (about(regions=[[300, "sky", 1.0]]), "description of a region"),
    "name": (about(regions=[[1, "sky\n", 1.0]]), "description of a region"),
    "source": (about(source="guess"), "source"),
    "size": (about(size=[0, 10]), "size"),
    "about": (about(size=7), "metadata"),
    "weights": (about(weights=5), "weights"),
    "missing": (drop("traits"), "traits is missing"),
    "type": (tensor("shares", lambda one: one.astype(np.float64)), "shares has another type"),
    "shape": (tensor("color.means", lambda one: one[:, :2]), "color.means has another"),
    "nan": (tensor("traits", lambda one: one * np.nan), "traits holds values"),
    "shares": (tensor("shares", lambda one: 2 * one), "add up to 1"),
    "traits": (tensor("traits", lambda one: 1e9 + one), "traits.*out of range"),
    "pixels": (tensor("pixels", lambda one: one + 10**12), "pixels.*out of range"),
    "order": (tensor("color.regions", lambda one: one[::-1]), "does not list regions"),
    "colors": (tensor("color.means", lambda one: one + 2), "not in 0 to 1"),
    "lopsided": (
        tensor("color.covariances", lambda one: one + np.triu(np.full((3, 3), 0.1))),
        "not symmetric",
    ),
    "negative": (tensor("color.covariances", lambda one: -one), "negative variance"),
    "tones": (tensor("color.tones", lambda one: one[..., ::-1]), "not in order"),
    "range": (tensor("color.tones", lambda one: one + 2), "quantiles.*out of range"),
}
FEATURE_DAMAGES: dict[str, tuple[Change, str]] = {
    "missing": (drop("encoder.4.means"), "encoder.4.means is missing"),
    "shape": (tensor("LH.2.covariances", lambda one: one[:, 1:]), "LH.2.covariances has another"),
    "nan": (tensor("decoder.1.means", lambda one: one + np.inf), "decoder.1.means holds values"),
    "negative": (tensor("encoder.1.covariances", lambda one: -one), "negative variance"),
    "regions": (tensor("decoder.2.regions", lambda one: one + 40), "more regions than"),
}


class TestHostileFiles:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_damaged_colors_are_named(
        self,
        pipeline: Pipeline,
        colors: bytes,
        name: str,
        check_sentence: Callable[[object], None],
    ) -> None:
        change, words = DAMAGES[name]
        known, tensors = read_tensors(colors)
        change(known, tensors)
        with pytest.raises(InvalidImage, match=f"(?s)style.*preset.*{words}") as refused:
            pipeline.stylize(CONTENT, write_tensors(known, tensors), method="color")
        check_sentence(refused.value)

    @pytest.mark.parametrize("name", FEATURE_DAMAGES)
    def test_damaged_features_are_named(
        self, pipeline: Pipeline, dusk: bytes, name: str, check_sentence: Callable[[object], None]
    ) -> None:
        change, words = FEATURE_DAMAGES[name]
        known, tensors = read_tensors(dusk)
        change(known, tensors)
        with pytest.raises(InvalidOption, match=words) as refused:
            pipeline.stylize(CONTENT, write_tensors(known, tensors), size=SIZE)
        check_sentence(refused.value)

    @pytest.mark.parametrize(
        "data",
        [
            b"\x02\0\0\0\0\0\0\0{}",
            b"\x10\0\0\0\0\0\0\0{}",
            MAX_HEADER.to_bytes(8, "little") + b"{" * MAX_HEADER,
            (MAX_HEADER + 1).to_bytes(8, "little") + b"{" * (MAX_HEADER + 1),
            write_tensors({"version": 1}, {}),
            write_tensors({"version": 1}, {})[:-3],
        ],
    )
    def test_other_bytes(
        self, pipeline: Pipeline, data: bytes, check_sentence: Callable[[object], None]
    ) -> None:
        with pytest.raises(InvalidImage) as refused:
            pipeline.stylize(CONTENT, data)
        check_sentence(refused.value)

    def test_bytes_cut_or_changed_anywhere(self, pipeline: Pipeline, colors: bytes) -> None:
        random = np.random.default_rng(0)
        for _ in range(60):
            data = bytearray(colors)
            at = int(random.integers(len(data)))
            data[at] ^= int(random.integers(1, 256))
            if random.random() < 0.3:
                data = data[:at]
            try:
                pipeline.stylize(CONTENT, bytes(data), method="color", size=16)
            except InvalidRequest:
                continue


class NoEngine:
    """An engine that is not asked."""

    depth: int
    encode: Any
    decode: Any


class TestRefusals:
    def test_the_method_published(self, pipeline: Pipeline, dusk: bytes) -> None:
        with pytest.raises(InvalidOption, match=r"preset.*published needs the style photo"):
            pipeline.stylize(CONTENT, dusk, method="published")
        with pytest.raises(InvalidInput, match="was not measured"):
            pipeline.style(DUSK, method="published", size=SIZE).save("dusk.safetensors")

    def test_features_of_a_preset_of_colors(self, pipeline: Pipeline, colors: bytes) -> None:
        with pytest.raises(InvalidOption, match="holds colors alone"):
            pipeline.stylize(CONTENT, colors, size=SIZE)

    def test_masks(self, pipeline: Pipeline, colors: bytes) -> None:
        masked = preset_of(pipeline, DUSK, halves(DUSK), method="color")
        options: dict[str, Any] = {"method": "color", "size": SIZE}
        with pytest.raises(InvalidMask, match=r"measured without a mask.*with a gray mask"):
            pipeline.stylize(CONTENT, colors, content_mask=halves(CONTENT), **options)
        with pytest.raises(InvalidMask, match=r"regions are those of a mask"):
            pipeline.stylize(CONTENT, masked, **options)
        both: dict[str, Any] = {"content_mask": halves(CONTENT), "style_mask": halves(DUSK)}
        with pytest.raises(InvalidMask, match=r"1 style masks for 0 style photos"):
            pipeline.stylize(CONTENT, masked, **both, **options)

    def test_names_of_files(self, pipeline: Pipeline, tmp_path: Path) -> None:
        style = pipeline.style(DUSK, method="color", size=SIZE)
        with pytest.raises(InvalidInput, match=r"does not end in \.safetensors"):
            style.save(tmp_path / "dusk.jpg")

    def test_a_preset_is_measured_already(self, pipeline: Pipeline, colors: bytes) -> None:
        with pytest.raises(InvalidOption, match="preset already"):
            pipeline.style(colors)
        request = StylizeRequest(b"", colors, regions_only=True, measures_style=True)
        with pytest.raises(InvalidOption, match="preset already"):
            stylize(request, in_process_models(NoEngine()), Limits(max_memory=1 << 30))


def test_the_ridge_keeps_covariances_definite(dusk: bytes) -> None:
    _, tensors = read_tensors(dusk)
    lower = tensors["encoder.1.covariances"][0]
    rows, columns = np.tril_indices(NARROW[1])
    diagonal = lower[rows == columns]
    assert diagonal.min() >= RIDGE

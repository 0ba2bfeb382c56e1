"""`photoreal.Pipeline`: the client's calls in this process."""

from __future__ import annotations

import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import photoreal
from photoreal import Pipeline
from photoreal.client import StyleTransferClient
from photoreal.errors import InvalidImage, InvalidOption, WeightsError
from photoreal.preprocess import Limits
from tests.shared import Photo, encoded, output_of, photo

CONTENT, STYLE = photo(20, 24, seed=1), photo(18, 16, seed=2)
SIZE = 16


pytestmark = pytest.mark.usefixtures("few_channels")


@pytest.fixture(scope="module")
def pipeline(few_channels: None) -> Pipeline:
    return Pipeline(device="cpu", segmenter=None)


def _bands(height: int, width: int) -> Photo:
    mask = np.ones((height, width), dtype=np.uint8)
    mask[height // 2 :] = 2
    return mask


OURS, THEIRS = _bands(20, 24), _bands(18, 16)


class TestStylize:
    def test_takes_what_the_client_takes(self, pipeline: Pipeline, tmp_path: Path) -> None:
        path = tmp_path / "content.png"
        Image.fromarray(CONTENT).save(path)
        forms = (CONTENT, Image.fromarray(CONTENT), path, str(path), path.read_bytes())
        results = [pipeline.stylize(form, STYLE, size=SIZE, labels=True) for form in forms]
        assert len({result.png for result in results}) == 1
        assert results[0].image.size == (24, 20)
        assert not np.array_equal(np.asarray(results[0].image), CONTENT)
        assert results[0].report["regions"] == "whole"
        assert results[0].content_labels.shape == (20, 24)
        assert results[0].save(tmp_path / "out.png").read_bytes() == results[0].png

    @pytest.mark.parametrize("name", ["stylize", "find_regions"])
    def test_signatures_are_the_client_s(self, name: str) -> None:
        ours = inspect.signature(getattr(Pipeline, name)).parameters.keys()
        theirs = inspect.signature(getattr(StyleTransferClient, name)).parameters.keys()
        assert theirs - ours == {"timeout", "request_id"}
        assert ours <= theirs

    def test_options_matter_and_are_as_precise_as_a_server_s(self, pipeline: Pipeline) -> None:
        client = StyleTransferClient(transport=pipeline.transport)
        seen = set()
        for options in ({}, {"alpha": 0.7}, {"method": "color"}, {"method": "published"}):
            result = pipeline.stylize(CONTENT, STYLE, size=SIZE, **options)
            assert client.stylize(CONTENT, STYLE, size=SIZE, **options).png == result.png
            seen.add(result.png)
        assert len(seen) == 4

    def test_other_formats(self, pipeline: Pipeline) -> None:
        plain = pipeline.stylize(CONTENT, STYLE, size=SIZE, method="color")
        result = pipeline.stylize(CONTENT, STYLE, size=SIZE, method="color", format="jpeg")
        assert result.data == encoded(plain.image, "JPEG", quality=95, subsampling=0)
        assert (plain.format, result.format) == ("png", "jpeg")
        raw = pipeline.stylize(CONTENT, STYLE, size=SIZE, method="color", format="raw")
        assert raw.format == "raw"
        assert raw.data.endswith(plain.pixels.tobytes())
        assert len(raw.data) - plain.pixels.nbytes < 20  # one line before the pixels
        assert np.array_equal(raw.pixels, plain.pixels)
        assert raw.png == plain.png
        with pytest.raises(
            InvalidOption, match="format is 'gif'; expected png, jpeg, webp, tiff or raw"
        ):
            pipeline.stylize(CONTENT, STYLE, format="gif")  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
    def test_photos_of_phones(self, pipeline: Pipeline, tmp_path: Path, kind: str) -> None:
        exif = Image.Exif()
        exif[0x010F] = "Camera & Sons"
        file = encoded(np.full((48, 64, 3), (30, 120, 200), dtype=np.uint8), kind, exif=exif)
        result = pipeline.stylize(file, file, size=SIZE, method="color")
        assert result.image.size == (64, 48)
        with Image.open(result.save(tmp_path / "out.jpg")) as image:
            assert image.getexif()[0x010F] == "Camera & Sons"

    def test_segments_without_masks(self) -> None:
        found = Pipeline(device="cpu").find_regions(CONTENT, STYLE, size=SIZE)
        assert found.report["regions"] == "segmenter"
        assert found.content_labels.shape == CONTENT.shape[:2]

    def test_threads_share_it(self, pipeline: Pipeline) -> None:
        def run(alpha: float) -> bytes:
            return pipeline.stylize(CONTENT, STYLE, size=SIZE, alpha=alpha).png

        alphas = (0.2, 0.5, 0.8)
        alone = [run(alpha) for alpha in alphas]
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(run, alphas)) == alone


class TestStyles:
    def test_a_measured_style_is_known(self) -> None:
        pipeline = Pipeline(device="cpu", segmenter=None)
        measured = pipeline.style(STYLE, size=SIZE)
        for content in (CONTENT, CONTENT[::-1].copy()):
            result = pipeline.stylize(content, measured, size=SIZE)
            assert result.report["style"] == "cached"
            assert result.png == pipeline.stylize(content, STYLE, size=SIZE).png
        assert pipeline.stylize(CONTENT, STYLE, size=SIZE + 2).report["style"] == "measured"

    def test_its_mask_goes_with_a_content_mask(self, pipeline: Pipeline) -> None:
        measured = pipeline.style(STYLE, THEIRS, size=SIZE)
        result = pipeline.stylize(CONTENT, measured, content_mask=OURS, size=SIZE)
        assert (result.report["regions"], result.report["style"]) == ("masks", "cached")
        given = pipeline.stylize(CONTENT, STYLE, content_mask=OURS, style_mask=THEIRS, size=SIZE)
        assert given.png == result.png
        assert pipeline.stylize(CONTENT, measured, size=SIZE).report["regions"] == "whole"

    def test_several_are_mixed(self, pipeline: Pipeline) -> None:
        both: list[Any] = [pipeline.style(STYLE, size=SIZE), CONTENT]
        mixed = pipeline.stylize(CONTENT, both, weights=[0.5, 0.5], size=SIZE)
        assert mixed.png == pipeline.stylize(CONTENT, [STYLE, CONTENT], size=SIZE).png
        assert len(mixed.report["style_regions"]) == 2


class TestRefused:
    def test_unknown_options(self, pipeline: Pipeline) -> None:
        with pytest.raises(TypeError, match="alpa"):
            pipeline.stylize(CONTENT, STYLE, alpa=1.0)  # type: ignore[call-arg]

    def test_beyond_its_limits(self) -> None:
        pipeline = Pipeline(device="cpu", segmenter=None, limits=Limits(max_pixels=100))
        with pytest.raises(InvalidImage, match="24x20 pixels; expected at most 100"):
            pipeline.stylize(CONTENT, CONTENT)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"device": "cuda"}, "device is 'cuda', but PyTorch cannot use a GPU"),
            ({"device": "mps"}, "device is 'mps'; expected cpu or cuda"),
            ({"precision": "fp16"}, "fp16"),
            ({"threads": 0}, "threads is 0; expected 1 to 1024"),
        ],
    )
    def test_devices(
        self, given: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(InvalidOption, match=words):
            Pipeline(**given)
        monkeypatch.setenv("PHOTOREAL_DEVICE", "cuda")
        with pytest.raises(InvalidOption, match="cannot use a GPU"):
            Pipeline()

    def test_missing_weights(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError):
            Pipeline(device="cpu", weights=tmp_path / "none")
        with pytest.raises(WeightsError):
            Pipeline(device="cpu", segmenter=tmp_path)

    def test_a_timeout(self, pipeline: Pipeline) -> None:
        client = StyleTransferClient(transport=pipeline.transport, timeout=1e-6)
        with pytest.raises(photoreal.client.RequestTimeout, match="not finished within"):
            client.stylize(CONTENT, STYLE)


FRESH = """
import os, sys
import photoreal
for missing in ("torch", "scipy", "cv2", "safetensors"):
    sys.modules[missing] = None
    try:
        photoreal.Pipeline
    except ImportError as error:
        print(missing, error)
    del sys.modules[missing]
    for name in [one for one in sys.modules if one.startswith("photoreal.")]:
        del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "termios", "psutil", "prometheus_client"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "getuid", "pidfd_open"):
    delattr(os, name)
import numpy
photo = numpy.zeros((16, 20, 3), dtype="uint8")
pipeline = photoreal.Pipeline(device="cpu", segmenter=None)
assert pipeline.stylize(photo, photo, size=16).image.size == (20, 16)
for name in ("tritonserver", "pytriton", "onnxruntime", "fastapi"):
    assert name not in sys.modules
"""


class TestImports:
    def test_what_is_missing_is_named_and_nothing_of_linux_is_needed(self) -> None:
        lines = output_of(sys.executable, "-c", FRESH).splitlines()
        for line, missing in zip(lines, ("torch", "scipy", "cv2", "safetensors"), strict=True):
            assert line.startswith(f"{missing} photoreal.Pipeline needs missing packages")
            assert line.count(missing) > 1
            assert 'pip install "photoreal[local]"' in line

    def test_names_of_the_package(self) -> None:
        assert photoreal.StyleTransferClient is StyleTransferClient
        with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
            photoreal.Pipelin  # noqa: B018

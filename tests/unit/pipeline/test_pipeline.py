"""`photoreal.Pipeline`: the client's calls in this process."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import photoreal
from photoreal import Pipeline
from photoreal.client import StyleTransferClient
from photoreal.errors import InvalidImage, InvalidMask, InvalidOption, InvalidRequest, WeightsError
from photoreal.preprocess import Limits

Photo = npt.NDArray[np.uint8]
SIZE = 16


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(device="cpu", segmenter=None)


@pytest.fixture
def content(photo: Callable[..., Photo]) -> Photo:
    return photo(20, 24, seed=1)


@pytest.fixture
def style(photo: Callable[..., Photo]) -> Photo:
    return photo(18, 16, seed=2)


def _bands(height: int, width: int) -> Photo:
    mask = np.ones((height, width), dtype=np.uint8)
    mask[height // 2 :] = 2
    return mask


class TestStylize:
    def test_takes_what_the_client_takes(
        self, pipeline: Pipeline, content: Photo, style: Photo, tmp_path: Path
    ) -> None:
        path = tmp_path / "content.png"
        Image.fromarray(content).save(path)
        forms = (content, Image.fromarray(content), path, str(path), path.read_bytes())
        results = [pipeline.stylize(form, style, size=SIZE) for form in forms]
        assert len({result.png for result in results}) == 1
        assert results[0].image.size == (24, 20)
        assert not np.array_equal(np.asarray(results[0].image), content)
        assert results[0].report["regions"] == "whole"
        assert results[0].content_labels.shape == (20, 24)
        assert results[0].save(tmp_path / "out.png").read_bytes() == results[0].png

    def test_signatures_are_the_client_s(self) -> None:
        for name in ("stylize", "find_regions"):
            ours = inspect.signature(getattr(Pipeline, name)).parameters
            theirs = inspect.signature(getattr(StyleTransferClient, name)).parameters
            assert set(theirs) - set(ours) == {"timeout", "request_id"}
            assert set(ours) <= set(theirs)

    def test_options_matter_and_are_as_precise_as_a_server_s(
        self, pipeline: Pipeline, content: Photo, style: Photo
    ) -> None:
        client = StyleTransferClient(transport=pipeline.transport)
        seen = set()
        for options in ({}, {"alpha": 0.7}, {"method": "color"}, {"method": "published"}):
            result = pipeline.stylize(content, style, size=SIZE, **options)
            assert client.stylize(content, style, size=SIZE, **options).png == result.png
            seen.add(result.png)
        assert len(seen) == 4

    def test_other_formats(self, pipeline: Pipeline, content: Photo, style: Photo) -> None:
        plain = pipeline.stylize(content, style, size=SIZE, method="color")
        result = pipeline.stylize(content, style, size=SIZE, method="color", format="jpeg")
        stream = io.BytesIO()
        plain.image.save(stream, "JPEG", quality=95)
        assert result.data == stream.getvalue()
        assert (plain.format, result.format) == ("png", "jpeg")
        with pytest.raises(
            InvalidOption, match="format is 'gif'; expected png, jpeg, webp or tiff"
        ):
            pipeline.stylize(content, style, format="gif")  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
    def test_photos_of_phones(
        self, pipeline: Pipeline, encoded: Callable[..., bytes], tmp_path: Path, kind: str
    ) -> None:
        exif = Image.Exif()
        exif[0x010F] = "Camera & Sons"
        photo = encoded(np.full((48, 64, 3), (30, 120, 200), dtype=np.uint8), kind, exif=exif)
        result = pipeline.stylize(photo, photo, size=SIZE, method="color")
        assert result.image.size == (64, 48)
        with Image.open(result.save(tmp_path / "out.jpg")) as image:
            assert image.getexif()[0x010F] == "Camera & Sons"

    def test_segments_without_masks(self, content: Photo, style: Photo) -> None:
        found = Pipeline(device="cpu").find_regions(content, style, size=SIZE)
        assert found.report["regions"] == "segmenter"
        assert found.content_labels.shape == content.shape[:2]

    def test_threads_share_it(self, pipeline: Pipeline, content: Photo, style: Photo) -> None:
        options: list[dict[str, Any]] = [{"alpha": share} for share in (0.2, 0.5, 0.8)]
        alone = [pipeline.stylize(content, style, size=SIZE, **one).png for one in options]
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(pipeline.stylize, content, style, size=SIZE, **o) for o in options]
            assert [call.result().png for call in calls] == alone


class TestStyles:
    def test_a_measured_style_is_known(self, content: Photo, style: Photo) -> None:
        pipeline = Pipeline(device="cpu", segmenter=None)
        measured = pipeline.style(style, size=SIZE)
        for photo in (content, content[::-1].copy()):
            result = pipeline.stylize(photo, measured, size=SIZE)
            assert result.report["style"] == "cached"
            assert result.png == pipeline.stylize(photo, style, size=SIZE).png
        assert pipeline.stylize(content, style, size=SIZE + 2).report["style"] == "measured"

    def test_its_mask_goes_with_a_content_mask(
        self, pipeline: Pipeline, content: Photo, style: Photo
    ) -> None:
        ours, theirs = _bands(20, 24), _bands(18, 16)
        measured = pipeline.style(style, theirs, size=SIZE)
        result = pipeline.stylize(content, measured, content_mask=ours, size=SIZE)
        assert (result.report["regions"], result.report["style"]) == ("masks", "cached")
        given = pipeline.stylize(content, style, content_mask=ours, style_mask=theirs, size=SIZE)
        assert given.png == result.png
        assert pipeline.stylize(content, measured, size=SIZE).report["regions"] == "whole"

    def test_several_are_mixed(self, pipeline: Pipeline, content: Photo, style: Photo) -> None:
        both: list[Any] = [pipeline.style(style, size=SIZE), content]
        mixed = pipeline.stylize(content, both, weights=[0.5, 0.5], size=SIZE)
        assert mixed.png == pipeline.stylize(content, [style, content], size=SIZE).png
        assert len(mixed.report["style_regions"]) == 2


class TestRefused:
    def test_in_a_server_s_words(
        self,
        pipeline: Pipeline,
        content: Photo,
        style: Photo,
        check_sentence: Callable[[object], None],
    ) -> None:
        calls: list[tuple[type[InvalidRequest], dict[str, Any]]] = [
            (InvalidImage, {"content": b"no photo"}),
            (InvalidOption, {"alpha": 2.0}),
            (InvalidOption, {"size": 4}),
            (InvalidMask, {"content_mask": _bands(20, 24)}),
            (InvalidRequest, {"content": "none.png"}),
            (InvalidRequest, {"alpha": "much"}),
        ]
        for error, call in calls:
            with pytest.raises(error) as caught:
                pipeline.stylize(**{"content": content, "style": style, **call})
            check_sentence(caught.value)
        with pytest.raises(TypeError, match="alpa"):
            pipeline.stylize(content, style, alpa=1.0)  # type: ignore[call-arg]

    def test_beyond_its_limits(self, content: Photo) -> None:
        pipeline = Pipeline(device="cpu", segmenter=None, limits=Limits(max_pixels=100))
        with pytest.raises(InvalidImage, match="24x20 pixels; expected at most 100"):
            pipeline.stylize(content, content)

    def test_devices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(InvalidOption, match="device is 'cuda', but PyTorch can use no GPU"):
            Pipeline(device="cuda")
        with pytest.raises(InvalidOption, match="device is 'mps'; expected cpu or cuda"):
            Pipeline(device="mps")  # type: ignore[arg-type]
        with pytest.raises(InvalidOption, match="fp16"):
            Pipeline(precision="fp16")
        with pytest.raises(InvalidOption, match="threads is 0; expected 1 to 1024"):
            Pipeline(threads=0)
        monkeypatch.setenv("PHOTOREAL_DEVICE", "cuda")
        with pytest.raises(InvalidOption, match="no GPU"):
            Pipeline()

    def test_weights_that_are_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError):
            Pipeline(device="cpu", weights=tmp_path / "none")
        with pytest.raises(WeightsError):
            Pipeline(device="cpu", segmenter=tmp_path)

    def test_a_timeout(self, pipeline: Pipeline, content: Photo, style: Photo) -> None:
        client = StyleTransferClient(transport=pipeline.transport, timeout=1e-6)
        with pytest.raises(photoreal.client.RequestTimeout, match="not finished within"):
            client.stylize(content, style)


class TestImports:
    @pytest.mark.parametrize("missing", ["torch", "scipy", "safetensors"])
    def test_what_is_missing_is_named(self, missing: str) -> None:
        code = f"import sys; sys.modules[{missing!r}] = None; from photoreal import Pipeline"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert missing in last
        assert last.startswith("ImportError: photoreal.Pipeline needs packages")
        assert 'pip install "photoreal[local]"' in last

    def test_nothing_of_linux_is_needed(self) -> None:
        code = """
import os, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios", "psutil", "prometheus_client"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "getuid", "pidfd_open"):
    delattr(os, name)
import numpy, io
from photoreal import Pipeline
photo = numpy.zeros((16, 20, 3), dtype="uint8")
assert Pipeline(device="cpu", segmenter=None).stylize(photo, photo, size=16).image.size == (20, 16)
for name in ("tritonserver", "pytriton", "onnxruntime", "fastapi"):
    assert name not in sys.modules
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_names_of_the_package(self) -> None:
        assert photoreal.StyleTransferClient is StyleTransferClient
        with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
            photoreal.Pipelin  # noqa: B018

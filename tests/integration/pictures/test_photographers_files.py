"""16 bits, wide colors and EXIF data go through a real server, over every interface."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from photoreal.client import StylizeResult
from photoreal.preprocess import Metadata, encode_pixels
from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import photoreal
from tests.unit.preprocess.profiles import DISPLAY_P3, rgb_profile

pytestmark = pytest.mark.server

HEIGHT, WIDTH = 64, 480
P3 = rgb_profile(DISPLAY_P3, 2.2)
EXIF = {int(ExifTags.Base.Make): "Camera", int(ExifTags.IFD.GPSInfo): {1: "N"}}
OPTIONS: dict[str, Any] = {"size": 48, "method": "color", "segment": False}


@pytest.fixture(scope="module")
def content() -> bytes:
    """A smooth gradient in Display P3, as a TIFF of a camera."""
    ramp = np.linspace(9_000, 60_000, HEIGHT * WIDTH).reshape(WIDTH, HEIGHT).T
    pixels = np.stack([ramp, ramp * 0.8, ramp * 0.5], axis=2).astype(np.uint16)
    return encode_pixels(pixels, "tiff", Metadata(EXIF, P3, is_srgb=False))


@pytest.fixture(scope="module")
def style(pair: Callable[[str], dict[str, Any]]) -> bytes:
    return bytes(pair("pagoda-dusk")["style"].read_bytes())


def _check(data: bytes, kind: str, *, metadata: bool = True) -> npt.NDArray[Any]:
    """Check a file with readers other than our own, and return its pixels."""
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == (kind, (WIDTH, HEIGHT))
        assert image.info["icc_profile"] == P3
        exif = image.getexif()
        assert exif.get(ExifTags.Base.Make) == ("Camera" if metadata else None)
        assert dict(exif.get_ifd(ExifTags.IFD.GPSInfo)) == ({1: "N"} if metadata else {})
    with av.open(io.BytesIO(data), "r", format=f"{kind.lower()}_pipe") as container:
        pixels = next(container.decode(video=0)).to_ndarray()
    assert pixels.dtype == np.uint16
    assert min(len(np.unique(pixels[..., channel])) for channel in range(3)) > 1000
    return pixels


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_clients(
    local: Server,
    stylize: Callable[..., StylizeResult],
    content: bytes,
    style: bytes,
    protocol: str,
) -> None:
    deep = stylize(local, protocol, content=content, style=style, **OPTIONS)
    pixels = _check(deep.data, "PNG")
    np.testing.assert_array_equal(deep.pixels, pixels)
    other = stylize(local, protocol, content=content, style=style, **OPTIONS, bit_depth=8)
    assert other.pixels.dtype == np.uint8
    assert np.abs(np.rint(pixels / 257) - other.pixels).max() <= 1


@pytest.mark.parametrize(("switch", "metadata"), [(None, True), ("--no-metadata", False)])
def test_command(
    local: Server, content: bytes, style: bytes, tmp_path: Path, switch: str | None, metadata: bool
) -> None:
    for name, data in (("content.tif", content), ("style.jpg", style)):
        (tmp_path / name).write_bytes(data)
    how = ("--size", 48, "--method", "color", "--no-segment", "--quiet", *filter(None, [switch]))
    where = ("-o", "out.tif", "--url", local.http_url)
    assert photoreal(tmp_path, "stylize", "content.tif", "style.jpg", *where, *how).returncode == 0
    _check((tmp_path / "out.tif").read_bytes(), "TIFF", metadata=metadata)


def test_gateway(gateway: str, content: bytes, style: bytes) -> None:
    answer = httpx2.post(
        f"{gateway}/upload_images/",
        files={"content_image": content, "style_image": style},
        data={"output_size": "64", "method": "color", "segment": "false", "format": "tiff"},
        timeout=240,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/tiff"
    _check(answer.content, "TIFF")

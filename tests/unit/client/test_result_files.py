"""Results with 16 bits, a color profile or EXIF data, saved in another format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from photoreal.client import ServerFailed, StylizeResult
from photoreal.options import DEEP_FORMATS, Format
from photoreal.preprocess import Limits, Metadata, encode_pixels, read_photo

from ..preprocess.profiles import ADOBE_RGB, rgb_profile

WIDE = Metadata({int(ExifTags.Base.Make): "Camera"}, rgb_profile(ADOBE_RGB, 2.2), is_srgb=False)
PIXELS = np.random.default_rng(0).integers(0, 65536, (9, 12, 3)).astype(np.uint16)


def _result(data: bytes) -> StylizeResult:
    return StylizeResult(data=data, content_labels_png=b"", style_labels_png=b"", report={})


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("kind", DEEP_FORMATS)
def test_what_the_format_holds_is_kept(kind: Format, suffix: str, tmp_path: Path) -> None:
    result = _result(encode_pixels(PIXELS, kind, WIDE))
    assert result.format == kind
    np.testing.assert_array_equal(result.pixels, PIXELS)
    data = result.save(tmp_path / f"out{suffix}").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == WIDE.icc_profile
        assert image.getexif()[ExifTags.Base.Make] == "Camera"
    if suffix in (".png", ".tif"):
        photo = read_photo(data, "photo", Limits())
        np.testing.assert_array_equal(photo.pixels, PIXELS)
        assert photo.metadata.icc_profile == WIDE.icc_profile


@pytest.mark.parametrize(
    ("kind", "name", "options", "same"),
    [
        ("tiff", "out.tif", {}, True),
        ("tiff", "out.tiff", {"quality": 40}, True),
        ("jpeg", "out.jpg", {}, True),
        ("jpeg", "out.jpg", {"quality": 40}, False),
        ("png", "out.tif", {}, False),
    ],
)
def test_a_file_is_written_as_it_came_where_it_can_be(
    kind: Format, name: str, options: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    pixels = PIXELS if kind in DEEP_FORMATS else (PIXELS >> 8).astype(np.uint8)
    result = _result(encode_pixels(pixels, kind, WIDE))
    assert (result.save(tmp_path / name, **options).read_bytes() == result.data) == same


def test_a_damaged_picture_has_no_pixels() -> None:
    with pytest.raises(ServerFailed, match="cannot be read"):
        _ = _result(encode_pixels(PIXELS)[:200]).pixels

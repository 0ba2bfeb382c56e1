"""JPEG photos that are needed at a working size only are reduced by their decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from photoreal.preprocess import Limits, read_photo, working_size
from tests.shared import encoded, psnr

from .profiles import DISPLAY_P3, rgb_profile

EXAMPLES = Path(__file__).parents[3] / "examples"
LIMITS = Limits()
PHOTOS = ("photos/china.jpg", "photos/rocket.jpg", "rendered/dusk.jpg")


def _jpeg(name: str, scale: float = 1.0, **options: Any) -> bytes:
    with Image.open(EXAMPLES / name) as photo:
        size = round(photo.width * scale), round(photo.height * scale)
        scaled = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return encoded(scaled, "JPEG", **{"quality": 95, "subsampling": 0} | options)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("times", [6.0, 8.5, 12.1])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_working_copy_is_that_of_the_whole_photo(
    name: str, times: float, subsampling: int
) -> None:
    """Above 45 dB, whatever part of the photo's side the working size is."""
    file = _jpeg(name, subsampling=subsampling)
    whole = read_photo(file, "photo", LIMITS)
    size = int(min(whole.shape) / times)
    reduced = read_photo(file, "photo", LIMITS, size=size)
    assert reduced.pixels.shape[0] < whole.pixels.shape[0]
    assert min(reduced.pixels.shape[:2]) >= 3 * size
    assert reduced.shape == whole.shape
    shape = working_size(*whole.shape, size)
    one, other = (torch.from_numpy(photo.resized(*shape)) for photo in (reduced, whole))
    assert psnr(one, other) > 45


@pytest.mark.parametrize(
    ("side", "size", "expected"),
    [
        *((1200, 400, 1200), (1200, 201, 1200), (1200, 200, 600), (1200, 101, 600)),
        *((1200, 100, 300), (1200, 50, 150), (1200, 20, 150), (1201, 100, 301), (1199, 100, 600)),
    ],
)
def test_the_smallest_part_with_three_times_the_working_size(
    side: int, size: int, expected: int
) -> None:
    file = encoded(Image.linear_gradient("L").resize((side, side)), "JPEG")
    photo = read_photo(file, "photo", LIMITS, size=size)
    assert photo.pixels.shape == (expected, expected, 3)
    assert photo.shape == (side, side)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [60, 35])
def test_a_turned_photo_is_the_same(orientation: int, size: int) -> None:
    """The last row and column of reduced pixels are a part of one, on any side after the turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = _jpeg(PHOTOS[0], scale=0.999, exif=exif)
    whole, reduced = (read_photo(file, "photo", LIMITS, size=one) for one in (None, size))
    scale = 2 if size == 60 else 4
    assert whole.reduced is None
    assert reduced.shape == whole.shape == ((639, 427) if orientation > 4 else (427, 639))
    assert reduced.pixels.shape[:2] == tuple(-(-side // scale) for side in whole.shape)
    shape = working_size(*whole.shape, size)
    one, other = (torch.from_numpy(photo.resized(*shape)) for photo in (reduced, whole))
    assert psnr(one, other) > 45
    pixels = reduced.resized_pixels(*shape).transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_array_equal(pixels, one.numpy())


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpeg_photos_are_reduced_as_well(mode: str) -> None:
    with Image.open(EXAMPLES / PHOTOS[0]) as image:
        file = encoded(image.convert(mode), "JPEG", quality=95)
    whole, reduced = (read_photo(file, "photo", LIMITS, size=size) for size in (None, 50))
    assert reduced.pixels.shape[0] == -(-whole.pixels.shape[0] // 2)
    one, other = (photo.resized(50, 75) for photo in (reduced, whole))
    assert np.abs(one - other).mean() < 0.005


def test_a_wide_gamut_stays() -> None:
    file = _jpeg(PHOTOS[0], icc_profile=rgb_profile(DISPLAY_P3, 2.2))
    whole, reduced = (read_photo(file, "photo", LIMITS, size=size) for size in (None, 50))
    assert reduced.space is not None
    assert reduced.srgb().shape == reduced.pixels.shape
    one, other = (photo.resized(50, 75) for photo in (reduced, whole))
    assert np.abs(one - other).mean() < 0.005


def test_other_formats_are_decoded_whole() -> None:
    image = Image.linear_gradient("L").resize((160, 120)).convert("RGB")
    for kind in ("PNG", "WEBP", "TIFF", "BMP"):
        photo = read_photo(encoded(image, kind), "photo", LIMITS, size=16)
        assert (photo.pixels.shape, photo.reduced) == ((120, 160, 3), None)

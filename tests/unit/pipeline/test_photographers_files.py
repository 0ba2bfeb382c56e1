"""Requests keep what photographers' files have: bit depth, color space, EXIF data."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import ExifTags, Image, ImageCms

from photoreal.color.icc import decode_srgb
from photoreal.errors import InvalidOption
from photoreal.pipeline.memory import estimate_bytes
from photoreal.pipeline.rendering import render
from photoreal.pipeline.request import Models, StylizeRequest, Transferred
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import Limits, Metadata, Photo, encode_pixels, read_photo
from photoreal.preprocess.metadata import srgb_profile
from tests.shared import encoded, refused

from ..preprocess.profiles import ADOBE_RGB, DISPLAY_P3, PROPHOTO, SRGB, parametric, rgb_profile
from .conftest import CONTENT, STYLE

Array = npt.NDArray[Any]
LIMITS = Limits()

SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
P3 = rgb_profile(DISPLAY_P3, SRGB_CURVE)
WIDE = {"P3": P3, "Adobe": rgb_profile(ADOBE_RGB, 2.2), "ProPhoto": rgb_profile(PROPHOTO, 1.8)}


def _warmer(content: npt.NDArray[np.float32], *_: object, **__: object) -> Transferred:
    gain, shift = np.array([[0.8, 0.7, 0.6], [0.1, 0.05, 0.02]], np.float32)[..., None, None]
    return Transferred(content * gain + shift)


MODELS = Models(_warmer, transfer_soft=_warmer)


def _gradient(height: int = 96, width: int = 640) -> npt.NDArray[np.uint16]:
    """A smooth sky with far more than 256 levels."""
    ramp = np.linspace(12_000, 52_000, width)[None, :] + np.linspace(0, 2000, height)[:, None]
    sky = np.stack([ramp * 0.7, ramp * 0.9, ramp], axis=2)
    return np.asarray(np.rint(sky), dtype=np.uint16)


def _bright(dtype: Any = np.uint8) -> Array:
    """Gray fields around a saturated red, green and blue, which lie outside sRGB in wide spaces."""
    picture = np.full((60, 90, 3), 0.45)
    for channel in range(3):
        picture[15:45, 8 + 28 * channel : 24 + 28 * channel] = np.eye(3)[channel] * 0.95 + 0.02
    return np.asarray(np.rint(picture * np.iinfo(dtype).max), dtype=dtype)


def _file(pixels: Array, profile: bytes | None = None, kind: Any = "png") -> bytes:
    return encode_pixels(pixels, kind, Metadata(icc_profile=profile))


def request_for(**given: Any) -> StylizeRequest:
    photos = {"content": encoded(CONTENT), "style": encoded(STYLE)}
    return StylizeRequest(**{**photos, "size": 16, **given})


def _result(request: StylizeRequest) -> Photo:
    return read_photo(stylize(request, MODELS, LIMITS).image, "result", LIMITS)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("profile", [None, *WIDE.values()])
@pytest.mark.parametrize("output_size", [None, 80])
def test_a_smooth_gradient_keeps_its_levels(
    kind: str, profile: bytes | None, output_size: int | None
) -> None:
    content = _file(_gradient(), profile, kind)
    options: dict[str, Any] = {"content": content, "size": 64, "color_strength": 0.0}
    options |= {"wct2_strength": 1.0, "format": kind, "output_size": output_size}
    deep = _result(request_for(**options)).pixels
    shallow = _result(request_for(**options, bit_depth=8)).pixels
    assert (deep.itemsize, shallow.itemsize) == (2, 1)
    assert np.abs(np.rint(deep / 257) - shallow).max() <= 1
    for channel in range(3):
        row = deep[40, :, channel].astype(int)
        assert len(np.unique(row)) > 256 * 1.5
        assert len(np.unique(shallow[40, :, channel])) < 160
        assert (np.diff(row) > -10).mean() > 0.99  # as smooth as it was: no steps of 257


def test_a_gradient_is_changed_as_the_transfer_says() -> None:
    options: dict[str, Any] = {"size": 64, "color_strength": 0.0, "wct2_strength": 1.0}
    photo = _gradient()
    found = _result(request_for(content=_file(photo), **options)).pixels
    wanted = _warmer((photo / np.float32(65535)).transpose(2, 0, 1)).image.transpose(1, 2, 0)
    assert np.abs(found - 65535 * wanted).mean() < 30
    # The same photo with 8 bits: the result is the same but for the photo's own rounding.
    rounded = np.rint(photo / 257).astype(np.uint8)
    shallow = _result(request_for(content=_file(rounded), **options)).pixels
    assert np.abs(found / 257 - shallow).max() <= 1.5


@pytest.mark.parametrize(
    ("depth", "options", "expected"),
    [
        (8, {}, 8),
        (16, {}, 16),
        (8, {"format": "tiff"}, 8),
        (16, {"format": "tiff"}, 16),
        (16, {"format": "jpeg"}, 8),
        (16, {"format": "webp"}, 8),
        (8, {"bit_depth": 16}, 16),
        (16, {"bit_depth": 8}, 8),
        (16, {"bit_depth": 8, "format": "jpeg"}, 8),
        (16, {"method": "published"}, 16),
        (8, {"method": "published", "bit_depth": 16}, 16),
    ],
)
def test_bit_depth_of_the_result(depth: int, options: dict[str, Any], expected: int) -> None:
    pixels = _gradient(40, 60) if depth == 16 else (_gradient(40, 60) >> 8).astype(np.uint8)
    photo = _result(request_for(content=_file(pixels), **options))
    assert photo.depth == expected
    if expected == 16:
        assert (photo.pixels % 257 != 0).mean() > 0.9  # not 8 bits stretched


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("jpeg", {}, "JPEG"),
        ("jpeg", {"method": "color"}, "JPEG"),
        ("jpeg", {"format": "png"}, "PNG"),
        ("jpeg", {"bit_depth": 16}, "PNG"),
        ("jpeg", {"method": "published"}, "PNG"),
        ("png", {}, "PNG"),
        ("webp", {}, "PNG"),
        ("tiff", {}, "PNG"),
        ("png", {"format": "jpeg"}, "JPEG"),
    ],
)
def test_by_default_a_jpeg_gives_a_jpeg(kind: str, options: dict[str, Any], expected: str) -> None:
    content = _file(_bright(), kind=kind)
    answer = stylize(request_for(content=content, **options), MODELS, LIMITS)
    assert Image.open(io.BytesIO(answer.image)).format == expected


def test_a_jpeg_keeps_the_colors_of_each_pixel() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 200
    found = read_photo(encode_pixels(stripes, "jpeg"), "stripes", LIMITS).pixels
    assert np.abs(found.astype(int) - stripes).max() < 30  # 100 with one color for two pixels


@pytest.mark.parametrize(("dtype", "fits"), [(np.uint8, True), (np.uint16, False)])
def test_more_bits_count_as_more_memory(dtype: Any, fits: bool) -> None:
    content = _file(np.full((600, 800, 3), 200, dtype))
    sizes = {"content": (600, 800), "style": (20, 16)}
    assert estimate_bytes(sizes, 16) < estimate_bytes(sizes, 16, ["content"]) - 4_000_000
    limits = Limits(max_memory=estimate_bytes(sizes, 16))
    request = request_for(content=content, method="color")
    with nullcontext() if fits else pytest.raises(InvalidOption, match="MB of memory"):
        stylize(request, MODELS, limits)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bit_depth": 16, "format": "jpeg"}, "format jpeg has 8 bits; .* png or tiff"),
        ({"bit_depth": 12}, "bit_depth is 12; expected 8 or 16"),
    ],
)
def test_invalid_bit_depths(options: dict[str, Any], words: str) -> None:
    with refused(InvalidOption, words):
        stylize(request_for(**options), MODELS, LIMITS)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("same", ["strength 0", "style"])
def test_colors_outside_srgb_come_back(name: str, dtype: Any, same: str) -> None:
    content = _file(_bright(dtype), WIDE[name])
    options = {"alpha": 0.0} if same == "strength 0" else {"style": content, "method": "color"}
    found = _result(request_for(content=content, segment=False, size=60, **options))
    assert found.metadata.icc_profile == WIDE[name]
    assert found.pixels.dtype == dtype
    level = np.iinfo(dtype).max / 255
    assert np.abs(found.pixels / level - _bright(dtype) / level).max() <= 1


def test_a_wide_result_looks_like_that_of_srgb() -> None:
    """Where colors are within sRGB, in any space that the photo is stored in."""
    smooth = (_gradient(96, 144) // 257).astype(np.uint8)
    options: dict[str, Any] = {"size": 64, "color_strength": 0.0, "wct2_strength": 1.0}
    wide = _file(smooth, P3)
    converted = _file(read_photo(wide, "photo", LIMITS).srgb())
    one = _result(request_for(content=wide, **options)).srgb()
    other = _result(request_for(content=converted, **options)).srgb()
    assert np.abs(one.astype(int) - other).mean() < 1


def test_colors_outside_srgb_change_and_stay_outside() -> None:
    def darker(content: npt.NDArray[np.float32], *_: object, **__: object) -> Transferred:
        return Transferred(content * np.float32(0.8))

    content = _file(_bright(), P3)
    request = request_for(content=content, size=60, color_strength=0.0, wct2_strength=1.0)
    response = stylize(request, Models(darker, transfer_soft=darker), LIMITS)
    found = read_photo(response.image, "result", LIMITS)
    assert found.space is not None
    for channel in (0, 1):  # both spaces have nearly the same blue
        before, after = (
            found.space.matrix @ decode_srgb(pixels[30, 16 + 28 * channel] / 255)  # linear sRGB
            for pixels in (_bright(), found.pixels)
        )
        assert before.min() < -0.005
        assert after.min() < 0.5 * before.min()
        assert 0.5 < after.max() / before.max() < 0.8


def test_srgb_with_and_without_a_profile_are_the_same() -> None:
    profiles = [None, srgb_profile(), rgb_profile(SRGB, SRGB_CURVE)]
    found = [_result(request_for(content=_file(_bright(), one), size=60)) for one in profiles]
    for photo, profile in zip(found, profiles, strict=True):
        np.testing.assert_array_equal(photo.pixels, found[0].pixels)
        assert photo.metadata == Metadata(icc_profile=profile)


def test_published_results_are_in_srgb() -> None:
    found = _result(request_for(content=_file(_bright(), P3), method="published"))
    assert found.space is None
    assert found.metadata.icc_profile == srgb_profile()


def test_a_cmyk_photo_with_a_profile_of_another_kind() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    cmyk = Image.fromarray(_bright()).convert("CMYK")
    content = encoded(cmyk, "JPEG", icc_profile=lab, quality=95)
    found = _result(request_for(content=content, alpha=0.0, size=60))
    assert found.metadata.icc_profile == srgb_profile()
    assert np.abs(found.pixels[30, 4] - 0.45 * 255).max() < 4


def test_raw_pixels_are_srgb_since_they_have_no_profile() -> None:
    content = encoded(_bright(), "PNG", icc_profile=P3)
    raw = stylize(request_for(content=content, format="raw"), MODELS, LIMITS).image
    wanted = _result(request_for(content=content))
    with Image.open(io.BytesIO(raw)) as image:
        assert np.array_equal(np.asarray(image), wanted.srgb())


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("metadata", [True, False])
def test_exif_goes_with_the_result_unless_it_should_not(form: str, metadata: bool) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Somebody"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.GPSInfo] = {1: "N"}
    content = encoded(_bright(), "JPEG", exif=exif, icc_profile=P3, quality=95)
    response = stylize(request_for(content=content, format=form, metadata=metadata), MODELS, LIMITS)
    with Image.open(io.BytesIO(response.image)) as image:
        assert image.size == (60, 90)
        assert image.info["icc_profile"] == P3
        found = image.getexif()
        assert found.get(ExifTags.Base.Artist) == ("Somebody" if metadata else None)
        assert dict(found.get_ifd(ExifTags.IFD.GPSInfo)) == ({1: "N"} if metadata else {})
        assert found.get(ExifTags.Base.Orientation, 1) == 1


@pytest.mark.parametrize("profile", [None, P3])
@pytest.mark.parametrize(("given", "wanted"), [(8, 8), (8, 16), (16, 8), (16, 16)])
def test_tensors_are_rendered_like_arrays(profile: bytes | None, given: int, wanted: int) -> None:
    pixels = _gradient() if given == 16 else (_gradient() >> 8).astype(np.uint8)
    photo = read_photo(_file(pixels, profile), "photo", LIMITS)
    content = photo.resized(48, 320)
    result = _warmer(content).image
    dtype = np.uint16 if wanted == 16 else np.uint8
    one = render(photo, content, result, dtype)
    other = render(photo, torch.from_numpy(content), torch.from_numpy(result), dtype)
    assert one.dtype == other.dtype == dtype
    white = np.iinfo(dtype).max
    assert np.abs(one.astype(int) - other).max() <= max(1, 3e-4 * white)

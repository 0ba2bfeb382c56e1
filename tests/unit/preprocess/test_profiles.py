"""Color spaces from ICC profiles, compared with LittleCMS, and photos that stay in them."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageCms

from photoreal.color.icc import read_gray_curve, read_rgb_space
from photoreal.preprocess import Limits, read_photo
from photoreal.preprocess.metadata import srgb_profile
from tests.shared import encoded

from .profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    SRGB,
    gray_profile,
    parametric,
    rgb_profile,
    table,
)

SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
RAMP = [round(65535 * (k / 255) ** 1.8) for k in range(256)]
SPACES = {
    "Display P3": rgb_profile(DISPLAY_P3, SRGB_CURVE),
    "Adobe RGB": rgb_profile(ADOBE_RGB, 2.2),
    "ProPhoto": rgb_profile(PROPHOTO, table(*RAMP)),
    "linear": rgb_profile(SRGB, table()),
    "power": rgb_profile(DISPLAY_P3, parametric(0, 2.2)),
    "offset": rgb_profile(SRGB, parametric(1, 2.0, 1.25, -0.25)),
    "offset of both": rgb_profile(SRGB, parametric(2, 2.0, 1.1, -0.1, 0.0)),
    "all": rgb_profile(ADOBE_RGB, parametric(4, 2.4, 0.95, 0.05, 0.06, 0.04, 0.0, 0.0)),
}
SAME = {"ours": srgb_profile(), "by formula": rgb_profile(SRGB, SRGB_CURVE)}
# Colors of little chroma, which are in every space.
GRAY = np.linspace(0.1, 0.95, 40)
COLORS = np.stack([GRAY, GRAY * 0.97 + 0.02, GRAY * 0.94 + 0.04])[:, None].astype(np.float32)


@pytest.mark.parametrize("name", SPACES)
def test_conversion_is_that_of_littlecms(name: str) -> None:
    space = read_rgb_space(SPACES[name])
    assert space is not None
    assert not space.is_srgb
    pixels = np.rint(255 * COLORS.transpose(1, 2, 0)).astype(np.uint8)
    wanted = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(SPACES[name])),
        ImageCms.createProfile("sRGB"),
    )
    found = 255 * space.to_srgb((pixels / np.float32(255)).transpose(2, 0, 1))
    assert np.abs(found.transpose(1, 2, 0) - np.asarray(wanted)).max() < 1.6
    back = space.from_srgb(found / 255)
    visible = found.min(axis=(0, 1)) > 1  # black has many sources where a curve begins flat
    np.testing.assert_allclose(
        255 * back[..., visible], pixels.T[..., 0][:, None][..., visible], atol=0.1
    )


@pytest.mark.parametrize("name", SPACES)
def test_white_and_black_stay(name: str) -> None:
    space = read_rgb_space(SPACES[name])
    assert space is not None
    ends = np.array([[[0.0, 1.0]]] * 3, dtype=np.float32)
    if name != "offset of both":  # its black is gray
        np.testing.assert_allclose(space.to_srgb(ends), ends, atol=1e-4)
    assert 255 * np.abs(space.from_srgb(ends)[..., 1] - 1).max() < 0.1


@pytest.mark.parametrize("name", SAME)
def test_srgb_is_known_by_its_colors(name: str) -> None:
    space = read_rgb_space(SAME[name])
    assert space is not None
    assert space.is_srgb


def _with_table() -> bytes:
    """A profile that has a table as well, which counts more than primaries."""
    return SPACES["Adobe RGB"].replace(b"cprt", b"A2B0", 1)


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile",
        SPACES["Adobe RGB"][:200],
        SPACES["Adobe RGB"].replace(b"rTRC", b"xTRC"),
        SPACES["Adobe RGB"] + bytes(1 << 20),
        _with_table(),
        gray_profile(2.2),
        rgb_profile(((0.3, 0.3, 0.3),) * 3, 2.2),
        rgb_profile(SRGB, table(65535, 0)),
        rgb_profile(SRGB, parametric(0, -1.0)),
        rgb_profile(SRGB, parametric(1, 2.0, 0.0, 0.0)),
        rgb_profile(SRGB, b"para" + bytes(4) + b"\0\x09\0\0"),
        rgb_profile(SRGB, b"text" + bytes(8)),
        *(
            ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
            for name in ("LAB", "XYZ")
        ),
    ],
)
def test_other_and_damaged_profiles_have_no_space(profile: bytes) -> None:
    assert read_rgb_space(profile) is None


def test_damaged_profiles_raise_nothing() -> None:
    dice = random.Random(0)  # noqa: S311 (no secret)
    kept = 0
    for read, profile in ((read_rgb_space, SPACES["all"]), (read_gray_curve, gray_profile(2.2))):
        for _ in range(400):
            data = bytearray(profile)
            for _ in range(3):
                data[dice.randrange(len(data))] = dice.randrange(256)
            kept += read(bytes(data)) is not None
    assert 100 < kept < 800


def _file(profile: bytes | None, mode: str = "RGB", kind: str = "PNG") -> bytes:
    image = Image.linear_gradient("L").resize((40, 30)).convert(mode)
    return encoded(image, kind, **({"icc_profile": profile} if profile else {}))


@pytest.mark.parametrize(
    ("mode", "kind", "profile", "stays", "kept"),
    [
        ("RGB", "PNG", None, False, None),
        ("RGB", "PNG", SPACES["Display P3"], True, SPACES["Display P3"]),
        ("P", "PNG", SPACES["Display P3"], True, SPACES["Display P3"]),
        ("RGBA", "PNG", SPACES["Display P3"], True, SPACES["Display P3"]),
        ("RGB", "JPEG", SPACES["Adobe RGB"], True, SPACES["Adobe RGB"]),
        ("RGB", "TIFF", SPACES["ProPhoto"], True, SPACES["ProPhoto"]),
        ("RGB", "WEBP", SAME["by formula"], False, SAME["by formula"]),
        ("RGB", "PNG", b"damaged", False, srgb_profile()),
        ("L", "PNG", gray_profile(1.8), False, srgb_profile()),
        ("CMYK", "JPEG", b"damaged", False, srgb_profile()),
        ("CMYK", "TIFF", None, False, None),
    ],
)
def test_what_becomes_of_a_profile(
    mode: str, kind: str, profile: bytes | None, stays: bool, kept: bytes | None
) -> None:
    photo = read_photo(_file(profile, mode, kind), "photo", Limits())
    assert (photo.space is not None) == stays
    assert photo.metadata.icc_profile == kept
    assert photo.metadata.is_srgb == (not stays)

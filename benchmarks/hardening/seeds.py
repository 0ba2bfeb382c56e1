"""Small valid files of every kind of photo, from which mutations start."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pictures import encoded
from PIL import ExifTags, Image, ImageCms

from photoreal.preprocess import encode_pixels

WIDTH, HEIGHT = 24, 20
"""Size of every seed in pixels, so that any photos and masks can be combined."""


@cache
def pixels() -> npt.NDArray[np.uint8]:
    """A smooth picture (HEIGHT, WIDTH, 3) with some noise."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [120 + 90 * np.sin(0.2 * rows + 0.15 * k * columns + k) for k in (1, 2, 3)]
    noise = np.random.default_rng(1).integers(-12, 13, (HEIGHT, WIDTH, 3))
    picture: npt.NDArray[np.uint8] = np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype("u1")
    return picture


@cache
def profile() -> bytes:
    """A valid color profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int) -> bytes:
    """EXIF data with an orientation."""
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = orientation
    return data.tobytes()


@cache
def photos() -> dict[str, bytes]:
    """Files that `stylize` accepts, and a few valid ones that it rejects, by description."""
    rgb = Image.fromarray(pixels())
    gray, palette = rgb.convert("L"), rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    alpha = rgb.copy()
    alpha.putalpha(gray)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    colors = pixels().astype(np.uint16) * 257
    pages: dict[str, Any] = {"save_all": True, "append_images": [rgb.rotate(180)]}
    return {
        "jpeg": encoded(rgb, "JPEG", quality=80),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg gray": encoded(gray, "JPEG"),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "jpeg turned": encoded(rgb, "JPEG", exif=exif(6)),
        "jpeg with profile": encoded(rgb, "JPEG", icc_profile=profile()),
        "png": encoded(rgb, "PNG"),
        "png gray": encoded(gray, "PNG"),
        "png alpha": encoded(alpha, "PNG"),
        "png gray alpha": encoded(gray.convert("LA"), "PNG"),
        "png palette": encoded(palette, "PNG"),
        "png palette clear": encoded(palette, "PNG", transparency=3),
        "png color clear": encoded(rgb, "PNG", transparency=(9, 9, 9)),
        "png bits": encoded(gray.convert("1"), "PNG"),
        "png 16 bit": encoded(deep, "PNG"),
        "png 16 bit color": encode_pixels(colors, "png"),
        "png with profile": encoded(rgb, "PNG", icc_profile=profile(), exif=exif(8)),
        "png animated": encoded(rgb, "PNG", **pages),
        "webp": encoded(rgb, "WEBP"),
        "webp lossless": encoded(alpha, "WEBP", lossless=True),
        "webp turned": encoded(rgb, "WEBP", exif=exif(3), icc_profile=profile()),
        "webp animated": encoded(rgb, "WEBP", **pages),
        "tiff": encoded(rgb, "TIFF"),
        "tiff lzw": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encoded(alpha, "TIFF", compression="tiff_deflate"),
        "tiff jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "tiff fax": encoded(gray.convert("1"), "TIFF", compression="group4"),
        "tiff cmyk": encoded(rgb.convert("CMYK"), "TIFF"),
        "tiff lab": encoded(_lab(rgb), "TIFF"),
        "tiff palette": encoded(palette, "TIFF"),
        "tiff 16 bit": encoded(deep, "TIFF"),
        "tiff 16 bit color": encode_pixels(colors, "tiff"),
        "tiff float": encoded(Image.fromarray(np.asarray(gray, dtype=np.float32)), "TIFF"),
        "tiff pages": encoded(rgb, "TIFF", **pages),
        "tiff turned": encoded(rgb, "TIFF", exif=exif(5), icc_profile=profile()),
        "bmp": encoded(rgb, "BMP"),
        "bmp gray": encoded(gray, "BMP"),
        "bmp palette": encoded(palette, "BMP"),
        "bmp bits": encoded(gray.convert("1"), "BMP"),
        "bmp alpha": encoded(alpha, "BMP"),
    }


@cache
def masks() -> dict[str, bytes]:
    """Masks of the photos, by description."""
    values = pixels()
    labels = Image.fromarray((values[..., 0] // 64).astype(np.uint8))
    colors = Image.fromarray(np.where(values > 127, 255, 0).astype(np.uint8))
    deep = Image.fromarray((values[..., 0] // 64).astype(np.uint16))
    return {
        "gray": encoded(labels, "PNG"),
        "gray 16 bit": encoded(deep, "PNG"),
        "bits": encoded(labels.point(lambda value: 255 * (value > 1)).convert("1"), "PNG"),
        "colors": encoded(colors, "PNG"),
        "palette": encoded(colors.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    }


def _lab(rgb: Image.Image) -> Image.Image:
    made = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert made is not None  # noqa: S101 (None only with in_place=True)
    return made

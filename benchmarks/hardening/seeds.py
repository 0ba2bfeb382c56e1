"""Small valid files of every kind of photo, from which mutations start."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from photoreal.preprocess import encode_pixels

WIDTH, HEIGHT = 24, 20
"""Size of every seed in pixels, so that any photos and masks can be combined."""

_ORIENTATION = 0x0112


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an image file."""
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


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
    data[_ORIENTATION] = orientation
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
        "jpeg": encode(rgb, "JPEG", quality=80),
        "jpeg progressive": encode(rgb, "JPEG", progressive=True),
        "jpeg gray": encode(gray, "JPEG"),
        "jpeg cmyk": encode(rgb.convert("CMYK"), "JPEG"),
        "jpeg turned": encode(rgb, "JPEG", exif=exif(6)),
        "jpeg with profile": encode(rgb, "JPEG", icc_profile=profile()),
        "png": encode(rgb, "PNG"),
        "png gray": encode(gray, "PNG"),
        "png alpha": encode(alpha, "PNG"),
        "png gray alpha": encode(gray.convert("LA"), "PNG"),
        "png palette": encode(palette, "PNG"),
        "png palette clear": encode(palette, "PNG", transparency=3),
        "png color clear": encode(rgb, "PNG", transparency=(9, 9, 9)),
        "png bits": encode(gray.convert("1"), "PNG"),
        "png 16 bit": encode(deep, "PNG"),
        "png 16 bit color": encode_pixels(colors, "png"),
        "png with profile": encode(rgb, "PNG", icc_profile=profile(), exif=exif(8)),
        "png animated": encode(rgb, "PNG", **pages),
        "webp": encode(rgb, "WEBP"),
        "webp lossless": encode(alpha, "WEBP", lossless=True),
        "webp turned": encode(rgb, "WEBP", exif=exif(3), icc_profile=profile()),
        "webp animated": encode(rgb, "WEBP", **pages),
        "tiff": encode(rgb, "TIFF"),
        "tiff lzw": encode(rgb, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encode(alpha, "TIFF", compression="tiff_deflate"),
        "tiff jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff fax": encode(gray.convert("1"), "TIFF", compression="group4"),
        "tiff cmyk": encode(rgb.convert("CMYK"), "TIFF"),
        "tiff lab": encode(_lab(rgb), "TIFF"),
        "tiff palette": encode(palette, "TIFF"),
        "tiff 16 bit": encode(deep, "TIFF"),
        "tiff 16 bit color": encode_pixels(colors, "tiff"),
        "tiff float": encode(Image.fromarray(np.asarray(gray, dtype=np.float32)), "TIFF"),
        "tiff pages": encode(rgb, "TIFF", **pages),
        "tiff turned": encode(rgb, "TIFF", exif=exif(5), icc_profile=profile()),
        "bmp": encode(rgb, "BMP"),
        "bmp gray": encode(gray, "BMP"),
        "bmp palette": encode(palette, "BMP"),
        "bmp bits": encode(gray.convert("1"), "BMP"),
        "bmp alpha": encode(alpha, "BMP"),
    }


@cache
def masks() -> dict[str, bytes]:
    """Masks of the photos, by description."""
    values = pixels()
    labels = Image.fromarray((values[..., 0] // 64).astype(np.uint8))
    colors = Image.fromarray(np.where(values > 127, 255, 0).astype(np.uint8))
    deep = Image.fromarray((values[..., 0] // 64).astype(np.uint16))
    return {
        "gray": encode(labels, "PNG"),
        "gray 16 bit": encode(deep, "PNG"),
        "bits": encode(labels.point(lambda value: 255 * (value > 1)).convert("1"), "PNG"),
        "colors": encode(colors, "PNG"),
        "palette": encode(colors.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    }


def _lab(rgb: Image.Image) -> Image.Image:
    made = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert made is not None  # noqa: S101 (None only with in_place=True)
    return made

"""From pixels with a color profile to a photo in a known color space."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from photoreal.color.icc import encode_srgb, read_gray_curve, read_rgb_space
from photoreal.preprocess.deep import WHITE, Colors
from photoreal.preprocess.metadata import Exif, Metadata, srgb_profile
from photoreal.preprocess.photo import Photo
from photoreal.render.pixels import Pixels


def photo_of_image(image: Image.Image, profile: bytes | None, exif: Exif | None) -> Photo:
    """A photo of an image without transparency; modes other than RGB are converted to sRGB."""
    if image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    if image.mode == "RGB":
        return photo_in_space(np.asarray(image), profile, exif)
    converted = _converted(image, profile) or image.convert("RGB")
    return Photo(np.asarray(converted), metadata=metadata_in_srgb(profile, exif))


def photo_in_space(pixels: Pixels, profile: bytes | None, exif: Exif | None) -> Photo:
    """A photo of RGB values (H, W, 3), which stays in the space of its profile if that has one.

    A profile by tables is converted to sRGB, with 8 bits. A damaged profile, or one of another
    kind of color, counts as that of sRGB.
    """
    if not profile:
        return Photo(pixels, metadata=Metadata(exif))
    space = read_rgb_space(profile)
    if space is None:
        shallow = Image.fromarray(Photo(pixels).srgb())  # LittleCMS in Pillow has no 16 bits
        converted = _converted(shallow, profile)
        pixels = pixels if converted is None else np.asarray(converted)
        return Photo(pixels, metadata=metadata_in_srgb(profile, exif))
    if space.is_srgb:
        return Photo(pixels, metadata=Metadata(exif, profile))
    return Photo(pixels, space, Metadata(exif, profile, is_srgb=False))


def gray_in_srgb(values: Colors, profile: bytes | None) -> Colors:
    """Gray values in sRGB, converted by the curve of a gray profile if there is one."""
    curve = read_gray_curve(profile) if profile else None
    if curve is None:
        return values
    steps = np.interp(np.linspace(0.0, 1.0, WHITE + 1), np.linspace(0.0, 1.0, len(curve)), curve)
    table: Colors = np.rint(encode_srgb(steps) * WHITE).astype(np.uint16)
    return table[values]


def metadata_in_srgb(profile: bytes | None, exif: Exif | None) -> Metadata:
    """Metadata of a photo that is in sRGB now; if it had a profile, it gets that of sRGB."""
    return Metadata(exif, srgb_profile() if profile else None)


def _converted(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Convert an image to sRGB; None without a usable profile."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # damaged, or of another kind of color

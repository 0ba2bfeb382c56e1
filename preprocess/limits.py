"""What a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.regions import MAX_REGIONS

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MORE_FORMATS = ("AVIF", "HEIF")
"""Allowed where somebody asks for them: their decoders are large and young."""
MASK_FORMATS = ("PNG",)


@dataclass(frozen=True)
class Limits:
    """Bounds of a request; photos beyond them are refused before they are decoded.

    `max_bytes`: of one encoded image. `max_pixels`: of one image as it arrives, read from
    its header. `min_side`: the shortest side in pixels of an image as it arrives.
    `min_size`, `max_size`: the working length of the shorter side. `max_working_pixels`: of
    one photo at working size. `max_side`: its longer side then, None for any length.
    `max_regions`: different labels of a mask. `max_memory`: bytes
    that one request may take, None for any number. `formats`: of photos; no other decoder is
    tried.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000
    min_side: int = 8
    min_size: int = 16
    max_size: int = 2048
    max_working_pixels: int = 2048 * 2048
    max_side: int | None = None
    max_regions: int = MAX_REGIONS
    max_memory: int | None = None
    formats: tuple[str, ...] = PHOTO_FORMATS

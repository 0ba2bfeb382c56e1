"""Limits of a request."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.regions import MAX_REGIONS

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MORE_FORMATS = ("AVIF", "HEIF")
"""Formats that are disabled by default: their decoders are large and new."""
MASK_FORMATS = ("PNG",)


@dataclass(frozen=True)
class Limits:
    """Limits of a request; photos that exceed them are rejected before they are decoded.

    `max_bytes`: size of one encoded image. `max_pixels`: pixels of one image as sent, read from
    its header. `min_side`: shortest side in pixels of an image as sent. `min_size`, `max_size`:
    range of the working size, the length of the shorter side in pixels. `max_working_pixels`:
    pixels of one photo at the working size. `max_side`: its longer side in pixels at the working
    size, None for no limit. `max_regions`: distinct labels in a mask. `max_memory`: memory for one
    request in bytes, None for no limit. `formats`: accepted formats of photos; no other decoder is
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

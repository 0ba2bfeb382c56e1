"""Photo formats that can be decoded here, and detection of HEIC and AVIF files."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from PIL import features

from photoreal.preprocess.limits import PHOTO_FORMATS

_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
)


@cache
def has_heif() -> bool:
    """Whether HEIC files can be decoded; registers pillow-heif with Pillow if it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False)
    return True


def readable_formats() -> tuple[str, ...]:
    """The default formats, plus AVIF and HEIF if their decoders are installed."""
    avif = ("AVIF",) if features.check("avif") else ()
    return (*PHOTO_FORMATS, *avif, *(("HEIF",) if has_heif() else ()))


def usable(formats: Collection[str]) -> tuple[str, ...]:
    """Return the given formats, without HEIF if it has no decoder here."""
    return tuple(one for one in formats if one != "HEIF" or has_heif())


def phone_format(data: bytes) -> str | None:
    """Return HEIC or AVIF by the file's brand (ISO/IEC 23008-12), None for other files."""
    return _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None

"""Which formats of photos can be read here, and what a file says that it is."""

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
    """Whether HEIC files can be read: with pillow-heif, which is then known to Pillow."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False)
    return True


def readable_formats() -> tuple[str, ...]:
    """The usual formats, and AVIF and HEIF where there are decoders for them."""
    avif = ("AVIF",) if features.check("avif") else ()
    return (*PHOTO_FORMATS, *avif, *(("HEIF",) if has_heif() else ()))


def usable(formats: Collection[str]) -> tuple[str, ...]:
    """Those of the formats that Pillow has a decoder for."""
    return tuple(one for one in formats if one != "HEIF" or has_heif())


def phone_format(data: bytes) -> str | None:
    """HEIC or AVIF for a file that says it is one (ISO/IEC 23008-12), else None."""
    return _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None

"""EXIF data and color profile of a photo, kept for the picture made from it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from PIL import ExifTags, Image, ImageCms

DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,
)
"""Exceptions that Pillow's decoders raise on damaged data."""
ODD = (*DAMAGED, ArithmeticError, AssertionError, AttributeError)
"""The same of EXIF data, whose values may have any type."""

Exif = dict[int, Any]
"""Tags of EXIF's main directory; the values of ExifIFD and GPSInfo are directories themselves."""

_Base, _IFD = ExifTags.Base, ExifTags.IFD

# Tags that remain valid for another picture of the same scene. The others describe the storage
# of the file (strips, compression) or its orientation, which has been applied, or are private.
_KEPT = frozenset(
    {
        _Base.ImageDescription,
        _Base.Make,
        _Base.Model,
        _Base.XResolution,
        _Base.YResolution,
        _Base.ResolutionUnit,
        _Base.Software,
        _Base.DateTime,
        _Base.Artist,
        _Base.HostComputer,
        _Base.Rating,
        _Base.RatingPercent,
        _Base.Copyright,
        _Base.XPTitle,
        _Base.XPComment,
        _Base.XPAuthor,
        _Base.XPKeywords,
        _Base.XPSubject,
    }
)
_SRGB, _UNCALIBRATED = 1, 0xFFFF  # values of the EXIF tag ColorSpace
_LARGEST = 65533 - 64  # a JPEG's segment, less the tags that a picture adds
_CREATION = slice(24, 36)  # of a profile
_DATE = b"\x07\xd0\0\x01\0\x01" + bytes(6)  # 2000-01-01


@dataclass(frozen=True)
class Metadata:
    """Metadata of a picture: EXIF data and an ICC profile.

    A picture without a profile is in sRGB; one with a profile may
    be as well, which `is_srgb` says.
    """

    exif: Exif | None = None
    icc_profile: bytes | None = None
    is_srgb: bool = True

    def without_exif(self) -> Metadata:
        """The color profile alone."""
        return replace(self, exif=None)

    def in_srgb(self) -> Metadata:
        """The same for a picture in sRGB."""
        return self if self.is_srgb else Metadata(self.exif, srgb_profile())

    def tags(self, width: int, height: int) -> Exif:
        """EXIF tags of a picture of this size, empty if there are none."""
        found = dict(self.exif or {})
        if _IFD.Exif in found:
            found[_IFD.Exif] = found[_IFD.Exif] | {
                _Base.ExifImageWidth: width,
                _Base.ExifImageHeight: height,
                _Base.ColorSpace: _SRGB if self.is_srgb else _UNCALIBRATED,
            }
        return found

    def options(self, width: int, height: int) -> dict[str, bytes]:
        """Keyword arguments of Pillow's `save` for a picture of this size."""
        pairs = {
            "exif": _block(self.tags(width, height)) if self.exif else None,
            "icc_profile": self.icc_profile,
        }
        return {name: value for name, value in pairs.items() if value is not None}


NO_METADATA = Metadata()


def read_exif(image: Image.Image) -> Exif | None:
    """Read the EXIF tags of a photo about scene, camera, time, place and author; None if absent.

    Orientation, thumbnail and tags about the file are left out, and the maker's note if it makes
    the data larger than JPEG allows. Raises what Pillow raises for damaged data.
    """
    found = _kept(image.getexif())
    if len(_block(found)) > _LARGEST and _IFD.Exif in found:
        found[_IFD.Exif].pop(_Base.MakerNote, None)  # the only tag that gets large
    block = _block(found)
    if not found or len(block) > _LARGEST:
        return None
    again = Image.Exif()
    again.load(block)  # as written: without what Pillow repairs in odd values
    return _kept(again)


@cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, with a fixed date so that equal pictures give equal files."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[_CREATION] = _DATE
    return bytes(data)


def _kept(source: Image.Exif) -> Exif:
    main = {int(tag): source[tag] for tag in sorted(_KEPT & set(source))}
    camera, place = dict(source.get_ifd(_IFD.Exif)), dict(source.get_ifd(_IFD.GPSInfo))
    camera.pop(_IFD.Interop, None)  # a separate block about how the camera stores files
    directories = {int(_IFD.Exif): camera, int(_IFD.GPSInfo): place}
    return main | {tag: directory for tag, directory in directories.items() if directory}


def _block(tags: Exif) -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    return exif.tobytes()

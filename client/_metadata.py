"""EXIF data and color profile of a photo, copied to the picture made from it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import putchunk

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
_SRGB = 1  # value of the EXIF tag ColorSpace
_JPEG_SEGMENT = 65533
_PNG_HEADER = 33  # signature and IHDR
_EXIF = b"Exif\0\0"
_WEBP_ICC, _WEBP_EXIF = 0x20, 0x08
_PROFILE_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError)


@dataclass(frozen=True)
class Metadata:
    """EXIF data and ICC profile of an upright sRGB picture; None where absent."""

    exif: bytes | None = None
    icc_profile: bytes | None = None

    def options(self) -> dict[str, bytes]:
        """Keyword arguments of Pillow's ``save``; absent values are left out."""
        pairs = {"exif": self.exif, "icc_profile": self.icc_profile}
        return {name: value for name, value in pairs.items() if value is not None}


def read_metadata(photo: bytes, size: tuple[int, int]) -> Metadata:
    """Read the metadata that a picture of `size` (width, height) keeps of its source photo.

    The EXIF tags about scene, camera, time, place and author are kept. Orientation and thumbnail
    are dropped, and the dimensions become those of the picture. If the photo has a color profile,
    the result has that of sRGB, the picture's color space. An unreadable file has no metadata.
    """
    # Warning filters are left alone: they are shared by all threads of the process.
    try:
        with Image.open(BytesIO(photo)) as image:
            profile = _srgb_profile() if image.info.get("icc_profile") else None
            source = image.getexif()
            return Metadata(_exif(source, size), profile)
    except (*_DAMAGED, Image.DecompressionBombError, Warning):
        return Metadata()


def insert_metadata(data: bytes, image_format: str, metadata: Metadata) -> bytes:
    """Insert metadata into a PNG, JPEG or WebP file without encoding its pixels again.

    `image_format` is Pillow's name of the format. The file must have been written without
    metadata, as the server's files are.
    """
    if metadata == Metadata():
        return data
    return {"PNG": _in_png, "JPEG": _in_jpeg, "WEBP": _in_webp}[image_format](data, metadata)


def _in_png(png: bytes, metadata: Metadata) -> bytes:
    stream = BytesIO()
    stream.write(png[:_PNG_HEADER])
    if metadata.icc_profile is not None:
        putchunk(stream, b"sRGB", b"\0")  # equivalent to the profile, in one byte
    if metadata.exif is not None:
        putchunk(stream, b"eXIf", metadata.exif.removeprefix(_EXIF))
    stream.write(png[_PNG_HEADER:])
    return stream.getvalue()


def _in_jpeg(jpeg: bytes, metadata: Metadata) -> bytes:
    """Insert APP1 and APP2 after JFIF's APP0 (Exif 2.32, section 4.5.5; ICC.1:2010, annex B.4)."""
    segments = []
    if metadata.exif is not None:
        segments.append((b"\xff\xe1", _EXIF + metadata.exif.removeprefix(_EXIF)))
    if metadata.icc_profile is not None:
        segments.append((b"\xff\xe2", b"ICC_PROFILE\0\x01\x01" + metadata.icc_profile))
    begin = 2
    if jpeg[2:4] == b"\xff\xe0":
        begin += 2 + int.from_bytes(jpeg[4:6], "big")
    inserted = [mark + struct.pack(">H", len(data) + 2) + data for mark, data in segments]
    return b"".join([jpeg[:begin], *inserted, jpeg[begin:]])


def _in_webp(webp: bytes, metadata: Metadata) -> bytes:
    """Convert to the extended format, whose header lists its chunks (RFC 9649, section 2.7)."""
    with Image.open(BytesIO(webp)) as image:
        width, height = image.size
    flags = _WEBP_ICC * (metadata.icc_profile is not None) | _WEBP_EXIF * (
        metadata.exif is not None
    )
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [_webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)]
    if metadata.icc_profile is not None:
        chunks.append(_webp_chunk(b"ICCP", metadata.icc_profile))
    chunks.append(webp[12:])  # the only chunk of the simple format
    if metadata.exif is not None:
        chunks.append(_webp_chunk(b"EXIF", metadata.exif.removeprefix(_EXIF)))
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _exif(source: Image.Exif, size: tuple[int, int]) -> bytes | None:
    kept = Image.Exif()
    for tag in _KEPT & set(source):
        kept[tag] = source[tag]
    camera, place = dict(source.get_ifd(_IFD.Exif)), dict(source.get_ifd(_IFD.GPSInfo))
    if not (kept or camera or place):
        return None
    camera.pop(_IFD.Interop, None)  # a separate block about how the camera stores files
    if camera:
        camera |= {
            _Base.ExifImageWidth: size[0],
            _Base.ExifImageHeight: size[1],
            _Base.ColorSpace: _SRGB,
        }
        kept[_IFD.Exif] = camera
    if place:
        kept[_IFD.GPSInfo] = place
    data = kept.tobytes()
    if len(data) > _JPEG_SEGMENT and camera:
        camera.pop(_Base.MakerNote, None)  # the only tag that gets large
        data = kept.tobytes()
    return data if len(data) <= _JPEG_SEGMENT else None


def _srgb_profile() -> bytes:
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + _PROFILE_DATE + data[36:]  # a fixed date: equal pictures give equal files

"""What a photo's file says beside its pixels, carried over to the picture made from it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import putchunk

_Base, _IFD = ExifTags.Base, ExifTags.IFD

# Tags that still hold for another picture of the same scene. The others describe how the file
# was stored (strips, compression), are the orientation, which is undone, or are private.
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
_SRGB = 1  # of ColorSpace
_JPEG_SEGMENT = 65533
_PNG_HEADER = 33  # signature and IHDR
_EXIF = b"Exif\0\0"
_WEBP_ICC, _WEBP_EXIF = 0x20, 0x08
_PROFILE_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError)


@dataclass(frozen=True)
class Metadata:
    """EXIF and color profile for a picture that is upright and in sRGB; None is not there."""

    exif: bytes | None = None
    icc_profile: bytes | None = None

    def options(self) -> dict[str, bytes]:
        """Arguments of Pillow's ``save``; a color profile where there is none stays away."""
        pairs = {"exif": self.exif, "icc_profile": self.icc_profile}
        return {name: value for name, value in pairs.items() if value is not None}


def read_metadata(photo: bytes, size: tuple[int, int]) -> Metadata:
    """What a picture of `size` (width, height) keeps of the photo it was made from.

    Of EXIF stay the tags about scene, camera, time, place and author. Orientation and
    thumbnail go, and sizes become those of the picture. A photo with a color profile gives
    sRGB's, since that is what its picture is in. A file that cannot be read gives nothing.
    """
    # Pillow's warnings stay as the program has them: the filters belong to all of its threads.
    try:
        with Image.open(BytesIO(photo)) as image:
            profile = _srgb_profile() if image.info.get("icc_profile") else None
            source = image.getexif()
            return Metadata(_exif(source, size), profile)
    except (*_DAMAGED, Image.DecompressionBombError, Warning):
        return Metadata()


def insert_metadata(data: bytes, image_format: str, metadata: Metadata) -> bytes:
    """A PNG, JPEG or WebP file with metadata; its pixels are not encoded again.

    `image_format` is Pillow's name of the format. The file is one that was written without
    metadata, as a server's are.
    """
    if metadata == Metadata():
        return data
    return {"PNG": _in_png, "JPEG": _in_jpeg, "WEBP": _in_webp}[image_format](data, metadata)


def _in_png(png: bytes, metadata: Metadata) -> bytes:
    stream = BytesIO()
    stream.write(png[:_PNG_HEADER])
    if metadata.icc_profile is not None:
        putchunk(stream, b"sRGB", b"\0")  # says the same as the profile, in one byte
    if metadata.exif is not None:
        putchunk(stream, b"eXIf", metadata.exif.removeprefix(_EXIF))
    stream.write(png[_PNG_HEADER:])
    return stream.getvalue()


def _in_jpeg(jpeg: bytes, metadata: Metadata) -> bytes:
    """Exif 2.32, section 4.5.5, and ICC.1:2010, annex B.4: application segments after JFIF's."""
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
    """RFC 9649, section 2.7: the extended format says at its beginning what follows."""
    with Image.open(BytesIO(webp)) as image:
        width, height = image.size
    flags = _WEBP_ICC * (metadata.icc_profile is not None) | _WEBP_EXIF * (
        metadata.exif is not None
    )
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [_webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)]
    if metadata.icc_profile is not None:
        chunks.append(_webp_chunk(b"ICCP", metadata.icc_profile))
    chunks.append(webp[12:])  # the one chunk of the simple format
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
    camera.pop(_IFD.Interop, None)  # a block of its own, which tells how a camera stores files
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
        camera.pop(_Base.MakerNote, None)  # the one tag that grows large
        data = kept.tobytes()
    return data if len(data) <= _JPEG_SEGMENT else None


def _srgb_profile() -> bytes:
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + _PROFILE_DATE + data[36:]  # the same picture is the same file

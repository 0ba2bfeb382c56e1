"""EXIF data that a picture keeps of its photo, in every format."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from photoreal.errors import InvalidImage
from photoreal.options import DEEP_FORMATS, FORMATS, Format
from photoreal.preprocess import Limits, encode_pixels, read_photo
from photoreal.preprocess.metadata import Metadata, srgb_profile
from photoreal.preprocess.quiet import without_warnings
from tests.shared import encoded

FILES = [kind for kind in FORMATS if kind != "raw"]
"""Formats that hold metadata."""

Base, IFD = ExifTags.Base, ExifTags.IFD
GPS = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}
PIXELS = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)


def _file(kind: str = "JPEG", **options: Any) -> bytes:
    """A photo of a camera, stored on its side, with a place."""
    exif = Image.Exif()
    exif[Base.Make] = "Camera & Sons"
    exif[Base.Orientation] = 6
    exif[Base.DateTime] = "2024:05:06 07:08:09"
    exif[Base.ImageWidth] = 40
    exif[IFD.Exif] = {
        Base.ExifImageWidth: 40,
        Base.ExifImageHeight: 30,
        Base.ColorSpace: 65535,
        Base.ISOSpeedRatings: 200,
        Base.LensModel: "50 mm",
    }
    exif[IFD.GPSInfo] = GPS
    image = Image.new("RGB", (40, 30), "olive")
    return encoded(image, kind, **{"exif": exif.tobytes(), **options})


def _metadata(data: bytes) -> Metadata:
    return read_photo(data, "photo", Limits()).metadata


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [*((kind, np.uint8) for kind in FILES), *((kind, np.uint16) for kind in DEEP_FORMATS)],
)
def test_what_still_holds_is_kept(source: str, kind: Format, dtype: Any) -> None:
    photo = read_photo(_file(source), "photo", Limits(formats=(source,)))
    assert photo.shape == (40, 30)
    with Image.open(io.BytesIO(encode_pixels(PIXELS.astype(dtype), kind, photo.metadata))) as image:
        exif = image.getexif()
        assert exif[Base.Make] == "Camera & Sons"
        assert exif[Base.DateTime] == "2024:05:06 07:08:09"
        assert exif.get(Base.Orientation, 1) == 1
        camera = exif.get_ifd(IFD.Exif)
        assert camera[Base.ISOSpeedRatings] == 200
        assert camera[Base.LensModel] == "50 mm"
        assert (camera[Base.ExifImageWidth], camera[Base.ExifImageHeight]) == image.size
        assert camera[Base.ColorSpace] == 1
        assert dict(exif.get_ifd(IFD.GPSInfo)) == GPS
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("is_srgb", [True, False])
@pytest.mark.parametrize("kind", FILES)
def test_the_profile_and_what_exif_says_of_it(kind: Format, is_srgb: bool) -> None:
    profile = srgb_profile() + bytes(100_000)  # more than one segment of a JPEG
    metadata = Metadata(_metadata(_file()).exif, profile, is_srgb)
    data = encode_pixels(PIXELS, kind, metadata)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile
        color_space = image.getexif().get_ifd(IFD.Exif)[Base.ColorSpace]
    assert color_space == (1 if is_srgb else 65535)
    assert _metadata(encode_pixels(PIXELS, kind, metadata.without_exif())).exif is None
    assert metadata.in_srgb().icc_profile == (profile if is_srgb else srgb_profile())


def test_a_photo_without_any_gives_none() -> None:
    plain = _metadata(_file(exif=b""))
    assert plain == Metadata()
    assert encode_pixels(PIXELS, "png", plain) == encode_pixels(PIXELS)


def test_a_thumbnail_is_dropped() -> None:
    """As a camera writes it: a second directory with a small JPEG behind it."""
    thumbnail = b"\xff\xd8THUMBNAIL\xff\xd9"
    entries = [(0x0201, 4, 1, 0), (0x0202, 4, 1, len(thumbnail))]
    first = b"\x01\x00" + b"\x0f\x01\x02\x00" + (4).to_bytes(4, "little") + b"Me\0\0"
    offset = 8 + len(first) + 4
    second = len(entries).to_bytes(2, "little")
    for tag, kind, count, value in entries:
        if tag == 0x0201:
            value = offset + 2 + 12 * len(entries) + 4
        second += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        second += count.to_bytes(4, "little") + value.to_bytes(4, "little")
    block = b"Exif\0\0II*\0" + (8).to_bytes(4, "little") + first + offset.to_bytes(4, "little")
    block += second + bytes(4) + thumbnail
    photo = _file(exif=block)
    with Image.open(io.BytesIO(photo)) as image:
        assert image.getexif().get_ifd(IFD.IFD1)  # it is there
    exif = _metadata(photo).options(14, 10)["exif"]
    assert b"Me" in exif
    assert b"THUMBNAIL" not in exif


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_unreadable_data_gives_none(exif: bytes) -> None:
    assert _metadata(_file(exif=exif)).exif is None


def test_an_odd_tag_keeps_no_photo_from_being_turned() -> None:
    """A maker that is a number, which Pillow reads but cannot write."""
    entries = struct.pack("<HHIf", Base.Make, 11, 1, 1.5)
    entries += struct.pack("<HHIHH", Base.Orientation, 3, 1, 6, 0)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    photo = read_photo(_file(exif=block), "photo", Limits())
    assert photo.shape == (40, 30)
    assert photo.metadata == Metadata()


def test_too_large_a_note_is_dropped_before_the_rest() -> None:
    exif = Image.Exif()
    exif[Base.Make] = "Camera & Sons"
    exif[IFD.Exif] = {Base.MakerNote: bytes(70_000), Base.ISOSpeedRatings: 200}
    kept = _metadata(_file("PNG", exif=exif)).exif
    assert kept == {Base.Make: "Camera & Sons", IFD.Exif: {Base.ISOSpeedRatings: 200}}
    exif[Base.ImageDescription] = "x" * 70_000
    assert _metadata(_file("PNG", exif=exif)).exif is None


def test_odd_values_are_kept_as_they_can_be_written_or_not_at_all() -> None:
    dice = np.random.default_rng(0)
    start = _file().index(b"MM\0*")
    kept = 0
    for _ in range(300):
        data = bytearray(_file())
        for _ in range(dice.integers(1, 6)):
            data[start + dice.integers(200)] = dice.integers(256)
        try:
            metadata = _metadata(bytes(data))
        except InvalidImage:
            continue
        for kind in FORMATS:
            assert encode_pixels(PIXELS, kind, metadata)
        kept += metadata.exif is not None
    assert kept > 100


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    """The first of two contexts that overlap is the first to end."""
    before = list(warnings.filters)
    first, second = without_warnings(), without_warnings()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("ignored: the second is still there", stacklevel=1)
    second.__exit__(None, None, None)
    assert warnings.filters == before
    with pytest.raises(UserWarning):  # as this suite is configured
        warnings.warn("seen", stacklevel=1)

import re
import struct
import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from photoreal.client._metadata import Metadata, read_metadata
from photoreal.client.result import parse_outputs

from .conftest import PHOTO, answer, png

Base, IFD = ExifTags.Base, ExifTags.IFD
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
GPS = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}


def file(kind="JPEG", **options):
    """A photo of the camera's, stored on its side and with a private note."""
    exif = Image.Exif()
    exif[Base.Make] = "Camera & Sons"
    exif[Base.Orientation] = 6
    exif[Base.DateTime] = "2024:05:06 07:08:09"
    exif[Base.ImageWidth] = 40
    camera = {Base.ExifImageWidth: 40, Base.ExifImageHeight: 30, Base.ColorSpace: 65535}
    exif[IFD.Exif] = camera | {Base.ISOSpeedRatings: 200, Base.LensModel: "50 mm"}
    exif[IFD.GPSInfo] = GPS
    options = {"exif": exif.tobytes(), "icc_profile": PROFILE, **options}
    Image.new("RGB", (40, 30), "olive").save(buffer := BytesIO(), kind, **options)
    return buffer.getvalue()


def is_srgb(image):
    if image.format == "PNG":
        return image.info["srgb"] == 0
    profile = ImageCms.getOpenProfile(BytesIO(image.info["icc_profile"]))
    return "sRGB" in ImageCms.getProfileDescription(profile)


def result(kind="PNG"):
    Image.fromarray(PHOTO).save(buffer := BytesIO(), kind)
    return parse_outputs(answer(IMAGE=png(PHOTO) if kind == "PNG" else buffer.getvalue()), None)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_what_still_holds_is_kept(source, suffix, tmp_path):
    path = result().save(tmp_path / f"out{suffix}", like=file(source))
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif[Base.Make] == "Camera & Sons"
        assert exif[Base.DateTime] == "2024:05:06 07:08:09"
        assert Base.Orientation not in exif
        camera = exif.get_ifd(IFD.Exif)
        assert (camera[Base.ISOSpeedRatings], camera[Base.LensModel]) == (200, "50 mm")
        assert (camera[Base.ExifImageWidth], camera[Base.ExifImageHeight]) == image.size == (6, 4)
        assert camera[Base.ColorSpace] == 1
        assert dict(exif.get_ifd(IFD.GPSInfo)) == GPS
        assert is_srgb(image)
        if suffix in (".png", ".tif"):
            assert np.array_equal(np.asarray(image), PHOTO)


def test_a_photo_without_any_gives_none(tmp_path):
    plain = file(exif=b"", icc_profile=None)
    assert read_metadata(plain, (6, 4)) == Metadata()
    assert result().save(tmp_path / "out.png", like=plain).read_bytes() == png(PHOTO)


def test_thumbnail_is_dropped():
    thumbnail = b"\xff\xd8THUMBNAIL\xff\xd9"
    # As a camera writes it: a second directory with a small JPEG behind it.
    make, at, length = (0x010F, 2, 4, b"Me\0\0"), (0x0201, 4, 1, 56), (0x0202, 4, 1, len(thumbnail))
    block = struct.pack("<4sI HHHI4sI", b"II*\0", 8, 1, *make, 26)
    block += struct.pack("<H HHII HHII I", 2, *at, *length, 0) + thumbnail
    photo = file(exif=b"Exif\0\0" + block)
    with Image.open(BytesIO(photo)) as image:
        assert image.getexif().get_ifd(IFD.IFD1)  # it is there
    exif = read_metadata(photo, (6, 4)).exif or b""
    assert b"Me" in exif
    assert b"THUMBNAIL" not in exif


@pytest.mark.parametrize(
    "data", [b"", b"no picture", file()[:300], b"\x89PNG\r\n\x1a\n" + bytes(40)]
)
def test_an_unreadable_file_gives_none(data):
    read_metadata(data, (6, 4))  # raises nothing
    if not data.startswith(b"\xff"):
        assert read_metadata(data, (6, 4)) == Metadata()


def test_the_warning_filters_of_other_threads_are_left_alone(monkeypatch):
    opened, before, during = Image.open, list(warnings.filters), []

    def look(source):
        during.extend(warnings.filters)
        return opened(source)

    monkeypatch.setattr(Image, "open", look)
    read_metadata(file(), (6, 4))
    assert during == before == warnings.filters


def test_a_warning_that_is_an_error_here_gives_none():
    start, rest = re.split(rb"(?<=II\*\0|MM\0\*)", file(), maxsplit=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_metadata(start + b"\xff" * 4 + rest[4:], (6, 4)).exif is None


def test_too_large_a_note_is_dropped_before_the_rest():
    exif = Image.Exif()
    exif[Base.Make] = "Camera & Sons"
    exif[IFD.Exif] = {Base.MakerNote: bytes(70_000), Base.ISOSpeedRatings: 200}
    kept = read_metadata(file("PNG", exif=exif), (6, 4)).exif
    assert len(kept) < 1000
    again = Image.Exif()
    again.load(kept)
    assert again[Base.Make] == "Camera & Sons"
    assert again.get_ifd(IFD.Exif)[Base.ISOSpeedRatings] == 200


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp")])
@pytest.mark.parametrize("source", [{}, {"icc_profile": None}, {"exif": b""}])
def test_pixels_are_not_encoded_twice(kind, suffix, source, tmp_path):
    made = result(kind)
    path = made.save(tmp_path / f"out{suffix}", like=file(**source))
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.size) == (kind, (6, 4))
        assert np.array_equal(np.asarray(image), np.asarray(made.image))
        assert (image.getexif().get(Base.Make) == "Camera & Sons") == ("exif" not in source)
        assert ("icc_profile" in image.info) == ("icc_profile" not in source)
        if "icc_profile" in image.info:
            assert is_srgb(image)
    assert made.save(tmp_path / f"plain{suffix}").read_bytes() == made.data
    assert made.save(tmp_path / f"small{suffix}", quality=5).read_bytes() != made.data

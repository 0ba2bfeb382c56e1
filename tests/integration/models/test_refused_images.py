"""Files that are refused: each with 400, a sentence, and a server that goes on."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

Arrays = dict[str, npt.NDArray[Any]]

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def _png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with hardly any data behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


GOOD = _file(PHOTO, "PNG")
JPEG = _file(PHOTO, "JPEG")
PAGES = {"save_all": True, "append_images": [Image.fromarray(255 - PIXELS)]}
BAD_PHOTOS = {
    "text": (b"This is no image.", "no image"),
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "no image"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "truncated or damaged"),
    "truncated PNG": (GOOD[: len(GOOD) // 2], "truncated or damaged"),
    "JPEG header alone": (JPEG[:20], "no image|damaged"),
    "PNG with a broken sum": (GOOD[:60] + bytes([GOOD[60] ^ 255]) + GOOD[61:], "damaged"),
    "header of 60000x60000": (_png_of_size(60000, 60000), "pixels"),
    "header of 9000x9000": (_png_of_size(9000, 9000), "9000x9000"),
    "GIF": (_file(PHOTO, "GIF"), "no image"),
    "PDF": (_file(PHOTO, "PDF"), "no image"),
    "EPS": (_file(PHOTO, "EPS"), "no image"),
    "animated PNG": (_file(PHOTO, "PNG", **PAGES), "several frames or pages"),
    "animated WebP": (_file(PHOTO, "WEBP", **PAGES), "several frames or pages"),
    "TIFF of two pages": (_file(PHOTO, "TIFF", **PAGES), "several frames or pages"),
    "TIFF of floats": (
        _file(Image.fromarray(PIXELS[..., 0].astype(np.float32) / 255), "TIFF"),
        "floating-point",
    ),
    "1x1": (_file(PHOTO.crop((0, 0, 1, 1)), "PNG"), "1x1"),
    "7x500": (_file(PHOTO.resize((7, 500)), "PNG"), "7x500"),
    "8x300000": (_file(Image.new("L", (8, 300_000), 99), "PNG"), "long and narrow"),
}


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize("case", BAD_PHOTOS)
def test_photo_is_refused(
    local: Server,
    refused: Callable[..., str],
    tensors: Callable[..., Arrays],
    case: str,
    role: str,
) -> None:
    data, words = BAD_PHOTOS[case]
    files = {"content": GOOD, "style": GOOD, role: data}
    sentence = refused(local, "stylize", tensors(**files))
    assert f"The {role} photo" in sentence
    assert any(word in sentence for word in words.split("|")), sentence


@pytest.mark.parametrize("role", ["content", "style"])
def test_a_long_photo_is_refused_where_it_would_be_enlarged_too_far(
    local: Server, refused: Callable[..., str], tensors: Callable[..., Arrays], role: str
) -> None:
    """Other methods than `published` enlarge no photo."""
    files = {"content": GOOD, "style": GOOD, role: _file(Image.new("L", (8, 20_000), 99), "PNG")}
    sentence = refused(local, "stylize", tensors(**files, method="published"))
    assert f"The {role} photo" in sentence
    assert "a size of up to 40 fits" in sentence


LABELS = Image.fromarray((PIXELS[..., 0] // 128).astype(np.uint8))
COLORS = Image.fromarray(np.where(PIXELS > 127, 255, 0).astype(np.uint8))
MANY = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48)
MASK = _file(LABELS, "PNG")
BAD_MASKS: dict[str, tuple[dict[str, bytes], str]] = {
    "content mask of another size": (
        {"content_mask": _file(LABELS.resize((40, 48)), "PNG")},
        "40x48",
    ),
    "style mask of another size": ({"style_mask": _file(LABELS.resize((24, 20)), "PNG")}, "24x20"),
    "labels and colors": ({"style_mask": _file(COLORS, "PNG")}, "same kind"),
    "JPEG": ({"content_mask": _file(LABELS, "JPEG")}, "expected one in PNG"),
    "text": ({"style_mask": b"sky, trees"}, "no image"),
    "empty": ({"style_mask": b""}, "empty"),
    "truncated": ({"content_mask": MASK[: len(MASK) // 2]}, "truncated or damaged"),
    "too many labels": (
        {"content_mask": _file(Image.fromarray((MANY % 65).astype(np.uint8)), "PNG")},
        "65 different labels",
    ),
    "labels beyond 255": ({"content_mask": _file(Image.fromarray(MANY), "PNG")}, "0 to 255"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_mask_is_refused(
    local: Server, refused: Callable[..., str], tensors: Callable[..., Arrays], case: str
) -> None:
    changes, words = BAD_MASKS[case]
    files = {"content": GOOD, "style": GOOD, "content_mask": MASK, "style_mask": MASK, **changes}
    assert words in refused(local, "stylize", tensors(**files))


@pytest.mark.parametrize(("given", "lacking"), [("content", "style"), ("style", "content")])
def test_one_mask_without_the_other_is_refused(
    local: Server,
    refused: Callable[..., str],
    tensors: Callable[..., Arrays],
    given: str,
    lacking: str,
) -> None:
    files = {"content": GOOD, "style": GOOD, f"{given}_mask": MASK}
    assert f"no {lacking} mask" in refused(local, "stylize", tensors(**files))

"""Photos with 16 bits per channel: every kind of PNG and TIFF is read in full, and written."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from photoreal.errors import Canceled, InvalidImage
from photoreal.options import Format
from photoreal.preprocess import Limits, decode_photo, encode_pixels, photo_header, read_photo
from tests.shared import check_sentence, refused

from .files import png_of, raw_png, tiff_of
from .profiles import gray_profile, rgb_profile

Array = npt.NDArray[Any]
CheckSentence = Callable[[object], None]
HEIGHT, WIDTH = 12, 19
LIMITS = Limits()
VALUES = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 4)).astype(np.uint16)
RGB = np.ascontiguousarray(VALUES[..., :3])


def _read(data: bytes) -> Array:
    photo = read_photo(data, "content photo", LIMITS)
    assert photo.space is None
    return photo.pixels


def _on_white(color: Array, alpha: Array) -> Array:
    share = alpha[..., None].astype(np.float64) / 65535
    shown: Array = color * share + 65535 * (1 - share)
    return shown


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflate", [False, True])
def test_every_tiff_of_colors_is_read_in_full(order: str, deflate: bool) -> None:
    def read(values: Array, extra: int | None = None) -> Array:
        return _read(tiff_of(values, order, deflate=deflate, extra=extra))

    np.testing.assert_array_equal(read(RGB), RGB)
    np.testing.assert_array_equal(read(VALUES, extra=0), RGB)  # no alpha
    shown = _on_white(RGB, VALUES[..., 3])
    np.testing.assert_allclose(read(VALUES, extra=2), shown, atol=1)
    premultiplied = np.dstack([RGB * (VALUES[..., 3:] / 65535), VALUES[..., 3]]).round()
    np.testing.assert_allclose(read(premultiplied, extra=1), shown, atol=1.5)


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_every_png_is_read_in_full(color: int, channels: int) -> None:
    values = VALUES[..., :channels]
    found = _read(png_of(values, 16, color))
    colors = values[..., : 1 if channels < 3 else 3]
    shown = colors if channels % 2 else _on_white(colors, values[..., -1])
    np.testing.assert_allclose(found, np.broadcast_to(shown, found.shape), atol=channels % 2 == 0)


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3)])
def test_a_transparent_color_becomes_white(color: int, channels: int) -> None:
    values, clear = VALUES[..., :channels], VALUES[3, 4, :channels]
    rows = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    data = raw_png(WIDTH, HEIGHT, 16, color, rows, (b"tRNS", clear.astype(">u2").tobytes()))
    found = _read(data)
    assert (found[3, 4] == 65535).all()
    assert (found == values).all(axis=2).sum() == HEIGHT * WIDTH - 1


@pytest.mark.parametrize(
    ("data", "depth"),
    [
        (png_of(RGB, 16, 2), 16),
        (png_of(VALUES[..., :2], 16, 4), 16),
        (png_of(VALUES[..., :1], 16, 0), 16),
        (tiff_of(RGB), 16),
        (png_of(RGB, 8, 2), 8),
        (encode_pixels(RGB.astype(np.uint8), "jpeg"), 8),
    ],
)
def test_the_header_says_how_deep_they_are(data: bytes, depth: int) -> None:
    assert photo_header(data, "photo", LIMITS) == (HEIGHT, WIDTH, depth)
    assert read_photo(data, "photo", LIMITS).depth == depth


def test_they_are_turned_upright() -> None:
    np.testing.assert_array_equal(_read(tiff_of(RGB, orientation=6)), np.rot90(RGB, -1))


def test_gray_goes_by_its_profile() -> None:
    gray = VALUES[..., :1]
    found = _read(tiff_of(gray, profile=gray_profile(1.0)))[..., 1] / 65535
    linear = gray[..., 0] / 65535
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    ignored = tiff_of(gray, profile=rgb_profile(((0.4, 0.2, 0.0),) * 3, 1.0))
    np.testing.assert_array_equal(_read(ignored)[..., 1], gray[..., 0])


def test_eight_bits_of_it_are_rounded() -> None:
    found = decode_photo(tiff_of(RGB), "photo", LIMITS)
    np.testing.assert_array_equal(found, np.rint(RGB / 257))


@pytest.mark.parametrize("deflate", [False, True])
def test_separate_planes_are_refused(deflate: bool) -> None:
    with refused(InvalidImage, r"separate plane of 16 bits .*interleaved"):
        _read(tiff_of(RGB, planes=True, deflate=deflate))


FILES = {
    "png": png_of(RGB, 16, 2),
    "tiff": tiff_of(RGB),
    "tiff deflate": tiff_of(RGB, ">", deflate=True),
    "ours": encode_pixels(RGB, "tiff"),
}


@pytest.mark.parametrize("kind", FILES)
def test_damage_gives_a_photo_or_a_sentence(kind: str) -> None:
    dice = random.Random(kind)  # noqa: S311 (no secret)
    refused = 0
    for _ in range(200):
        data = bytearray(FILES[kind][: dice.randrange(len(FILES[kind]) // 2, len(FILES[kind]))])
        for _ in range(dice.randrange(4)):
            data[dice.randrange(min(len(data), 300))] = dice.randrange(256)
        try:
            read_photo(bytes(data), "content photo", Limits(max_pixels=100_000))
        except InvalidImage as no:
            check_sentence(no)
            refused += 1
    assert refused > 100


def test_a_huge_one_is_refused_by_its_header() -> None:
    for data in (png_of(RGB, 16, 2), tiff_of(RGB)):
        with pytest.raises(InvalidImage, match="19x12 pixels; expected at most 227"):
            read_photo(data, "photo", Limits(max_pixels=227))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_decoding_can_be_stopped_at_each_read(kind: Format) -> None:
    noise = np.random.default_rng(1).integers(0, 65536, (200, 300, 3)).astype(np.uint16)
    data = encode_pixels(noise, kind)

    def stop_at(last: int) -> int:
        reads = 0

        def check() -> None:
            nonlocal reads
            reads += 1
            if reads == last:
                raise Canceled("The request was canceled.")

        read_photo(data, "photo", LIMITS, check)
        return reads

    reads = stop_at(0)
    assert reads > 6
    for last in range(1, reads + 1):
        with pytest.raises(Canceled):
            stop_at(last)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (700, 800), (3, 300_000)])
def test_written_files_are_read_by_ffmpeg(kind: Format, shape: tuple[int, int]) -> None:
    height, width = shape
    ramp = np.add.outer(np.arange(height) * 7, np.arange(width) * 3)
    pixels = np.stack([ramp, ramp[::-1] * 5, 65535 - ramp], axis=2).astype(np.uint16)
    data = encode_pixels(pixels, kind)
    np.testing.assert_array_equal(_read(data) if height > 8 else pixels, pixels)
    demuxer = {"png": "png_pipe", "tiff": "tiff_pipe"}[kind]
    if width < 100_000:  # FFmpeg's limit
        with av.open(io.BytesIO(data), "r", format=demuxer) as container:
            frame = next(container.decode(video=0))
            assert frame.format.name.startswith("rgb48")
            np.testing.assert_array_equal(frame.to_ndarray(), pixels)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_a_smooth_picture_is_written_small(kind: Format) -> None:
    ramp = np.linspace(0, 65535, 512 * 512).reshape(512, 512)
    pixels = np.stack([ramp] * 3, axis=2).astype(np.uint16)
    assert len(encode_pixels(pixels, kind)) < pixels.nbytes / 50

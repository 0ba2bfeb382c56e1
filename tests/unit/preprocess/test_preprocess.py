"""Photos and masks from bytes: every format and mode, limits, damage, working sizes."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from photoreal.errors import Canceled, InvalidImage, InvalidMask, InvalidOption, InvalidRequest
from photoreal.options import Format
from photoreal.preprocess import (
    Limits,
    check_working_size,
    decode_mask,
    decode_photo,
    encode_labels,
    encode_photo,
    encode_pixels,
    photo_size,
    readable_formats,
    resize_photo,
    working_size,
)
from photoreal.regions import MASK_COLORS, MAX_REGIONS
from tests.kinds import Array, Pixels
from tests.shared import check_sentence, encoded, photo, refused

from .files import png_of, raw_png
from .profiles import DISPLAY_P3, SRGB, rgb_profile

HEIGHT, WIDTH = 16, 24
LIMITS = Limits()


def _photo() -> Pixels:
    """A smooth photo, which lossy formats keep nearly as it is."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    channels = [40 + 8 * rows, 20 + 9 * columns, 200 - 4 * rows - 4 * columns]
    photo: Pixels = np.stack(channels, axis=2).astype(np.uint8)
    return photo


def _gray() -> Pixels:
    return np.ascontiguousarray(_photo()[..., 1])


def _three(gray: Array) -> Array:
    return np.repeat(gray[..., None], 3, axis=2)


def _on_white(color: Array, alpha: Array) -> Array:
    share = alpha[..., None] / 255
    flat: Array = np.rint(color * share + 255 * (1 - share))
    return flat


def _decoded(data: bytes, limits: Limits = LIMITS) -> Pixels:
    photo = decode_photo(data, "content photo", limits)
    assert photo.dtype == np.uint8
    return photo


Refuses = Callable[..., None]


@pytest.fixture
def refuses() -> Refuses:
    """Asserts that a file is refused with a sentence that has some words."""

    def check(
        data: bytes,
        words: str,
        limits: Limits = LIMITS,
        decode: Callable[..., object] = decode_photo,
        **how: Any,
    ) -> None:
        with pytest.raises(InvalidRequest, match=words) as no:
            decode(data, "content photo", limits, **how)
        assert isinstance(no.value, InvalidMask if decode is decode_mask else InvalidImage)
        check_sentence(no.value)

    return check


def _largest_difference(one: Array, other: Array) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


# --- formats and modes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 12),
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("JPEG", {"quality": 95, "progressive": True, "subsampling": 0}, 6),
    ],
)
def test_photos_of_every_format_are_read(
    kind: str, options: dict[str, Any], tolerance: int
) -> None:
    found = _decoded(encoded(_photo(), kind, **options))
    assert found.shape == (HEIGHT, WIDTH, 3)
    assert _largest_difference(found, _photo()) <= tolerance


def _palette_image(transparent: bool) -> tuple[Image.Image, Array]:
    colors = np.array([[250, 10, 20], [0, 200, 100], [30, 60, 90]], dtype=np.uint8)
    indices = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 3
    image = Image.fromarray(indices, mode=None).convert("L")
    image.putpalette(colors.tobytes())
    expected = colors[indices].copy()
    if transparent:
        image.info["transparency"] = 1
        expected[indices == 1] = 255
    return image, expected


ALPHA = np.linspace(0, 255, HEIGHT * WIDTH).astype(np.uint8).reshape(HEIGHT, WIDTH)


def _modes() -> dict[str, tuple[Array | Image.Image, Array]]:
    """Pictures in a mode and what they look like."""
    gray, photo = _gray(), _photo()
    opaque = np.full_like(gray, 255)
    bits = gray > 120
    return {
        "RGB": (photo, photo),
        "L": (gray, _three(gray)),
        "LA": (np.stack([gray, ALPHA], axis=2), _on_white(_three(gray), ALPHA)),
        "RGBA": (np.dstack([photo, ALPHA]), _on_white(photo, ALPHA)),
        "RGBA opaque": (np.dstack([photo, opaque]), photo),
        "P": _palette_image(transparent=False),
        "P with transparency": _palette_image(transparent=True),
        "1": (Image.fromarray(bits), _three(np.where(bits, 255, 0))),
        "16-bit gray": (gray.astype(np.uint16) * 257 + 100, _three(gray)),
    }


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *((mode, "PNG") for mode in _modes()),
        # A TIFF's palette has no transparent color.
        *((mode, "TIFF") for mode in _modes() if mode != "P with transparency"),
    ],
)
def test_photos_of_every_mode_become_rgb(mode: str, kind: str) -> None:
    picture, expected = _modes()[mode]
    found = _decoded(encoded(picture, kind))
    assert _largest_difference(found, expected) <= (1 if "A" in mode else 0)


def test_a_transparent_color_of_an_rgb_png_becomes_white() -> None:
    photo = _photo()
    photo[3, 4] = (1, 2, 3)
    found = _decoded(encoded(photo, transparency=(1, 2, 3)))
    assert found[3, 4].tolist() == [255, 255, 255]
    assert (found == photo).all(axis=2).sum() == HEIGHT * WIDTH - 1


def test_cmyk_jpegs_are_converted() -> None:
    image = Image.fromarray(_photo()).convert("CMYK")
    found = _decoded(encoded(image, "JPEG", quality=95))
    assert _largest_difference(found, np.asarray(image.convert("RGB"))) <= 8


@pytest.mark.parametrize("value", [-1, 65536])
def test_photos_of_more_than_16_bits_are_refused(value: int, refuses: Refuses) -> None:
    wide = _gray().astype(np.int32)
    assert _largest_difference(_decoded(encoded(wide * 257, "TIFF")), _three(_gray())) == 0
    wide[0, 0] = value
    refuses(encoded(wide, "TIFF"), "more than 16 bits")
    refuses(encoded(wide.astype(np.float32), "TIFF"), "floating-point values")


@pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO", "TGA", "PDF"])
def test_other_formats_are_refused(kind: str, refuses: Refuses) -> None:
    refuses(encoded(_photo(), kind), "is not an image; expected JPEG, PNG, WebP, TIFF or BMP")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(kind: str, refuses: Refuses) -> None:
    others = [Image.fromarray(np.roll(_photo(), shift, axis=1)) for shift in (3, 6)]
    data = encoded(_photo(), kind, save_all=True, append_images=others)
    refuses(data, "several frames or pages")


class _Reads:
    """Counts the reads of a decoder; raises Canceled at the one with the number `last`."""

    def __init__(self, last: int | None = None) -> None:
        self.count, self._last = 0, last

    def __call__(self) -> None:
        self.count += 1
        if self.count == self._last:
            raise Canceled("The request was canceled.")


@pytest.mark.parametrize("read", [decode_photo, photo_size])
def test_the_pages_of_a_tiff_are_not_counted(read: Callable[..., object]) -> None:
    reads = []
    for pages in (2, 200):
        others = [Image.fromarray(_photo())] * (pages - 1)
        data = encoded(_photo(), "TIFF", save_all=True, append_images=others)
        reads.append(_Reads())
        with pytest.raises(InvalidImage, match="several frames or pages"):
            read(data, "content photo", LIMITS, reads[-1])
    assert reads[0].count == reads[1].count


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_decoding_can_be_stopped(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    data = encoded(noise, kind)
    few, to_the_end = _Reads(), _Reads()
    decode_photo(encoded(noise[:40], kind), "content photo", LIMITS, few)
    decode_photo(data, "content photo", LIMITS, to_the_end)
    assert to_the_end.count >= few.count + (8 if kind == "PNG" else 0)
    for last in range(1, to_the_end.count + 1):
        with pytest.raises(Canceled):
            decode_photo(data, "content photo", LIMITS, _Reads(last))


def test_a_jpeg_with_a_preview_behind_it_is_read() -> None:
    preview = Image.fromarray(_photo()).resize((12, 8))
    data = encoded(_photo(), "MPO", save_all=True, append_images=[preview], quality=95)
    assert b"MPF\0" in data
    assert _largest_difference(_decoded(data), _photo()) <= 12


# --- orientation and color -----------------------------------------------------------------

UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("kind", "tolerance"), [("PNG", 0), ("WEBP", 0), ("TIFF", 0), ("JPEG", 12)]
)
def test_photos_are_turned_upright(orientation: int, kind: str, tolerance: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    found = _decoded(encoded(_photo(), kind, exif=tags, **options))
    expected = UPRIGHT[orientation](_photo())
    assert found.shape == expected.shape
    assert _largest_difference(found, expected) <= tolerance


@pytest.mark.parametrize(
    "tags",
    [
        b"Exif\0\0garbage that is no TIFF",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0",  # 9
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0",
    ],
    ids=["garbage", "orientation 9", "far away", "empty"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photos_with_malformed_metadata_are_read(kind: str, tags: bytes) -> None:
    assert _decoded(encoded(_photo(), kind, exif=tags)).shape == (HEIGHT, WIDTH, 3)


def _in_srgb(photo: Array, primaries: tuple[tuple[float, ...], ...], gamma: float) -> Array:
    """The photo's colors in sRGB, by definition."""
    xyz = (photo / 255) ** gamma @ np.array(primaries)
    linear = np.clip(xyz @ np.linalg.inv(np.array(SRGB)), 0, 1)
    encoded_values = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    scaled: Array = np.rint(255 * encoded_values)
    return scaled


@pytest.mark.parametrize(
    ("primaries", "gamma"), [(SRGB, 1.0), (DISPLAY_P3, 2.2)], ids=["linear", "wide"]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_embedded_profile_is_converted_to_srgb(
    mode: str, primaries: tuple[tuple[float, ...], ...], gamma: float
) -> None:
    image = Image.fromarray(_photo()).convert(mode)
    found = _decoded(encoded(image, icc_profile=rgb_profile(primaries, gamma)))
    expected = _in_srgb(_photo(), primaries, gamma)
    assert _largest_difference(expected, _photo()) > 10  # the profile matters
    assert _largest_difference(found, expected) <= 2


def test_a_profile_counts_for_palette_images_too() -> None:
    image, colors = _palette_image(transparent=False)
    found = _decoded(encoded(image, icc_profile=rgb_profile(SRGB, 1.0)))
    assert _largest_difference(found, _in_srgb(colors, SRGB, 1.0)) <= 2


UNUSABLE = [
    *(ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes() for name in ("LAB", "XYZ")),
    b"no profile at all",
    rgb_profile(SRGB, 1.0)[:150],
    ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_an_srgb_or_unusable_profile_changes_nothing(mode: str) -> None:
    image = Image.fromarray(_photo()).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    of_other_channels = [rgb_profile(SRGB, 1.0)] if mode == "L" else []
    for profile in (*UNUSABLE, *of_other_channels):
        found = _decoded(encoded(image, kind, icc_profile=profile))
        difference = _largest_difference(found, np.asarray(image.convert("RGB")))
        assert difference <= (30 if kind == "JPEG" else 1)


# --- damage --------------------------------------------------------------------------------

KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP"]


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_and_damage_anywhere_give_a_photo_or_a_sentence(kind: str, refuses: Refuses) -> None:
    def is_refused(data: bytes) -> bool:
        try:
            _decoded(data, Limits(max_pixels=1_000_000))
        except InvalidImage as no:
            check_sentence(no)
            return True
        return False

    large = encoded(photo(64, 64), kind)
    for share in (0.3, 0.6, 0.9):
        refuses(large[: int(share * len(large))], r"content photo is (truncated or )?damaged")
    original = encoded(_photo(), kind)
    cuts = [original[:length] for length in range(0, len(original), 7)]
    assert sum(map(is_refused, cuts)) > 0.7 * len(cuts)
    generator = random.Random(kind)  # noqa: S311 (no secret)
    for _ in range(150):
        data = bytearray(original)
        for _ in range(generator.randint(1, 5)):
            data[generator.randrange(min(len(data), 400))] = generator.randrange(256)
        is_refused(bytes(data))


def test_a_damaged_second_page_is_refused(refuses: Refuses) -> None:
    second = Image.fromarray(_photo())
    data = bytearray(encoded(_photo(), "TIFF", save_all=True, append_images=[second]))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    (directory,) = struct.unpack_from("<I", data, first + 2 + 12 * count)
    assert struct.unpack_from("<H", data, directory + 2) == (256,)  # the tag of the width
    struct.pack_into("<H", data, directory + 2, 255)
    refuses(bytes(data), "content photo")


@given(st.binary(max_size=200))
def test_bytes_that_are_not_an_image_are_refused(data: bytes) -> None:
    for decode in (decode_photo, decode_mask):
        with pytest.raises(InvalidRequest, match=r"is (not an image|empty|damaged)"):
            decode(data, "photo", LIMITS)


# --- limits --------------------------------------------------------------------------------


@contextmanager
def _little_memory(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("width", "height"), [(100_000, 100_000), (30_000, 3_000), (2**31 - 1, 2**31 - 1), (8001, 8000)]
)
@pytest.mark.parametrize("decode", [decode_photo, decode_mask])
def test_a_huge_picture_is_refused_by_its_header(
    decode: Callable[..., object], width: int, height: int, refuses: Refuses
) -> None:
    data = raw_png(width, height, 8, 0, bytes(1000))
    start = time.perf_counter()
    with _little_memory(5_000_000):
        refuses(data, "64000000 pixels", decode=decode)
    assert time.perf_counter() - start < 1


def test_a_text_chunk_that_unpacks_to_gigabytes_is_not_unpacked(refuses: Refuses) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    data = raw_png(16, 16, 8, 0, bytes(17 * 16), (b"zTXt", text))
    with _little_memory(20_000_000):
        refuses(data, "content photo")


def test_pixels_and_bytes_up_to_the_limits_are_read(refuses: Refuses) -> None:
    data = encoded(_photo())
    pixels, length = HEIGHT * WIDTH, len(data)
    _decoded(data, Limits(max_pixels=pixels, max_bytes=length))
    refuses(data, f"{WIDTH}x{HEIGHT} pixels.* {pixels - 1} ", Limits(max_pixels=pixels - 1))
    refuses(data, f"{length} bytes; .*{length - 1}", Limits(max_bytes=length - 1))
    mask = encoded(LABELS)
    for limits in (
        Limits(max_bytes=len(mask) - 1),
        Limits(max_pixels=LABELS.size - 1),
        Limits(min_side=HEIGHT + 1),
    ):
        refuses(mask, "content photo", limits, decode_mask)


@pytest.mark.parametrize(("height", "width"), [(7, 40), (40, 7), (1, 1)])
def test_a_side_below_the_limit_is_refused(height: int, width: int, refuses: Refuses) -> None:
    refuses(encoded(photo(height, width)), f"{width}x{height} pixels; .*sides of at least 8")
    assert _decoded(encoded(photo(8, 8))).shape == (8, 8, 3)


# --- masks ---------------------------------------------------------------------------------

LABELS = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // 50 * 30).astype(np.uint8)
COLORS = np.array(list(MASK_COLORS.values()), dtype=np.uint8)
COLOR_LABELS = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 9).astype(np.uint8)


def _palette_mask() -> Image.Image:
    image = Image.fromarray(8 - COLOR_LABELS)
    image.putpalette(COLORS[::-1].tobytes())
    return image


@pytest.mark.parametrize(
    ("mask", "kind", "expected"),
    [
        (LABELS, "labels", LABELS),
        (LABELS.astype(np.uint16), "labels", LABELS),
        (np.dstack([LABELS, ALPHA]), "labels", LABELS),
        (Image.fromarray(LABELS > 90), "labels", np.where(LABELS > 90, 255, 0)),
        (COLORS[COLOR_LABELS], "colors", COLOR_LABELS),
        (np.dstack([COLORS[COLOR_LABELS], ALPHA]), "colors", COLOR_LABELS),
        (_palette_mask(), "colors", COLOR_LABELS),
    ],
    ids=["gray", "16-bit gray", "gray and alpha", "bits", "RGB", "RGBA", "palette"],
)
def test_masks_of_every_mode_are_read(
    mask: Array | Image.Image, kind: str, expected: Array
) -> None:
    found = decode_mask(encoded(mask), "content mask", LIMITS)
    assert found.kind == kind
    assert found.labels.dtype == np.uint8
    np.testing.assert_array_equal(found.labels, expected)


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "WEBP", "GIF"])
def test_masks_other_than_png_are_refused(kind: str, refuses: Refuses) -> None:
    refuses(encoded(_photo(), kind), "is not an image; expected PNG", decode=decode_mask)


MANY = np.arange(HEIGHT * WIDTH)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"nonsense", "is not an image"),
        (png_of(LABELS, 8, 0)[:70], "is truncated or damaged"),
        (png_of(LABELS.astype(int) + (LABELS == 0) * 256, 16, 0), "labels up to 256"),
        (
            png_of(MANY.reshape(HEIGHT, WIDTH) % 256, 8, 0),
            f"256 different labels.*{MAX_REGIONS}",
        ),
    ],
    ids=["empty", "nonsense", "truncated", "labels beyond 8 bits", "a photograph"],
)
def test_unreadable_masks_are_refused(data: bytes, words: str, refuses: Refuses) -> None:
    refuses(data, words, decode=decode_mask)


# --- sizes and encoding --------------------------------------------------------------------

SIDES = st.integers(1, 10_000)


@given(SIDES, SIDES, st.integers(16, 2048))
def test_working_size_keeps_the_shape(height: int, width: int, size: int) -> None:
    tall, wide = working_size(height, width, size)
    assert min(tall, wide) == size
    assert (wide, tall) == working_size(width, height, size)
    longer = size * max(height, width) / min(height, width)
    assert abs(max(tall, wide) - longer) <= 0.5
    assert (tall < wide) <= (height < width)
    assert working_size(height, width, min(height, width)) == (height, width)


@pytest.mark.parametrize("size", [-5, 0, 15, 2049, 2**31 - 1])
def test_sizes_beyond_the_limits_are_refused(size: int) -> None:
    with refused(InvalidOption, f"size is {size}; expected 16 to 2048"):
        check_working_size(100, 100, size, "content photo", LIMITS)


@given(SIDES, SIDES, st.integers(16, 2048))
@example(1566, 7513, 2048)
@example(6580, 4449, 2048)
def test_the_recommended_size_fits(height: int, width: int, size: int) -> None:
    try:
        check_working_size(height, width, size, "photo", LIMITS)
    except InvalidOption as no:
        words = str(no)
        tall, wide = working_size(height, width, size)
        assert tall * wide > LIMITS.max_working_pixels
        assert f"{wide}x{tall} pixels, more than the {LIMITS.max_working_pixels}" in words
        if "too long and narrow" in words:
            with pytest.raises(InvalidOption):
                check_working_size(height, width, LIMITS.min_size, "photo", LIMITS)
        else:
            fitting = int(words.split("up to ")[1].split()[0])
            assert fitting < size
            check_working_size(height, width, fitting, "photo", LIMITS)


@given(SIDES, SIDES, st.integers(16, 2048))
@example(1000, 3000, 1024)  # a panorama within the pixels allowed
def test_a_side_beyond_what_engines_serve_is_refused(height: int, width: int, size: int) -> None:
    limits = replace(LIMITS, max_side=1536)
    try:
        check_working_size(height, width, size, "photo", limits)
    except InvalidOption as no:
        words = str(no)
        if "a side longer than the 1536 allowed" in words:
            assert max(working_size(height, width, size)) > 1536
        if "too long and narrow" not in words:
            fitting = int(words.split("up to ")[1].split()[0])
            assert fitting < size
            check_working_size(height, width, fitting, "photo", limits)
            with pytest.raises(InvalidOption):
                check_working_size(height, width, fitting + 1, "photo", limits)
    else:
        assert max(working_size(height, width, size)) <= 1536


@pytest.mark.parametrize(("height", "width"), [(16, 24), (8, 12), (40, 31)])
def test_resized_photos_are_channels_first_in_0_to_1(height: int, width: int) -> None:
    photo = np.full((HEIGHT, WIDTH, 3), (0, 51, 255), dtype=np.uint8)
    found = resize_photo(photo, height, width)
    assert found.shape == (3, height, width)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    for channel, value in zip(found, (0.0, 0.2, 1.0), strict=True):
        np.testing.assert_allclose(channel, value, atol=1e-6)


def test_resizing_keeps_the_picture() -> None:
    twice = resize_photo(_photo(), 2 * HEIGHT, 2 * WIDTH)
    means = twice.reshape(3, HEIGHT, 2, WIDTH, 2).mean(axis=(2, 4)).transpose(1, 2, 0) * 255
    assert np.abs(means - _photo())[2:-2, 2:-2].max() < 3


def test_photos_and_label_maps_survive_encoding_and_decoding() -> None:
    original = photo(HEIGHT, WIDTH)
    floats = (original.transpose(2, 0, 1) / np.float32(255)).astype(np.float32)
    np.testing.assert_array_equal(_decoded(encode_photo(floats)), original)
    values = np.array([-0.5, 0.0, 0.001, 0.003, 0.4999, 1.0, 1.7, 300.0], dtype=np.float32)
    image = np.broadcast_to(values, (3, 8, 8)).astype(np.float32)  # rounded and clipped
    assert _decoded(encode_photo(image))[0, :, 0].tolist() == [0, 0, 0, 1, 127, 255, 255, 255]
    found = decode_mask(encode_labels(LABELS), "content mask", LIMITS)
    assert found.kind == "labels"
    np.testing.assert_array_equal(found.labels, LABELS)


@pytest.mark.parametrize(("kind", "closest"), [("png", 0), ("jpeg", 12), ("webp", 12)])
def test_pixels_as_a_file_of_a_format(kind: Format, closest: int) -> None:
    ramp = np.arange(24, dtype=np.uint8) * 8
    pixels = np.stack([np.tile(ramp, (16, 1))] * 3, axis=2)
    with Image.open(io.BytesIO(encode_pixels(pixels, kind))) as image:
        assert image.format == kind.upper()
        assert np.abs(np.asarray(image).astype(int) - pixels).max() <= closest


def test_a_side_that_a_format_cannot_have() -> None:
    long = np.zeros((1, 16_384, 3), dtype=np.uint8)
    with pytest.raises(InvalidOption, match=r"webp, which allows sides of up to 16383 .*16384x1"):
        encode_pixels(long, "webp")
    assert encode_pixels(long, "jpeg").startswith(b"\xff\xd8")


PHONES = Limits(formats=readable_formats())


def _from_a_phone(kind: str, tag: int, value: Any) -> bytes:
    exif = Image.Exif()
    exif[tag] = value
    return encoded(_photo().repeat(4, 0).repeat(4, 1), kind, quality=95, exif=exif)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_photos_of_phones_are_read_where_that_was_asked_for(kind: str, refuses: Refuses) -> None:
    file = _from_a_phone(kind, 0x010F, "Camera & Sons")
    photo = _decoded(file, PHONES)
    assert np.abs(photo - _photo().repeat(4, 0).repeat(4, 1).astype(int)).mean() < 4
    size = photo_size(file, "content photo", PHONES)
    assert size == photo.shape[:2] == (4 * HEIGHT, 4 * WIDTH)
    refuses(file, "a (HEIC|AVIF) file")
    few = replace(PHONES, max_pixels=100)
    refuses(file, "96x64 pixels; expected at most 100", few, photo_size)
    dice = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(file[: dice.integers(12, len(file))])
        for _ in range(dice.integers(4)):
            damaged[dice.integers(len(damaged))] = dice.integers(256)
        try:
            _decoded(bytes(damaged), PHONES)
        except InvalidImage:
            refused += 1
    assert refused > 30


def test_a_photo_of_a_phone_on_its_side() -> None:
    photo = _decoded(_from_a_phone("AVIF", 0x0112, 6), PHONES)
    assert photo.shape == (4 * WIDTH, 4 * HEIGHT, 3)

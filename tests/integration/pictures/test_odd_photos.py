"""Photos out of the ordinary that are served: other modes, one color, odd regions and sizes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from photoreal.client import StylizeResult
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

Pixels = npt.NDArray[np.uint8]
Encode = Callable[..., bytes]
Stylize = Callable[..., StylizeResult]
HEIGHT, WIDTH = 32, 40


@pytest.fixture(scope="module")
def picture(pair: Callable[[str], dict[str, Any]]) -> Image.Image:
    """An example photo, small."""
    with Image.open(pair("pagoda-dusk")["content"]) as image:
        return image.resize((WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def style(pair: Callable[[str], dict[str, Any]]) -> Pixels:
    with Image.open(pair("pagoda-dusk")["style"]) as image:
        return np.asarray(image.resize((48, 32)))


def _other_modes(picture: Image.Image, encoded: Encode) -> dict[str, tuple[bytes, Image.Image]]:
    """Files, and the plain RGB picture that each of them stands for."""
    gray = picture.convert("L")
    fine = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    palette = picture.quantize(40)
    black_and_white = picture.convert("1")
    cmyk = picture.convert("CMYK")
    veil = np.asarray(gray) // 200 * 255
    veiled = picture.copy()
    veiled.putalpha(Image.fromarray(veil))
    on_white = np.where(veil[..., None] == 255, np.asarray(picture), 255).astype(np.uint8)
    rotated = picture.transpose(Image.Transpose.ROTATE_90)  # tag 6 turns it back
    exif = Image.Exif()
    exif[0x0112] = 6
    lossy = encoded(rotated, "JPEG", exif=exif, quality=90)
    return {
        "gray": (encoded(gray), gray),
        "16-bit gray": (encoded(fine), gray),
        "CMYK": (encoded(cmyk, "TIFF"), cmyk),
        "palette": (encoded(palette), palette),
        "transparent": (encoded(veiled), Image.fromarray(on_white)),
        "1 bit": (encoded(black_and_white), black_and_white),
        "BMP": (encoded(picture, "BMP"), picture),
        "WebP": (encoded(picture, "WEBP", lossless=True), picture),
        "turned PNG": (encoded(rotated, exif=exif), picture),
        "turned JPEG": (
            lossy,
            _decoded(encoded(rotated, "JPEG", quality=90)).transpose(Image.Transpose.ROTATE_270),
        ),
        "CMYK JPEG": (
            encoded(cmyk, "JPEG", quality=90),
            _decoded(encoded(cmyk, "JPEG", quality=90)),
        ),
    }


def _decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


MODES = [
    "gray",
    "16-bit gray",
    "CMYK",
    "palette",
    "transparent",
    "1 bit",
    "BMP",
    "WebP",
    "turned PNG",
    "turned JPEG",
    "CMYK JPEG",
]


@pytest.mark.parametrize("mode", MODES)
def test_other_modes_count_as_the_picture_that_they_show(
    local: Server, stylize: Stylize, picture: Image.Image, style: Pixels, encoded: Encode, mode: str
) -> None:
    cases = _other_modes(picture, encoded)
    assert list(cases) == MODES
    data, same = cases[mode]
    options: dict[str, Any] = {"style": style, "size": HEIGHT, "segment": False, "bit_depth": 8}
    result = stylize(local, content=data, **options)
    wanted = stylize(local, content=np.asarray(same.convert("RGB")), **options)
    assert result.image.size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(result.pixels, wanted.pixels)


def _flat(*color: int) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), color, dtype=np.uint8)


@pytest.mark.parametrize("method", ["wct2", "published"])
def test_one_color_as_content_takes_the_mean_of_the_style(
    local: Server, stylize: Stylize, style: Pixels, method: str
) -> None:
    result = stylize(
        local, content=_flat(120, 130, 140), style=style, size=HEIGHT, segment=False, method=method
    )
    image = np.asarray(result.image, dtype=np.float64)
    assert image.std(axis=(0, 1)).max() < 8  # there is no structure to be found in it
    assert image.min() > 16


@pytest.mark.parametrize("method", ["wct2", "published"])
def test_one_color_as_style_moves_the_content_towards_it(
    local: Server, stylize: Stylize, picture: Image.Image, method: str
) -> None:
    red = np.array([200, 40, 40])
    result = stylize(
        local, content=picture, style=_flat(*red), size=HEIGHT, segment=False, method=method
    )
    image, content = (np.asarray(one, dtype=np.float64) for one in (result.image, picture))
    before, after = (np.linalg.norm(one.mean(axis=(0, 1)) - red) for one in (content, image))
    assert after < before / 2
    assert image.max() > 0


@pytest.mark.parametrize("method", ["wct2", "published"])
def test_one_color_to_one_color(local: Server, stylize: Stylize, method: str) -> None:
    blue = np.array([60, 90, 200])
    result = stylize(
        local, content=_flat(200, 180, 90), style=_flat(*blue), size=HEIGHT, method=method
    )
    image = np.asarray(result.image, dtype=np.float64)
    assert image.std(axis=(0, 1)).max() < 8
    assert np.abs(image.mean(axis=(0, 1)) - blue).max() < 40


@pytest.mark.parametrize(
    ("content", "other"),
    [((16, 16), (400, 16)), ((300, 400), (8, 9)), ((8, 1000), (64, 64))],
    ids=["tiny and long", "large and tiny", "long and square"],
)
def test_sizes_need_not_be_alike(
    local: Server,
    stylize: Stylize,
    picture: Image.Image,
    style: Pixels,
    content: tuple[int, int],
    other: tuple[int, int],
) -> None:
    photos = picture.resize(content), Image.fromarray(style).resize(other)
    options: dict[str, Any] = {"style": photos[1], "size": 16, "segment": False}
    own = stylize(local, content=photos[0], **options)
    assert own.image.size == content
    result = stylize(local, content=photos[0], **options, method="published")
    short, long = min(content), max(content)
    assert sorted(result.image.size) == [16, round(16 * long / short)]
    assert np.asarray(result.image).std() > 10


def _masks() -> dict[str, Pixels]:
    content, style = np.ones((2, HEIGHT, WIDTH), dtype=np.uint8)
    return {"content_mask": content, "style_mask": style}


@pytest.mark.parametrize("match", ["published", "nearest"])
def test_regions_of_a_single_pixel(
    local: Server, stylize: Stylize, photo: Callable[..., Pixels], match: str
) -> None:
    masks = _masks()
    masks["content_mask"][20, 30] = 2
    masks["style_mask"][5, 5] = 2
    masks["content_mask"][0, 0] = 3
    photos = {"content": photo(HEIGHT, WIDTH), "style": photo(HEIGHT, WIDTH, 1)}
    report = stylize(local, **photos, **masks, size=HEIGHT, match=match, method="published").report
    partners = {entry["content"]: entry["style"] for entry in report["pairs"]}
    if match == "published":
        assert (partners, report["unstyled"]) == ({1: 1}, [2, 3])
    else:
        assert partners == {1: 1, 2: "whole photo", 3: "whole photo"}


def test_masks_without_a_common_label_leave_the_content_as_it_is(
    local: Server, stylize: Stylize, picture: Image.Image, style: Pixels
) -> None:
    masks = {"content_mask": _masks()["content_mask"], "style_mask": np.zeros_like(style[..., 0])}
    masks["content_mask"][:, 20:] = 2
    result = stylize(local, content=picture, style=style, **masks, size=HEIGHT, method="published")
    assert (result.report["pairs"], result.report["unstyled"]) == ([], [1, 2])
    difference = np.asarray(result.image, dtype=np.int16) - np.asarray(picture, dtype=np.int16)
    assert np.abs(difference).max() <= 2


def test_16_bit_mask_holds_labels(
    local: Server, stylize: Stylize, picture: Image.Image, encoded: Encode
) -> None:
    labels = np.ones((HEIGHT, WIDTH), dtype=np.uint16)
    labels[:, 20:] = 2
    mask = encoded(labels)
    options = {"content": picture, "style": picture, "size": HEIGHT}
    report = stylize(local, **options, content_mask=mask, style_mask=mask).report
    assert [entry["content"] for entry in report["pairs"]] == [1, 2]

"""Photos out of the ordinary that are served: other modes, one color, odd regions and sizes.

`tests/unit/preprocess` decodes every format and mode.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import StylizeResult
from photoreal.serve.launch.launcher import Server
from tests.kinds import Array, PairFiles, Pixels, Stylize
from tests.shared import encoded, photo

pytestmark = pytest.mark.server

HEIGHT, WIDTH = 32, 40


@pytest.fixture(scope="module")
def picture(pair: PairFiles) -> Image.Image:
    """An example photo, small."""
    with Image.open(pair("pagoda-dusk")["content"]) as image:
        return image.resize((WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def style(pair: PairFiles) -> Pixels:
    with Image.open(pair("pagoda-dusk")["style"]) as image:
        return np.asarray(image.resize((48, 32)))


def _image(result: StylizeResult) -> Array:
    return np.asarray(result.image, dtype=np.float64)


def test_other_modes_count_as_the_picture_that_they_show(
    local: Server, stylize: Stylize, picture: Image.Image, style: Pixels
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turns it back
    veil = np.asarray(picture.convert("L")) // 200 * 255
    veiled = picture.copy()
    veiled.putalpha(Image.fromarray(veil))
    on_white = np.where(veil[..., None] == 255, np.asarray(picture), 255).astype(np.uint8)
    cmyk = picture.convert("CMYK")
    cases = {
        "turned": (encoded(picture.transpose(Image.Transpose.ROTATE_90), exif=exif), picture),
        "transparent": (encoded(veiled), Image.fromarray(on_white)),
        "CMYK TIFF": (encoded(cmyk, "TIFF"), cmyk),
        "palette": (encoded(palette := picture.quantize(40)), palette),
    }
    options: dict[str, Any] = {"style": style, "size": HEIGHT, "segment": False, "bit_depth": 8}
    for name, (data, same) in cases.items():
        result = stylize(local, content=data, **options)
        wanted = stylize(local, content=np.asarray(same.convert("RGB")), **options)
        assert result.image.size == (WIDTH, HEIGHT)
        np.testing.assert_array_equal(result.pixels, wanted.pixels, name)


def _flat(*color: int) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), color, dtype=np.uint8)


@pytest.mark.parametrize("method", ["wct2", "published"])
def test_one_color(
    local: Server, stylize: Stylize, picture: Image.Image, style: Pixels, method: str
) -> None:
    """As content it has no structure to be found; as style it draws the content to itself."""
    options: dict[str, Any] = {"size": HEIGHT, "segment": False, "method": method}
    image = _image(stylize(local, content=_flat(120, 130, 140), style=style, **options))
    assert image.std(axis=(0, 1)).max() < 8
    assert image.min() > 16
    red, blue = np.array([200, 40, 40]), np.array([60, 90, 200])
    image = _image(stylize(local, content=picture, style=_flat(*red), **options))
    before = np.linalg.norm(np.asarray(picture, float).mean(axis=(0, 1)) - red)
    assert np.linalg.norm(image.mean(axis=(0, 1)) - red) < before / 2
    image = _image(stylize(local, content=_flat(200, 180, 90), style=_flat(*blue), **options))
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
    photo = picture.resize(content)
    options: dict[str, Any] = {"style": Image.fromarray(style).resize(other), "size": 16}
    assert stylize(local, content=photo, **options, segment=False).image.size == content
    result = stylize(local, content=photo, **options, segment=False, method="published")
    short, long = min(content), max(content)
    assert sorted(result.image.size) == [16, round(16 * long / short)]
    assert _image(result).std() > 10


@pytest.mark.parametrize("match", ["published", "nearest"])
def test_regions_of_a_single_pixel(local: Server, stylize: Stylize, match: str) -> None:
    masks = np.ones((2, HEIGHT, WIDTH), dtype=np.uint8)
    masks[0, 20, 30] = masks[1, 5, 5] = 2
    masks[0, 0, 0] = 3
    photos = {"content": photo(HEIGHT, WIDTH), "style": photo(HEIGHT, WIDTH, 1)}
    given = {"content_mask": masks[0], "style_mask": masks[1], "match": match, "size": HEIGHT}
    report = stylize(local, **photos, **given, method="published").report
    partners = {entry["content"]: entry["style"] for entry in report["pairs"]}
    if match == "published":
        assert (partners, report["unstyled"]) == ({1: 1}, [2, 3])
    else:
        assert partners == {1: 1, 2: "whole photo", 3: "whole photo"}


def test_masks_without_a_common_label_leave_the_content_as_it_is(
    local: Server, stylize: Stylize, picture: Image.Image, style: Pixels
) -> None:
    labels = np.ones((HEIGHT, WIDTH), dtype=np.uint16)
    labels[:, 20:] = 2
    masks = {"content_mask": encoded(labels), "style_mask": np.zeros_like(style[..., 0])}
    photos = {"content": picture, "style": style}
    result = stylize(local, **photos, **masks, size=HEIGHT, blend=4, method="published")
    assert (result.report["pairs"], result.report["unstyled"]) == ([], [1, 2])
    assert np.abs(_image(result) - np.asarray(picture)).max() <= 2

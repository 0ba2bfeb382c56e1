"""A style as a color lookup table: `make_look`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput
from photoreal.client.result import StylizeResult, write_aside
from photoreal.color.cube import (
    POINTS,
    Table,
    apply_table,
    cube_text,
    fit_table,
    hald_picture,
)
from photoreal.preprocess import Limits, decode_photo, encode_pixels, readable_formats

LOOK_OPTIONS = ("method", "alpha", "color_strength", "wct2_strength")
"""Options of ``stylize`` that apply to a look."""

_SIDE = 512
_COLORS = 100_000
_CUBE, _HALD = ".cube", ".png"
EXACT = 99.0
"""The agreement in dB of a table that is no fit."""


class Stylizer(Protocol):
    """A client of a server, or a Pipeline."""

    @property
    def stylize(self) -> Any:
        """Stylize a photo."""


@dataclass(frozen=True)
class Look:
    """A color lookup table made from a style.

    Attributes:
        table: output colors, float32 (n, n, n, 3) in 0..1, indexed by input red, green and blue.
        title: title of a .cube file.
        psnr: agreement with the stylized photo that the table was fitted to, in dB. A table maps
            a color to the same result everywhere in a photo; above 45 dB the difference is
            invisible.
        region: name of the region that the table is for; empty for whole photos.
        share: the region's share of the area of its photo, 0..1.
    """

    table: Table = field(repr=False)
    title: str
    psnr: float
    region: str = ""
    share: float = 1.0

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table atomically: .cube, or a Hald picture as .png.

        Raises:
            InvalidInput: the suffix is another one, or the path exists and is not a file.
            OSError: the file cannot be written.
        """
        target = check_look_file(Path(path))
        if target.suffix.lower() == _CUBE:
            data = cube_text(self.table, self.title).encode()
        else:
            data = encode_pixels(hald_picture(self.table))
        write_aside(target, data)
        return target


def check_look_file(path: Path) -> Path:
    """Return the path if a look can be written to it; raises InvalidInput otherwise."""
    if path.suffix.lower() not in (_CUBE, _HALD):
        raise InvalidInput(
            f"The name {str(path)!r} does not end in a format of looks; expected {_CUBE}, or"
            f" {_HALD} for a Hald picture."
        )
    return path


def make_look(
    stylizer: Stylizer,
    style: Any,
    content: Any = None,
    *,
    points: int = POINTS,
    title: str = "photoreal",
    **options: Any,
) -> Look:
    """Make the look of a style, for whole photos.

    A photo is stylized as one region, and the table is fitted to its colors before and after.

    Args:
        stylizer: a client or a Pipeline.
        style: a style photo, or several to mix, as for ``stylize``.
        content: the photo that the look is for; by default a synthetic photo with typical
            colors.
        points: grid points of the table per axis, 2 to 65.
        title: title of a .cube file.
        **options: ``method``, ``alpha``, ``color_strength`` and ``wct2_strength`` of ``stylize``.

    Raises:
        PhotorealError: as from ``stylize``.
        InvalidOption: ``points`` is out of range.
    """
    before = small_photo(content)
    result: StylizeResult = stylizer.stylize(encode_pixels(before), style, segment=False, **options)
    return fit_look(*_pictures(before, result), points, title)


def _pictures(
    before: NDArray[np.uint8], result: StylizeResult
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The picture (H, W, 3) before and after, at the size of the result."""
    after = result.image.convert("RGB")
    if after.size != before.shape[1::-1]:  # the method "published" returns the working size
        resized = Image.fromarray(before).resize(after.size, Image.Resampling.LANCZOS)
        before = np.asarray(resized)
    return before, np.asarray(after)


def fit_look(before: NDArray[np.uint8], after: NDArray[np.uint8], points: int, title: str) -> Look:
    """Fit a look to pixels (..., 3) before and after."""
    ours, theirs = _colors(before), _colors(after)
    table = fit_table(ours, theirs, points)
    error = float(np.mean((apply_table(table, ours) - theirs) ** 2, dtype=np.float64))
    psnr = -10 * math.log10(max(error, 10 ** (-EXACT / 10)))
    return Look(table, title, psnr)


def neutral_photo() -> NDArray[np.uint8]:
    """A synthetic picture (256, 384, 3) with typical colors: every brightness, faint hues."""
    height, width = 256, 384
    light = np.linspace(0.02, 0.98, width)[None, :]
    angle = np.linspace(0.0, 4 * math.pi, height, endpoint=False)[:, None]
    # The hue turns twice from top to bottom; chroma fades out toward black and white.
    chroma = 0.16 * 4 * light * (1 - light) * (0.6 + 0.4 * np.sin(angle / 4))
    red, blue = chroma * np.cos(angle), chroma * np.sin(angle)
    green = -0.51 * red - 0.19 * blue  # as in YCbCr, so that luma is unchanged
    picture = np.stack([light + red, light + green, light + blue], axis=2)
    pixels: NDArray[np.uint8] = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels


def small_photo(content: Any) -> NDArray[np.uint8]:
    """The content (H, W, 3), scaled so that its shorter side is at most `_SIDE`."""
    if content is None:
        return neutral_photo()
    photo = decode_photo(
        encode_image(content, "content"), "content photo", Limits(formats=readable_formats())
    )
    scale = _SIDE / min(photo.shape[:2])
    if scale >= 1:
        return photo
    size = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def _colors(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colors (N, 3) in 0..1 of pixels (..., 3), evenly subsampled if there are many."""
    flat = pixels.reshape(-1, 3)
    step = max(1, len(flat) // _COLORS) | 1  # odd, so that no column of the picture is skipped
    return flat[::step].astype(np.float32) / np.float32(255)

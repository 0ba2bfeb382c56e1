"""A style as one color lookup table for each region: `make_region_looks`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput
from photoreal.client.look import EXACT, Look, fit_look, neutral_photo, small_photo
from photoreal.client.result import StylizeResult
from photoreal.client.style import Style
from photoreal.color.align import alignment
from photoreal.color.cube import POINTS, check_points, identity_table
from photoreal.color.gamut import compress_range
from photoreal.color.tones import LUMA_SHARE
from photoreal.color.transport import color_moments
from photoreal.options import StylizeOptions, check_options
from photoreal.pipeline.presets.preset import Preset, read_preset
from photoreal.pipeline.presets.tensor_file import is_tensor_file
from photoreal.preprocess import Limits, encode_pixels

REGION_LOOK_OPTIONS = ("alpha", "color_strength", "weights")
"""Options of ``stylize`` that apply to the looks of regions."""

_BORDER = 8  # pixels
_FEWEST = 500  # pixels that determine a table


class Stylizer(Protocol):
    """A client of a server, or a Pipeline."""

    @property
    def style(self) -> Any:
        """Measure a style."""

    @property
    def stylize(self) -> Any:
        """Stylize a photo."""


def make_region_looks(
    stylizer: Stylizer,
    style: Any,
    content: Any = None,
    *,
    points: int = POINTS,
    title: str = "photoreal",
    size: int | None = None,
    **options: Any,
) -> list[Look]:
    """Make one look for each region of the style, or of the content if one is given.

    The method is "color", which changes the colors of each region alike. Without a content photo,
    the tables map typical colors to those of each region of the style. With one, they are fitted
    to the colors of each of its regions before and after.

    Args:
        stylizer: a client or a Pipeline.
        style: a style photo or preset; with a content photo also several to mix.
        content: the photo that the looks are for.
        points: as for :func:`photoreal.client.look.make_look`.
        title: beginning of the titles; the region and its share of its photo are added.
        size: size at which the photos are measured, as for ``stylize``.
        **options: ``alpha``, ``color_strength`` and ``weights`` of ``stylize``.

    Raises:
        PhotorealError: as from ``stylize``.
        InvalidInput: several styles without a content photo.
        InvalidOption: an option is out of range.
    """
    check_points(points)
    if content is not None:
        before = small_photo(content)
        result: StylizeResult = stylizer.stylize(
            encode_pixels(before), style, method="color", labels=True, size=size, **options
        )
        return _fitted(before, result, points, title)
    settings = StylizeOptions(**{name: one for name, one in options.items() if one is not None})
    check_options(settings)
    several = list(style) if isinstance(style, list | tuple) else [style]
    if len(several) > 1:
        raise InvalidInput(
            f"There are {len(several)} styles, whose regions differ; expected a content photo,"
            " whose regions take from each style, or one style."
        )
    preset = _measured(stylizer, several[0], size)
    return _neutral(preset, settings.alpha * settings.color_strength, points, title)


def region_file(path: Path, region: str) -> Path:
    """File of one region's look: ``sunset.cube`` becomes ``sunset-sky.cube``."""
    word = re.sub(r"[^a-z0-9]+", "-", region.lower()).strip("-")
    return path.with_name(f"{path.stem}-{word}{path.suffix}")


def _measured(stylizer: Stylizer, given: Any, size: int | None) -> Preset:
    """The colors of a style's regions."""
    file = given.preset if isinstance(given, Style) else encode_image(given, "style")
    if file is None or not is_tensor_file(file):
        photo = given.file if isinstance(given, Style) else file
        file = stylizer.style(photo, method="color", size=size).preset
    return read_preset(file, "style", Limits())


def _fitted(
    before: NDArray[np.uint8], result: StylizeResult, points: int, title: str
) -> list[Look]:
    """One look for each region of a content (H, W, 3) that has a partner in the style."""
    after = np.asarray(result.image.convert("RGB"))
    styled = {pair["content"] for pair in result.report["pairs"]}
    looks = []
    for region in result.report["content_regions"]:
        own = result.content_labels == region["label"]
        # At a border the changes of several regions are mixed.
        inner = binary_erosion(own, iterations=_BORDER, border_value=1)
        inside = inner if inner.sum() >= _FEWEST else own
        if region["name"] in styled and inside.any():
            found = fit_look(before[inside], after[inside], points, title)
            looks.append(_named(found, region["name"], region["share"]))
    return looks


def _neutral(preset: Preset, strength: float, points: int, title: str) -> list[Look]:
    """One look from typical colors to those of each region of a style."""
    colors = neutral_photo().reshape(-1, 3).T / np.float32(255)
    weights = np.ones(colors.shape[1], dtype=np.float32)
    own = color_moments(colors, weights)
    grid = identity_table(points).reshape(-1, 3).T
    looks = []
    for info, share, goal in zip(preset.infos, preset.shares.tolist(), preset.colors, strict=True):
        if goal is not None:
            changed = alignment(colors, weights, own, goal, luma=LUMA_SHARE["found"])(grid)
            table = compress_range((grid + strength * (changed - grid))[:, None])[:, 0].T
            shape = (points, points, points, 3)
            look = Look(np.ascontiguousarray(table).reshape(shape), title, EXACT)
            looks.append(_named(look, info.name, share))
    return looks


def _named(look: Look, name: object, share: float) -> Look:
    title = f"{look.title}: {name}, {100 * share:.0f} %"
    return replace(look, title=title, region=str(name), share=share)

"""A style as one color lookup table for each region: `make_region_looks`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput
from photoreal.client.look import EXACT, Look, neutral_photo
from photoreal.client.style import Style
from photoreal.color.align import apply_map
from photoreal.color.cube import POINTS, Table, check_points, identity_table
from photoreal.color.gamut import compress_range
from photoreal.color.transport import ColorMap, color_moments
from photoreal.options import DEFAULT_SIZE, StylizeOptions, check_options, check_weights
from photoreal.pipeline.looks import region_maps
from photoreal.pipeline.presets.preset import Preset, read_preset, taken_preset
from photoreal.pipeline.presets.tensor_file import is_tensor_file
from photoreal.pipeline.soft_regions import coupled
from photoreal.preprocess import Limits, photo_size, readable_formats

REGION_LOOK_OPTIONS = ("alpha", "color_strength", "weights")
"""Options of ``stylize`` that apply to the looks of regions."""


class Measurer(Protocol):
    """A client of a server, or a Pipeline."""

    @property
    def style(self) -> Any:
        """Measure a style."""


def make_region_looks(
    measurer: Measurer,
    style: Any,
    content: Any = None,
    *,
    points: int = POINTS,
    title: str = "photoreal",
    size: int | None = None,
    **options: Any,
) -> list[Look]:
    """Make one look for each region of the style, or of the content if one is given.

    The method is "color", in which each region has one color map; the tables hold these maps.
    Without a content photo, they map typical colors to those of each region of the style. With
    one, they map the colors of each of its regions as ``stylize`` does. The only difference from
    ``stylize`` is in colors beyond the display range, which there are compressed as far as the
    photo needs and here as far as the whole table needs.

    Args:
        measurer: a client or a Pipeline.
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
    settings = StylizeOptions(**{name: one for name, one in options.items() if one is not None})
    check_options(settings)
    strength = settings.alpha * settings.color_strength
    if content is not None:
        content = encode_image(content, "content")
        size = _working_size(content, size)
    several = list(style) if isinstance(style, list | tuple) else [style]
    styles = [_measured(measurer, one, "style", size) for one in several]
    if content is not None:
        ours = _measured(measurer, content, "content", size)
        couplings = [
            coupled(ours, taken_preset(one, "style", ours.source, ours.kind), "nearest")
            for one in styles
        ]
        colors = [one.colors for one in styles]
        weights = check_weights(settings.weights, len(styles))
        maps = region_maps(ours.colors, colors, couplings, weights, strength)
        return _looks(ours, maps, points, title)
    if len(styles) > 1:
        raise InvalidInput(
            f"There are {len(styles)} styles, whose regions differ; expected a content photo, whose"
            " regions take from each style, or one style."
        )
    (theirs,) = styles
    photo = neutral_photo().transpose(2, 0, 1) / np.float32(255)
    own = color_moments(photo, np.ones(photo.shape[1:], dtype=np.float32))
    count = len(theirs.infos)
    maps = region_maps([own] * count, [theirs.colors], [np.eye(count)], [1.0], strength)
    return _looks(theirs, maps, points, title)


def region_file(path: Path, region: str) -> Path:
    """File of one region's look: ``sunset.cube`` becomes ``sunset-sky.cube``."""
    word = re.sub(r"[^a-z0-9]+", "-", region.lower()).strip("-")
    return path.with_name(f"{path.stem}-{word}{path.suffix}")


def _working_size(content: bytes, size: int | None) -> int:
    """Size at which `stylize` works on a content, which is not enlarged."""
    wanted = DEFAULT_SIZE if size is None else size
    if is_tensor_file(content):
        return wanted
    limits = Limits(formats=readable_formats())
    return max(limits.min_size, min(wanted, *photo_size(content, "content photo", limits)))


def _measured(measurer: Measurer, given: Any, name: str, size: int | None) -> Preset:
    """The colors and traits of a photo's regions."""
    file = given.preset if isinstance(given, Style) else encode_image(given, name)
    if file is None or not is_tensor_file(file):
        photo = given.file if isinstance(given, Style) else file
        file = measurer.style(photo, method="color", size=size).preset
    return read_preset(file, name, Limits())


def _looks(preset: Preset, maps: Sequence[ColorMap | None], points: int, title: str) -> list[Look]:
    """One look for each region that has a map."""
    looks = []
    for info, share, found in zip(preset.infos, preset.shares.tolist(), maps, strict=True):
        if found is not None:
            name = str(info.name)
            heading = f"{title}: {name}, {100 * share:.0f} %"
            looks.append(Look(_table(found, points), heading, EXACT, name, share))
    return looks


def _table(found: ColorMap, points: int) -> Table:
    grid = identity_table(points).reshape(1, -1, 3).transpose(2, 0, 1)
    mapped = compress_range(apply_map(found, grid))
    return np.ascontiguousarray(mapped.transpose(1, 2, 0)).reshape(points, points, points, 3)

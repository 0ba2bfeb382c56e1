"""Stylization of a content by soft regions: color alignment per region, then WCT2."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, namespace
from photoreal.color.align import align_colors, region_colors
from photoreal.color.gamut import compress_range
from photoreal.color.transport import ColorMap, ColorMoments, barycenter, color_map, mixture
from photoreal.options import DEFAULT_WCT2_STRENGTH, Place, StylizeOptions
from photoreal.pipeline.request import Shot, SoftStyle, SoftTransfer
from photoreal.pipeline.soft_regions import SoftMatch
from photoreal.regions.soft import normalize_weights

_SOLID = 0.75
"""Weight above which a pixel uses one region's map only: after alignment the maps are similar."""

SteadyColors = Callable[[int, ColorMoments], ColorMoments]
"""Maps a content label and its moments in this frame to the moments to use."""


class Look(NamedTuple):
    """The stylized content (3, H, W) at working size, and whether every style was cached."""

    image: Floats
    style_cached: bool


def align(
    content: Floats,
    styles: Sequence[Floats],
    found: SoftMatch,
    weights: Sequence[float],
    strength: float,
    steady: SteadyColors | None = None,
) -> Floats:
    """Align the colors of each content region with those of its style regions; (3, H, W)."""
    theirs = [
        region_colors(style, regions.weights)
        for style, regions in zip(styles, found.styles, strict=True)
    ]
    maps: list[ColorMap | None] = []
    for region, own in enumerate(region_colors(content, found.content.weights)):
        goals = [
            (weight, goal)
            for weight, coupling, colors in zip(weights, found.couplings, theirs, strict=True)
            if weight > 0.0 and (goal := _goal(coupling[region], colors)) is not None
        ]
        if own is None or not goals:
            maps.append(None)
            continue
        if steady is not None:
            own = steady(found.content.infos[region].label, own)
        goal = barycenter([moments for _, moments in goals], [weight for weight, _ in goals])
        maps.append(color_map(own, goal, strength=strength))
    return align_colors(content, found.content.weights, maps)


def _goal(
    row: npt.NDArray[np.float64], colors: Sequence[ColorMoments | None]
) -> ColorMoments | None:
    """Color moments of a mixture of style regions; None when every region in it is absent."""
    parts = [
        (moments, float(share))
        for moments, share in zip(colors, row, strict=True)
        if share > 0.0 and moments is not None
    ]
    if not parts:
        return None
    return mixture([moments for moments, _ in parts], [share for _, share in parts])


def wct2_strength(options: StylizeOptions, found: SoftMatch) -> float:
    """Feature transfer strength in 0..1: the option, or a default by the source of the regions."""
    if options.method == "color":
        return 0.0
    strength = options.wct2_strength
    if strength is None:
        strength = DEFAULT_WCT2_STRENGTH["masks" if found.source == "masks" else "found"]
    return strength * options.alpha


def transfer_features(
    aligned: Floats,
    styles: Sequence[Floats],
    found: SoftMatch,
    weights: Sequence[float],
    transfer: SoftTransfer,
    strength: float,
    places: Collection[Place],
    shot: Shot | None,
    keys: Sequence[bytes],
) -> Look:
    """Run WCT2 on the aligned content and apply a `strength` share, in (0, 1], of its change.

    `keys` identify the styles with their regions.
    """
    given = [
        SoftStyle(image, _bytes(regions.weights), coupling, weight, key)
        for image, regions, coupling, weight, key in zip(
            styles, found.styles, found.couplings, weights, keys, strict=True
        )
    ]
    result = transfer(aligned, _bytes(found.content.weights), given, places=places, shot=shot)
    mixed = aligned + strength * (result.image - aligned)
    return Look(compress_range(mixed), result.style_cached)


def _bytes(weights: Floats) -> Any:
    """Quantize weights from 0..1 to uint8 0..255, the input format of `wct2`."""
    xp = namespace(weights)
    return xp.astype(xp.round(normalize_weights(weights, _SOLID) * 255.0), xp.uint8)

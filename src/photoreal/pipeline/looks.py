"""Stylization of a content by soft regions: color alignment per region, then WCT2."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from photoreal.arrays import Floats, like, namespace
from photoreal.color.align import (
    RegionColors,
    Steady,
    align_chroma,
    align_colors,
    average_colors,
    mix_colors,
    region_colors,
)
from photoreal.color.gamut import compress_range
from photoreal.color.tones import LUMA_SHARE
from photoreal.errors import InvalidOption
from photoreal.options import DEFAULT_WCT2_STRENGTH, Place, StylizeOptions
from photoreal.pipeline.presets.preset import Preset
from photoreal.pipeline.regions.known import KnownRegions, cached
from photoreal.pipeline.regions.soft import SoftMatch
from photoreal.pipeline.request import MeasuredStyle, Shot, SoftStyle, SoftTransfer
from photoreal.regions.coupling import Matrix
from photoreal.regions.soft import SoftRegions, interior, normalize_weights

_SOLID = 0.75
"""Weight above which a pixel uses one region's map only: after alignment the maps are similar."""


class Look(NamedTuple):
    """The stylized content (3, H, W) at working size, and whether every style was cached."""

    image: Floats
    style_cached: bool


class Goals(NamedTuple):
    """What the content's regions are to look like.

    `colors` are the goals of each region, None without a partner, `strength` in 0..1 the share of
    the way there. `kept` (K,) are the shares of its own look that each region keeps, and `whole`
    (K,) those of its change that are the whole photo's, whose goal is then the last of `colors`;
    None for none. `steady` smooths the content's colors over the frames of a shot.
    """

    colors: Sequence[RegionColors | None]
    strength: float
    steady: Steady | None = None
    kept: Matrix | None = None
    whole: Matrix | None = None


class _StyleColors(NamedTuple):
    """Colors of a style's regions, None for one without pixels."""

    colors: Sequence[RegionColors | None]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(one.tones.nbytes for one in self.colors if one is not None)


def goals(
    styles: Sequence[Floats | Preset],
    found: SoftMatch,
    weights: Sequence[float],
    known: KnownRegions | None = None,
    keys: Sequence[bytes] = (),
    *,
    whole: bool = False,
) -> list[RegionColors | None]:
    """The colors that each content region takes from its style regions; None without a partner.

    With `whole` those of the photo as a whole follow. `weights` are those of the styles. `known`
    caches the colors of styles under their `keys`.
    """
    theirs = []
    for number, style in enumerate(zip(styles, found.styles, strict=True)):
        key = keys[number] + b" colors" if keys else None
        theirs.append(cached(known, key, partial(_colors, *style)).colors)
    rows = [[coupling[region] for coupling in found.couplings] for region in range(found.count)]
    if whole:
        rows.append([style.shares.astype(np.float64) for style in found.styles])
    return [_goal(row, theirs, weights) for row in rows]


def align(content: Floats, found: SoftMatch, goals: Goals) -> Floats:
    """Align the colors of each content region, and of the whole, with their goals; (3, H, W)."""
    luma = LUMA_SHARE["masks" if found.source == "masks" else "found"]
    weights = found.content.weights
    applied = _changed(weights, goals.kept)
    if goals.whole is not None:
        xp = namespace(weights)
        styled = [region for region in range(found.count) if goals.colors[region] is not None]
        everything = xp.sum(weights[styled], axis=0, keepdims=True)
        own = _changed(applied, goals.whole)
        rest = xp.sum(applied[styled] - own[styled], axis=0, keepdims=True)
        weights, applied = xp.concat([weights, everything]), xp.concat([own, rest])
    return align_colors(
        content, weights, *goals[:2], luma=luma, steady=goals.steady, applied=applied
    )


def _changed(weights: Floats, *held_back: Matrix | None) -> Floats:
    """Weights (K, H, W) of regions less the shares (K,) of them that are held back."""
    for shares in held_back:
        if shares is not None:
            weights = weights * like((1.0 - shares).astype(np.float32).reshape(-1, 1, 1), weights)
    return weights


def _goal(
    rows: Sequence[Matrix],
    styles: Sequence[Sequence[RegionColors | None]],
    weights: Sequence[float],
) -> RegionColors | None:
    """The colors that a content region takes from all styles; None without a partner.

    `rows` (J,) are the shares of each style's regions.
    """
    goals = [
        (weight, goal)
        for weight, row, colors in zip(weights, rows, styles, strict=True)
        if weight > 0.0 and (goal := _mixed(row, colors)) is not None
    ]
    if not goals:
        return None
    return average_colors([goal for _, goal in goals], [weight for weight, _ in goals])


def _mixed(row: Matrix, colors: Sequence[RegionColors | None]) -> RegionColors | None:
    """Colors of a mixture of style regions; None when every region in it is absent."""
    parts = [
        (one, float(share))
        for one, share in zip(colors, row, strict=True)
        if share > 0.0 and one is not None
    ]
    if not parts:
        return None
    return mix_colors([one for one, _ in parts], [share for _, share in parts])


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
    styles: Sequence[Floats | Preset],
    found: SoftMatch,
    weights: Sequence[float],
    transfer: SoftTransfer,
    strength: float,
    places: Collection[Place],
    shot: Shot | None,
    keys: Sequence[bytes],
    goals: Goals,
) -> Look:
    """Run WCT2 on the aligned content and apply a `strength` share, in (0, 1], of its change.

    The change fades toward the borders of regions, since coarse features mix both sides of a
    border, which glows; what regions leave to the whole photo is color alone. Where the partners
    are certain, the chroma is aligned with the `goals` once more. `keys` identify the styles with
    their regions.
    """
    parts = zip(styles, found.styles, found.couplings, weights, keys, strict=True)
    given = [_style(*part) for part in parts]
    result = transfer(aligned, as_bytes(found.content.weights), given, places=places, shot=shot)
    ours = found.content.weights
    share = strength * interior(ours)
    if goals.kept is not None or goals.whole is not None:
        share = share * namespace(ours).sum(_changed(ours, goals.kept, goals.whole), axis=0)
    mixed = aligned + share * (result.image - aligned)
    if found.source == "masks":
        image = align_chroma(mixed, ours, *goals[:2], steady=goals.steady)
    else:
        image = compress_range(mixed)
    return Look(image, result.style_cached)


def _style(
    style: Floats | Preset,
    regions: SoftRegions | Preset,
    coupling: Matrix,
    weight: float,
    key: bytes,
) -> SoftStyle | MeasuredStyle:
    if isinstance(style, Preset) or isinstance(regions, Preset):
        assert isinstance(style, Preset)  # noqa: S101 (it has its own regions)
        if not style.weights:
            raise InvalidOption(
                "The preset holds colors alone; expected the method color, or a preset that was"
                " measured for the method wct2."
            )
        return MeasuredStyle(style.file, coupling, weight)
    return SoftStyle(style, as_bytes(regions.weights), coupling, weight, key)


def _colors(style: Floats | Preset, regions: SoftRegions | Preset) -> _StyleColors:
    if isinstance(style, Preset) or isinstance(regions, Preset):
        assert isinstance(style, Preset)  # noqa: S101 (it has its own regions)
        return _StyleColors(style.colors)
    return _StyleColors(region_colors(style, regions.weights))


def as_bytes(weights: Floats) -> Any:
    """Quantize weights from 0..1 to uint8 0..255, the input format of `wct2`."""
    xp = namespace(weights)
    return xp.astype(xp.round(normalize_weights(weights, _SOLID) * 255.0), xp.uint8)

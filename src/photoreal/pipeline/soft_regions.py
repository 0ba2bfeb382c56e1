"""Soft regions of a request, their couplings with the styles, and the report for the caller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal import regions
from photoreal.arrays import Floats, to_host
from photoreal.errors import InvalidOption, NumericalError
from photoreal.options import MatchRule
from photoreal.pipeline.known_regions import KnownRegions
from photoreal.pipeline.request import FloatImage, Models
from photoreal.preprocess import Mask, Photo
from photoreal.regions import Pair, classes, soft
from photoreal.regions.coupling import Matrix, couple
from photoreal.regions.soft import RegionInfo, RegionPlan, SoftRegions

SEGMENT_PIXELS = 200_000
"""Maximum size at which photos are segmented, close to the training size of segmenters."""
_LEAST_SHARE = 0.005  # a smaller style region has no reliable statistics


@dataclass
class SoftMatch:
    """The regions of the content and of each style, and their couplings.

    `couplings` hold for each style the shares (K, J) of its regions in each content region's
    mix; a row of zeros leaves that content region unchanged. `plan` records how the content's
    regions were found.
    """

    content: SoftRegions
    styles: list[SoftRegions]
    source: str
    match: str
    couplings: list[Matrix]
    plan: RegionPlan | None = None

    def take(self, pairs: Sequence[Pair]) -> None:
        """Replace the coupling of the only style; raises InvalidOption for an absent region."""
        self.couplings = [_given(pairs, self.content, self.styles[0])]
        self.match = "given"


def find_soft(
    originals: Mapping[str, Photo],
    photos: Mapping[str, Floats],
    masks: Mapping[str, Mask] | None,
    models: Models | None,
    rule: MatchRule,
    *,
    mask_edges: bool,
    plan: RegionPlan | None = None,
    known: KnownRegions | None = None,
    keys: Mapping[str, bytes] | None = None,
) -> SoftMatch:
    """Find the regions of photos (3, H, W) in 0..1 at working size and couple them.

    Photos are keyed by role: "content", then the styles. Masks take precedence over the segmenter
    of `models`; without either, each photo is a single region. `plan` comes from the previous
    frame of the shot; `known` caches the regions of styles under their `keys`.
    """
    content, *styles = photos
    if masks is not None:
        names = tuple(regions.MASK_COLORS) if masks["content"].kind == "colors" else ()
        ours, *theirs = (
            soft.mask_regions(masks[role].labels, names, photos[role], edges=mask_edges)
            for role in photos
        )
        couplings = [_by_label(ours, style, rule) for style in theirs]
        return SoftMatch(ours, theirs, "masks", rule, couplings)
    if models is None or models.segment is None:
        ours, *theirs = (soft.whole_photo(photo) for photo in photos.values())
        return SoftMatch(ours, theirs, "whole", rule, [np.ones((1, 1)) for _ in theirs])

    def find(role: str, before: RegionPlan | None = None) -> tuple[SoftRegions, RegionPlan]:
        probabilities = segment_groups(models, originals[role], photos[role])
        return soft.find_regions(photos[role], probabilities, before)

    def of_style(role: str) -> SoftRegions:
        if known is None or keys is None:
            return find(role)[0]
        return known.get_by_key(keys[role], lambda: find(role)[0])

    ours, plan = find(content, plan)
    theirs = [of_style(role) for role in styles]
    if rule == "published":
        couplings = [_by_label(ours, style, rule) for style in theirs]
    else:
        couplings = [couple(ours.traits, s.traits, ours.shares, s.shares) for s in theirs]
    return SoftMatch(ours, theirs, "segmenter", rule, couplings, plan)


def segment_groups(models: Models, original: Photo, photo: Floats) -> FloatImage:
    """Group probabilities (groups, h, w), computed at the working size or smaller.

    Raises NumericalError when the segmenter returns non-finite values.
    """
    assert models.segment is not None  # noqa: S101 (for the type checker)
    _, height, width = photo.shape
    scale = math.sqrt(SEGMENT_PIXELS / (height * width))
    if scale < 1.0:
        small = original.resized(round(height * scale), round(width * scale))
    else:
        small = to_host(photo)
    probabilities = models.segment(small)
    if not np.isfinite(probabilities).all():
        raise NumericalError("the segmenter's probabilities are not finite; give masks instead.")
    return classes.group_probabilities(probabilities, models.segmenter_classes)


def _by_label(content: SoftRegions, style: SoftRegions, rule: MatchRule) -> Matrix:
    """Couple equal labels; with the rule "nearest" all other regions take the whole style."""
    if rule == "published":
        return _given(regions.match_published(content.labels, style.labels), content, style)
    usable = {
        info.label: index
        for index, (info, share) in enumerate(zip(style.infos, style.shares, strict=True))
        if share >= _LEAST_SHARE
    }
    pairs = [
        Pair(info.label, info.label if info.label in usable else None) for info in content.infos
    ]
    return _given(pairs, content, style)


def _given(pairs: Sequence[Pair], content: SoftRegions, style: SoftRegions) -> Matrix:
    """Coupling (K, J) from pairs of labels; the whole style is all its regions by area share."""
    ours = {info.label: index for index, info in enumerate(content.infos)}
    theirs = {info.label: index for index, info in enumerate(style.infos)}
    coupling = np.zeros((len(ours), len(theirs)))
    for label, partner in pairs:
        if partner is not None and partner not in theirs:
            raise InvalidOption(
                f"The pairs name the style region {partner}, which the style photo lacks at"
                " this size."
            )
        if label not in ours:
            continue
        if partner is None:
            coupling[ours[label]] = style.shares
        else:
            coupling[ours[label], theirs[partner]] = 1.0
    return coupling


def describe(found: SoftMatch, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Report for the caller: source of the regions, region pairs and stage times in seconds.

    With several styles, a pair's "style" is a list with one name per style, null where that
    style has no match for the region.
    """
    styled = [any(coupling[k].any() for coupling in found.couplings) for k in range(_count(found))]
    infos, listing = found.content.infos, _listing(found.content)
    partners = [
        [_partner(coupling[k], style) for coupling, style in _by_style(found)]
        for k in range(_count(found))
    ]
    height, width = found.content.weights.shape[1:]
    theirs = [_listing(style) for style in found.styles]
    return {
        "regions": found.source,
        "match": found.match,
        "pairs": [
            {
                "content": info.name,
                "style": names[0] if len(names) == 1 else names,
                "share": one["share"],
                "sure": one["sure"],
            }
            for info, one, names, has in zip(infos, listing, partners, styled, strict=True)
            if has
        ],
        "unstyled": [info.name for info, has in zip(infos, styled, strict=True) if not has],
        "content_regions": listing,
        "style_regions": theirs[0] if len(theirs) == 1 else theirs,
        "height": height,
        "width": width,
        "working_height": height,
        "working_width": width,
        "seconds": dict(seconds),
    }


def _count(found: SoftMatch) -> int:
    return len(found.content.infos)


def _by_style(found: SoftMatch) -> list[tuple[Matrix, SoftRegions]]:
    return list(zip(found.couplings, found.styles, strict=True))


def _partner(row: npt.NDArray[np.float64], style: SoftRegions) -> str | int | None:
    """Name of the style region with the largest share in a content region's mix."""
    if not row.any():
        return None
    if len(row) > 1 and np.allclose(row, style.shares, atol=1e-3):
        return "whole photo"
    return style.infos[int(row.argmax())].name


def _listing(found: SoftRegions) -> list[dict[str, Any]]:
    return [
        _region(info, float(share)) for info, share in zip(found.infos, found.shares, strict=True)
    ]


def _region(info: RegionInfo, share: float) -> dict[str, Any]:
    return {
        "label": info.label,
        "name": str(info.name),
        "share": round(share, 4),
        "sure": info.sure,
    }

"""Label-map regions of a request (from masks, the segmenter, or none) and their style pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from photoreal import regions
from photoreal.contract import MatchRule
from photoreal.errors import InvalidMask, InvalidOption
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.regions.soft import segment_groups
from photoreal.pipeline.request import FloatImage, Models, StylizeRequest
from photoreal.preprocess import Limits, Mask, Photo, decode_mask
from photoreal.regions import LabelMap, Pair, classes
from photoreal.regions.refine import refine_labels

Smooth = Callable[[FloatImage], FloatImage]
"""Temporally smooths the probabilities (groups, h, w) of a video frame."""


@dataclass
class LabelRegions:
    """Label maps at working size, their source, and the names of their labels.

    `styles` and `pairs` have one entry per style; each style is matched independently.
    """

    content: LabelMap
    styles: list[LabelMap]
    source: str
    match: MatchRule
    names: Sequence[str] = ()
    pairs: list[list[Pair]] = field(default_factory=list)
    pairs_given: bool = False

    def take(self, pairs: list[Pair]) -> None:
        """Replace the pairs of the only style; raises InvalidOption for an absent region."""
        there = set(np.unique(self.styles[0]).tolist())
        for _, label in pairs:
            if label is not None and label not in there:
                raise InvalidOption(
                    f"The pairs name the style region {label}, which the style photo lacks at"
                    " this size."
                )
        self.pairs, self.pairs_given = [pairs], True

    def listing(self, labels: LabelMap) -> list[dict[str, Any]]:
        """List the regions of a photo with their names and area shares."""
        counts = np.bincount(labels.ravel(), minlength=regions.LABELS)
        return [
            {
                "label": label,
                "name": str(self.name(label)),
                "share": round(float(counts[label]) / labels.size, 4),
            }
            for label in np.flatnonzero(counts).tolist()
        ]

    def name(self, label: int | None) -> str | int:
        """Human-readable name of a label, or the label if it has none."""
        if label is None:
            return "whole photo"
        return self.names[label] if label < len(self.names) else label


def decode_masks(
    request: StylizeRequest,
    photos: Mapping[str, Photo],
    limits: Limits,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Mask] | None:
    """Decode the masks of a request by role; returns None for a request without masks.

    `photos` are the decoded photos by role: "content", then the styles in order, without presets,
    which have regions already. Without a content, they are the styles to measure.
    `check` is called during decoding. Raises InvalidMask when a mask cannot be read, differs in
    size from its photo, or is of a different kind than the content's mask.
    """
    style_masks = request.style_masks or []
    files = [*style_masks] if request.content_mask is None else [request.content_mask, *style_masks]
    if not files:
        return None
    styles = len(photos) - (request.content_mask is not None)
    if len(style_masks) != styles:
        raise InvalidMask(
            f"There are {len(style_masks)} style masks for {styles} style photos;"
            " expected one for each."
        )
    masks = {
        role: decode_mask(file, f"{role} mask", limits, check)
        for role, file in zip(photos, files, strict=True)
    }
    for role, mask in masks.items():
        height, width = photos[role].shape
        if mask.labels.shape != (height, width):
            tall, wide = mask.labels.shape
            raise InvalidMask(
                f"The {role} mask is {wide}x{tall} pixels but the {role} photo is"
                f" {width}x{height}; expected the same size."
            )
    if len({mask.kind for mask in masks.values()}) > 1:
        raise InvalidMask(
            "One mask is gray (its values are labels) and the other has colors; expected both"
            " of the same kind."
        )
    return masks


def find_regions(
    originals: Mapping[str, Photo],
    photos: Mapping[str, FloatImage],
    masks: Mapping[str, Mask] | None,
    models: Models | None,
    rule: MatchRule | None,
    smooth: Smooth | None = None,
    known: KnownRegions | None = None,
) -> LabelRegions:
    """Find label maps at the photos' working sizes and pair their regions.

    `originals` are the photos as received, `photos` the same at working size, by role: "content",
    then the styles. Masks take precedence over the segmenter of `models`; without either, each
    photo is a single region. `rule` None selects the default matching rule for the source of the
    regions. `smooth` is applied to the content's group probabilities; `known` caches the label
    maps of styles.
    """
    sizes = {role: (photo.shape[1], photo.shape[2]) for role, photo in photos.items()}
    kinship = None
    if masks is not None:
        content, *styles = (
            regions.resize_labels(masks[role].labels, *sizes[role]) for role in sizes
        )
        names = tuple(regions.MASK_COLORS) if masks["content"].kind == "colors" else ()
        found = LabelRegions(content, styles, "masks", rule or "published", names)
    elif models is not None and models.segment is not None:
        finders = {role: partial(_segment, models, originals[role], photos[role]) for role in sizes}
        content = finders.pop("content")(smooth)
        styles = [
            find() if known is None else known.get(photos[role], find, "labels")
            for role, find in finders.items()
        ]
        found = LabelRegions(content, styles, "segmenter", rule or "nearest", classes.GROUPS)
        kinship = classes.KINSHIP
    else:
        content, *styles = (np.zeros(size, dtype=np.uint8) for size in sizes.values())
        found = LabelRegions(content, styles, "whole", rule or "published", ("whole photo",))
        found.pairs = [[Pair(0, None)] for _ in styles]
        return found
    for style in found.styles:
        if found.match == "published":
            found.pairs.append(regions.match_published(found.content, style))
        else:
            found.pairs.append(regions.match_nearest(found.content, style, kinship))
    return found


def _segment(
    models: Models,
    original: Photo,
    photo: FloatImage,
    smooth: Smooth | None = None,
) -> LabelMap:
    """Label map of class groups at the photo's working size."""
    groups = segment_groups(models, original, photo)
    if smooth is not None:
        groups = smooth(groups)
    return refine_labels(groups, photo, classes.SKY)


def describe(found: LabelRegions, seconds: dict[str, float]) -> dict[str, Any]:
    """Report for the caller: source of the regions, region pairs and stage times in seconds.

    With several styles, a pair's "style" is a list with one name per style, null where that
    style has no match for the region.
    """
    counts = np.bincount(found.content.ravel(), minlength=regions.LABELS)
    styles = [found.listing(style) for style in found.styles]
    partners = [{pair.content: found.name(pair.style) for pair in pairs} for pairs in found.pairs]
    paired = sorted(set().union(*partners)) if len(partners) > 1 else list(partners[0])
    return {
        "regions": found.source,
        "match": "given" if found.pairs_given else found.match,
        "pairs": [
            {
                "content": found.name(label),
                "style": partners[0][label]
                if len(partners) == 1
                else [partner.get(label) for partner in partners],
                "share": round(float(counts[label]) / found.content.size, 4),
            }
            for label in paired
        ],
        "unstyled": [found.name(i) for i in np.flatnonzero(counts).tolist() if i not in paired],
        "content_regions": found.listing(found.content),
        "style_regions": styles[0] if len(styles) == 1 else styles,
        "height": found.content.shape[0],
        "width": found.content.shape[1],
        "working_height": found.content.shape[0],
        "working_width": found.content.shape[1],
        "seconds": seconds,
    }

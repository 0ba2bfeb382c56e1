"""The regions of a request (from masks, by the segmenter, or none), and who takes whose style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal import classes, regions
from photoreal.contract import MatchRule
from photoreal.errors import InvalidMask
from photoreal.preprocess import Limits, Mask, decode_mask, resize_photo
from photoreal.refine import refine_labels
from photoreal.regions import LabelMap, Pair
from photoreal.serve.request import FloatImage, Models, StylizeRequest

SEGMENT_PIXELS = 200_000
"""Photos are segmented at no more than this: segmenters are trained at about such sizes."""


@dataclass
class FoundRegions:
    """Label maps at working size, how they were found, and what their labels are called."""

    content: LabelMap
    style: LabelMap
    source: str
    match: MatchRule
    names: Sequence[str] = ()
    pairs: list[Pair] = field(default_factory=list)

    def name(self, label: int | None) -> str | int:
        """What a person calls a label."""
        if label is None:
            return "whole photo"
        return self.names[label] if label < len(self.names) else label


def decode_masks(
    request: StylizeRequest, photos: dict[str, npt.NDArray[np.uint8]], limits: Limits
) -> dict[str, Mask] | None:
    """Both masks by role ("content", "style"), or None for a request without any.

    `photos` are the decoded photos (H, W, 3) by role. Raises InvalidMask when a mask cannot be
    read, has another size than its photo or is of another kind than the other.
    """
    if request.content_mask is None or request.style_mask is None:
        return None
    masks = {
        "content": decode_mask(request.content_mask, "content mask", limits),
        "style": decode_mask(request.style_mask, "style mask", limits),
    }
    for role, mask in masks.items():
        height, width = photos[role].shape[:2]
        if mask.labels.shape != (height, width):
            tall, wide = mask.labels.shape
            raise InvalidMask(
                f"The {role} mask is {wide}x{tall} pixels but the {role} photo is"
                f" {width}x{height}; expected the same size."
            )
    if masks["content"].kind != masks["style"].kind:
        raise InvalidMask(
            "One mask is gray (its values are labels) and the other has colors; expected both"
            " of the same kind."
        )
    return masks


def find_regions(
    originals: dict[str, npt.NDArray[np.uint8]],
    photos: dict[str, FloatImage],
    masks: dict[str, Mask] | None,
    models: Models | None,
    rule: MatchRule | None,
) -> FoundRegions:
    """Label maps at the photos' working sizes, and the pairs of regions.

    `originals` are the photos as they came, `photos` at working size, by role. Masks come first,
    then the segmenter of `models`; without either each photo is one region. `rule` None is the
    usual rule of matching for where the regions came from.
    """
    sizes = {role: (photo.shape[1], photo.shape[2]) for role, photo in photos.items()}
    kinship = None
    if masks is not None:
        content, style = (regions.resize_labels(masks[role].labels, *sizes[role]) for role in sizes)
        names = tuple(regions.MASK_COLORS) if masks["content"].kind == "colors" else ()
        found = FoundRegions(content, style, "masks", rule or "published", names)
    elif models is not None and models.segment is not None:
        content, style = (_segment(models, originals[role], photos[role]) for role in sizes)
        found = FoundRegions(content, style, "segmenter", rule or "nearest", classes.GROUPS)
        kinship = classes.KINSHIP
    else:
        content, style = (np.zeros(sizes[role], dtype=np.uint8) for role in sizes)
        found = FoundRegions(content, style, "whole", rule or "published", ("whole photo",))
        found.pairs = [Pair(0, None)]
        return found
    if found.match == "published":
        found.pairs = regions.match_published(found.content, found.style)
    else:
        found.pairs = regions.match_nearest(found.content, found.style, kinship)
    return found


def _segment(models: Models, original: npt.NDArray[np.uint8], photo: FloatImage) -> LabelMap:
    """Groups of classes at the photo's working size, found at that size or at a smaller one."""
    assert models.segment is not None  # noqa: S101 (tells the type checker)
    _, height, width = photo.shape
    scale = math.sqrt(SEGMENT_PIXELS / (height * width))
    small = photo
    if scale < 1.0:
        small = resize_photo(original, round(height * scale), round(width * scale))
    groups = classes.group_probabilities(models.segment(small), models.segmenter_classes)
    return refine_labels(groups, photo, classes.SKY)


def describe(found: FoundRegions, seconds: dict[str, float]) -> dict[str, Any]:
    """What was done, for the caller: regions' source, who took whose style, stage times."""
    counts = np.bincount(found.content.ravel(), minlength=256)
    paired = {pair.content for pair in found.pairs}
    return {
        "regions": found.source,
        "match": found.match,
        "pairs": [
            {
                "content": found.name(pair.content),
                "style": found.name(pair.style),
                "share": round(float(counts[pair.content]) / found.content.size, 4),
            }
            for pair in found.pairs
        ],
        "unstyled": [found.name(i) for i in np.flatnonzero(counts).tolist() if i not in paired],
        "height": found.content.shape[0],
        "width": found.content.shape[1],
        "working_height": found.content.shape[0],
        "working_width": found.content.shape[1],
        "seconds": seconds,
    }

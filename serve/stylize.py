"""The work of the `stylize` model: bytes in, bytes out; no Triton and no torch here.

The models that it needs are handed in as functions (`Models`), so the adapter inside Triton
wires them to server calls and a test to the networks themselves.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from photoreal import classes, options, regions
from photoreal.contract import (
    DEFAULT_ALPHA,
    DEFAULT_BLEND,
    DEFAULT_SIZE,
    DEFAULT_TRANSFER_AT,
    MatchRule,
    Place,
)
from photoreal.errors import InvalidMask
from photoreal.preprocess import (
    Limits,
    Mask,
    check_size,
    check_working_size,
    decode_mask,
    decode_photo,
    encode_labels,
    encode_photo,
    resize_photo,
    working_size,
)
from photoreal.refine import refine_labels
from photoreal.regions import LabelMap, Pair

SEGMENT_PIXELS = 200_000
"""Photos are segmented at no more than this: segmenters are trained at about such sizes."""

FloatImage = npt.NDArray[np.float32]  # (3, H, W) in 0..1


@dataclass(frozen=True)
class StylizeRequest:
    """One request as it arrives; images are encoded files."""

    content: bytes
    style: bytes
    content_mask: bytes | None = None
    style_mask: bytes | None = None
    alpha: float = DEFAULT_ALPHA
    size: int = DEFAULT_SIZE
    transfer_at: str = DEFAULT_TRANSFER_AT
    segment: bool = True
    match: str | None = None
    blend: int | None = None


@dataclass(frozen=True)
class StylizeResponse:
    """The stylized photo as PNG, the label maps that were used, and a report as JSON.

    The photo has the working size; label maps are gray PNGs at the size of their photos.
    `seconds` are those of the report, by stage.
    """

    image: bytes
    content_labels: bytes
    style_labels: bytes
    report: str
    seconds: dict[str, float]


class Transferred(NamedTuple):
    """The stylized content (3, H, W), and whether the style was known from before."""

    image: FloatImage
    style_cached: bool = False


class Transfer(Protocol):
    """The `wct2` model."""

    def __call__(
        self,
        content: FloatImage,
        style: FloatImage,
        content_labels: LabelMap,
        style_labels: LabelMap,
        *,
        pairs: Sequence[Pair],
        alpha: float,
        places: Collection[Place],
        blend: int,
    ) -> Transferred:
        """Stylize the content."""


@dataclass(frozen=True)
class Models:
    """The models that a request needs; without a segmenter, photos are one region each.

    `segment` gives the probabilities (classes, h, w) of an image, coarser than it.
    """

    transfer: Transfer
    segment: Callable[[FloatImage], FloatImage] | None = None
    segmenter_classes: tuple[str, ...] = ()


@dataclass
class _Regions:
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


class _Stopwatch:
    """Seconds spent in the named stages of one request."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.perf_counter() - self._start, 4)}


def stylize(request: StylizeRequest, models: Models, limits: Limits) -> StylizeResponse:
    """Serve one request.

    Raises InvalidRequest (InvalidImage, InvalidMask, InvalidOption) when the caller has to
    change something.
    """
    watch = _Stopwatch()
    check_size(request.size, limits)
    alpha = options.check_alpha(request.alpha)
    places = options.parse_places(request.transfer_at)
    rule = options.parse_match(request.match) if request.match is not None else None
    blend = options.check_blend(request.blend) if request.blend is not None else None
    if (request.content_mask is None) != (request.style_mask is None):
        given, lacking = (
            ("content", "style") if request.style_mask is None else ("style", "content")
        )
        raise InvalidMask(f"There is a {given} mask but no {lacking} mask; give both or none.")
    originals = {
        "content": decode_photo(request.content, "content photo", limits),
        "style": decode_photo(request.style, "style photo", limits),
    }
    photos = {}
    for role, photo in originals.items():
        height, width = photo.shape[:2]
        check_working_size(height, width, request.size, f"{role} photo", limits)
        photos[role] = resize_photo(photo, *working_size(height, width, request.size))
    masks = _decode_masks(request, originals, limits)
    watch.lap("decode")
    found = _find_regions(originals, photos, masks, models if request.segment else None, rule)
    watch.lap("segment")
    result = models.transfer(
        photos["content"],
        photos["style"],
        found.content,
        found.style,
        pairs=found.pairs,
        alpha=alpha,
        places=places,
        blend=DEFAULT_BLEND[found.match] if blend is None else blend,
    )
    watch.lap("transfer")
    image = encode_photo(result.image)
    # At the photos' own size, label maps can be given back as their masks.
    labels = [
        encode_labels(regions.resize_labels(used, *originals[role].shape[:2]))
        for role, used in (("content", found.content), ("style", found.style))
    ]
    watch.lap("encode")
    seconds = watch.total()
    report = _report(found, seconds)
    report["style"] = "cached" if result.style_cached else "measured"
    return StylizeResponse(image, labels[0], labels[1], json.dumps(report), seconds)


def _decode_masks(
    request: StylizeRequest, photos: dict[str, npt.NDArray[np.uint8]], limits: Limits
) -> dict[str, Mask] | None:
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


def _find_regions(
    originals: dict[str, npt.NDArray[np.uint8]],
    photos: dict[str, FloatImage],
    masks: dict[str, Mask] | None,
    models: Models | None,
    rule: MatchRule | None,
) -> _Regions:
    sizes = {role: (photo.shape[1], photo.shape[2]) for role, photo in photos.items()}
    kinship = None
    if masks is not None:
        content, style = (regions.resize_labels(masks[role].labels, *sizes[role]) for role in sizes)
        names = tuple(regions.MASK_COLORS) if masks["content"].kind == "colors" else ()
        found = _Regions(content, style, "masks", rule or "published", names)
    elif models is not None and models.segment is not None:
        content, style = (_segment(models, originals[role], photos[role]) for role in sizes)
        found = _Regions(content, style, "segmenter", rule or "nearest", classes.GROUPS)
        kinship = classes.KINSHIP
    else:
        content, style = (np.zeros(sizes[role], dtype=np.uint8) for role in sizes)
        found = _Regions(content, style, "whole", rule or "published", ("whole photo",))
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


def _report(found: _Regions, seconds: dict[str, float]) -> dict[str, Any]:
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
        "seconds": seconds,
    }

"""Measurement of the results for one photo pair, whatever method made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pictures import LIMITS
from PIL import Image

from judging.metrics import RESIDUAL_SIDE, residual, structure_kept, style_distance, style_goals
from judging.pairs import InvalidPair, PhotoPair
from photoreal.color.spaces import lab
from photoreal.preprocess import decode_mask, resize_photo
from photoreal.regions import LabelMap, Pair, match_published, resize_labels


@dataclass(frozen=True)
class Measures:
    """The measures of one result.

    structure: `structure_kept` of content and result, up to 1.
    style: `style_distance` of the result to the style over the drawn regions, in CIELAB.
    residual, p99: mean and 99th percentile of `residual` over the picture, in 8-bit levels.
    """

    structure: float
    style: float
    residual: float
    p99: float


class Judge:
    """Measures results of one pair at the content's size.

    Regions are those of the drawn masks, paired by the published rule, whatever regions the
    method used; a pair without masks, or without matching ones, is one region.

    Raises InvalidPair for a content with a side below 17 pixels.
    """

    def __init__(self, pair: PhotoPair) -> None:
        self._content, self._style = pair.photos()
        self._size = self._content.shape[:2]
        if min(self._size) < RESIDUAL_SIDE:
            raise InvalidPair(
                f"Pair {pair.name!r}: The content photo has a side below {RESIDUAL_SIDE} pixels;"
                " expected a larger one."
            )
        self._labels, style_labels, pairs = self._regions(pair)
        style = resize_photo(self._style, *self._style.shape[:2])
        self._goals = style_goals(lab(style), style_labels, pairs)

    def measure(self, result: Image.Image) -> Measures:
        """Measure a result; if its size differs, it is resized to the content's (Lanczos)."""
        content = resize_photo(self._content, *self._size)
        picture = resize_photo(np.asarray(result.convert("RGB")), *self._size)
        left = residual(content, picture)
        return Measures(
            structure_kept(content, picture),
            style_distance(lab(picture), self._labels, self._goals),
            float(left.mean()),
            float(np.percentile(left, 99)),
        )

    def _regions(self, pair: PhotoPair) -> tuple[LabelMap, LabelMap, list[Pair]]:
        masks = (pair.content_mask, pair.style_mask)
        content, style = (
            np.zeros(photo.shape[:2], np.uint8)
            if mask is None
            else resize_labels(decode_mask(mask, "mask", LIMITS).labels, *photo.shape[:2])
            for mask, photo in zip(masks, (self._content, self._style), strict=True)
        )
        pairs = match_published(content, style)
        if not pairs:
            content = np.zeros_like(content)
        return content, style, pairs or [Pair(0, None)]

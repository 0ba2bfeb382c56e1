"""Label maps: hand-drawn masks, resizing, and matching of content and style regions.

A label map is a (H, W) uint8 array with one label per pixel. Two rules match the regions of two
label maps:

- "published": the rule of the WCT2 code, for hand-drawn masks. A label is used when both photos
  have enough of it; other content pixels keep their own features.
- "nearest": for automatic masks. No content region stays unstyled: when the style photo lacks
  its class, it takes the closest class that is present, or else the whole style photo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import InvalidMask, InvalidOption

LabelMap = npt.NDArray[np.uint8]
LABELS = 256
"""Number of labels that a map can hold."""

MASK_COLORS: dict[str, tuple[int, int, int]] = {
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "grey": (128, 128, 128),
    "light blue": (0, 255, 255),
    "purple": (255, 0, 255),
}
"""The nine published mask colors; the index of a color is its label."""

MAX_REGIONS = 64
"""Maximum number of distinct labels; more indicate a photo or a lossy copy, not a mask."""

_PUBLISHED_MIN_PIXELS = 10
_PUBLISHED_MAX_RATIO = 100
_NEAREST_MIN_SHARE = 0.005  # a smaller style region has no reliable statistics
_DEEPEST_STRIDE = 8


class Pair(NamedTuple):
    """A content label and the style label that it takes; None is the whole style photo."""

    content: int
    style: int | None


def labels_from_colors(mask: npt.NDArray[np.uint8]) -> LabelMap:
    """Convert a color mask (H, W, 3) uint8 to a label map (H, W) by nearest published color."""
    packed = mask.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    # A mask has few distinct colors, even with blurred edges: classify each of them once.
    found, inverse = np.unique(packed, return_inverse=True)
    colors = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1).astype(np.int32)
    palette = np.array(list(MASK_COLORS.values()), dtype=np.int32)
    distance = ((colors[:, None, :] - palette[None, :, :]) ** 2).sum(axis=2)
    nearest: LabelMap = distance.argmin(axis=1).astype(np.uint8)
    return nearest[inverse].reshape(mask.shape[:2])


def check_label_count(labels: LabelMap, most: int = MAX_REGIONS) -> None:
    """Raise InvalidMask when a mask has more than `most` distinct labels."""
    count = np.count_nonzero(np.bincount(labels.ravel(), minlength=LABELS))
    if count > most:
        raise InvalidMask(
            f"The mask has {count} different labels, more than the {most} allowed;"
            " a mask holds one flat value or color a region."
        )


def resize_labels(labels: LabelMap, height: int, width: int) -> LabelMap:
    """Resize a label map by nearest neighbor; always pass the full-size map."""
    if labels.shape == (height, width):
        return labels
    resized = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized)


def match_published(content: LabelMap, style: LabelMap) -> list[Pair]:
    """Pairs by the published rule, for label maps at working size.

    A label is used when both maps have more than 10 pixels of it and neither count is 100 times
    the other or more.
    """
    pairs = []
    counts = zip(_counts(content), _counts(style), strict=True)
    for label, (ours, theirs) in enumerate(counts):
        enough = min(ours, theirs) > _PUBLISHED_MIN_PIXELS
        if enough and max(ours, theirs) < _PUBLISHED_MAX_RATIO * min(ours, theirs):
            pairs.append(Pair(label, label))
    return pairs


def match_nearest(
    content: LabelMap, style: LabelMap, kinship: Mapping[int, Sequence[int]] | None = None
) -> list[Pair]:
    """Pairs that leave no content region unstyled.

    `kinship` maps a label to its related labels, the closest first. A style region can be used
    when it covers at least half a percent of the photo and is still present at the size of the
    deepest features. A label without one takes the region of its closest related label, or else
    the whole style photo.
    """
    height, width = style.shape
    deepest = _counts(
        resize_labels(style, max(height // _DEEPEST_STRIDE, 1), max(width // _DEEPEST_STRIDE, 1))
    )
    enough = _counts(style) >= _NEAREST_MIN_SHARE * style.size
    usable = {int(label) for label in np.flatnonzero(enough & (deepest > 0))}
    pairs = []
    for label in np.flatnonzero(_counts(content)).tolist():
        candidates = (label, *(kinship or {}).get(label, ()))
        pairs.append(Pair(label, next((kin for kin in candidates if kin in usable), None)))
    return pairs


def given_pairs(rows: Iterable[tuple[int, int | None]]) -> list[Pair]:
    """Validate pairs given by a caller: content label, style label (-1 or None: whole style).

    Raises InvalidOption for a label out of range, for a repeated content label, and for too many
    content labels.
    """
    given = [(ours, -1 if theirs is None else theirs) for ours, theirs in rows]
    for ours, theirs in given:
        if not (0 <= ours < LABELS and -1 <= theirs < LABELS):
            raise InvalidOption(
                f"The pairs hold the labels {ours} and {theirs}; expected a content label from 0"
                f" to {LABELS - 1} and a style label likewise, or -1 for the whole style photo."
            )
    pairs = [Pair(ours, None if theirs < 0 else theirs) for ours, theirs in given]
    if len({pair.content for pair in pairs}) < len(pairs) or len(pairs) > MAX_REGIONS:
        raise InvalidOption(
            f"The pairs name a content label twice or more than {MAX_REGIONS} of them;"
            " expected each once."
        )
    return pairs


def _counts(labels: LabelMap) -> npt.NDArray[np.int64]:
    return np.bincount(labels.ravel(), minlength=LABELS)

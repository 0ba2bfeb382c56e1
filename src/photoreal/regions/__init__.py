"""Regions of a photo: label maps, masks, soft regions, and matching them between photos."""

from photoreal.regions.labels import (
    LABELS,
    MASK_COLORS,
    MAX_REGIONS,
    LabelMap,
    Pair,
    check_label_count,
    given_pairs,
    labels_from_colors,
    match_nearest,
    match_published,
    resize_labels,
)

__all__ = [
    "LABELS",
    "MASK_COLORS",
    "MAX_REGIONS",
    "LabelMap",
    "Pair",
    "check_label_count",
    "given_pairs",
    "labels_from_colors",
    "match_nearest",
    "match_published",
    "resize_labels",
]

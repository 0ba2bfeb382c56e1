"""Transfer by soft regions, the counterpart of `photoreal.transfer.progressive` for label maps.

A style is measured region by region, then coupled with the content: each content region takes a
mixture of the style's regions. The content's features are transformed by the weighted maps of its
regions (`photoreal.transfer.soft_transform`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.arrays import Floats
from photoreal.contract import PLACES, Place
from photoreal.transfer.progressive import (
    Engine,
    LevelPlace,
    Steady,
    StyleMeasures,
    cropped,
    measure_places,
    padded,
    places_statistics,
    transform_places,
)
from photoreal.transfer.soft_transform import SoftMeasure, SoftTransform
from photoreal.transfer.whitening import Moments, mixture


class SoftImage(NamedTuple):
    """An image (1, 3, H, W) in 0..1 and its region weights (K, H, W), which sum to 1 per pixel.

    `key` identifies both in a cache; without one their values are hashed.
    """

    image: Tensor
    weights: Floats
    key: bytes = b""


SoftMeasures = dict[LevelPlace, dict[int, Moments]]
"""Moments of a style's soft regions by place."""


@torch.inference_mode()
def measure_soft(
    style: SoftImage, engine: Engine, *, places: Collection[Place] = PLACES
) -> SoftMeasures:
    """Measure the moments of a style's soft regions at every place, in one pass.

    The pass is no deeper than the places require.

    Raises InvalidOption when the image is too small.
    """
    image, weights = _pad_soft(style)
    return measure_places(image, SoftMeasure(weights), engine, places) if places else {}


def couple_measures(measures: SoftMeasures, coupling: npt.NDArray[np.float64]) -> StyleMeasures:
    """Compute statistics for the content's regions from the moments of a style's soft regions.

    `coupling` (K, J) is the share of each style region in the mix of a content region. A content
    region whose partners have all vanished at a place has no entry there.
    """
    mixed: dict[LevelPlace, dict[int, Moments]] = {}
    for place, found in measures.items():
        mixed[place] = {}
        for region, row in enumerate(coupling):
            shares = [(float(row[j]), moment) for j, moment in found.items() if row[j] > 0.0]
            if shares:
                mixed[place][region] = mixture(shares)
    return places_statistics(mixed)


@torch.inference_mode()
def apply_soft(
    content: SoftImage,
    measures: StyleMeasures,
    engine: Engine,
    *,
    alpha: float = 1.0,
    places: Collection[Place] = PLACES,
    steady: Steady | None = None,
) -> Tensor:
    """`apply_style` for soft regions; `measures` by content region come from `couple_measures`."""
    image, weights = _pad_soft(content)
    result = transform_places(
        image, SoftTransform(weights, alpha), measures, engine, places, steady
    )
    return cropped(result, content.image)


def _pad_soft(picture: SoftImage) -> tuple[Tensor, Floats]:
    image, (below, right) = padded(picture.image)
    weights = picture.weights
    if isinstance(weights, Tensor):
        weights = F.pad(weights[None], (0, right, 0, below), mode="reflect")[0]
    else:
        weights = np.pad(weights, ((0, 0), (0, below), (0, right)), mode="reflect")
    return image, weights

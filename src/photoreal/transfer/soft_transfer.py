"""Transfer by soft regions, the counterpart of `photoreal.transfer.progressive` for label maps.

A style is measured region by region, then coupled with the content: each content region takes a
mixture of the style's regions. The content's features are transformed by the weighted maps of its
regions (`photoreal.transfer.soft_transform`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal import devices
from photoreal.arrays import Floats
from photoreal.contract import SOFT_PLACES, Place
from photoreal.transfer.padding import cropped, padded
from photoreal.transfer.progressive import (
    Engine,
    LevelPlace,
    Steady,
    StyleMeasures,
    measure_places,
    places_statistics,
    transform_places,
)
from photoreal.transfer.roots import batch_roots
from photoreal.transfer.soft_transform import SoftMeasure, SoftTransform
from photoreal.transfer.whitening import Moments, StyleStatistics, mixture


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
    style: SoftImage, engine: Engine, *, places: Collection[Place] = SOFT_PLACES
) -> SoftMeasures:
    """Measure the moments of a style's soft regions at every place, in one pass.

    The pass is no deeper than the places require.

    Raises InvalidOption when the image is too small.
    """
    image, weights = _pad_soft(style)
    if not places:
        return {}
    return measure_places(image, SoftMeasure(weights), engine, places, engine.depth)


def couple_measures(measures: SoftMeasures, coupling: npt.NDArray[np.float64]) -> StyleMeasures:
    """Compute statistics for the content's regions from the moments of a style's soft regions.

    `coupling` (K, J) is the share of each style region in the mix of a content region. A content
    region whose partners have all vanished at a place has no entry there.
    """
    every = (moment for found in measures.values() for moment in found.values())
    if any(devices.is_queued(moment.mean.device) for moment in islice(every, 1)):
        return _coupled_together(measures, coupling)
    mixed: dict[LevelPlace, dict[int, Moments]] = {}
    for place, found in measures.items():
        mixed[place] = {}
        for region, row in enumerate(coupling):
            shares = [(float(row[j]), moment) for j, moment in found.items() if row[j] > 0.0]
            if shares:
                mixed[place][region] = mixture(shares)
    return places_statistics(mixed)


def _coupled_together(measures: SoftMeasures, coupling: npt.NDArray[np.float64]) -> StyleMeasures:
    """`couple_measures` on a GPU: all places of as many channels in one batch."""
    coupled: StyleMeasures = {place: {} for place in measures}
    some = {place: next(iter(found.values())) for place, found in measures.items() if found}
    for channels in {len(moment.mean) for moment in some.values()}:
        places = [place for place, moment in some.items() if len(moment.mean) == channels]
        parts, shares = [], []
        for place in places:
            found = measures[place]
            regions = range(coupling.shape[1])
            parts += [found.get(region, some[place]) for region in regions]
            shares.append(coupling * [region in found for region in regions])
        total = np.stack(shares).sum(axis=2, keepdims=True)
        mean, root = _mixtures(parts, np.stack(shares) / np.where(total > 0.0, total, 1.0))
        for place, means, roots, present in zip(places, mean, root, total[:, :, 0], strict=True):
            for region in np.flatnonzero(present).tolist():
                coupled[place][region] = StyleStatistics(means[region], roots[region])
    return coupled


def _mixtures(parts: Sequence[Moments], shares: npt.NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Means (P, K, C, 1) and coloring roots (P, K, C, C) of mixtures of P x J parts.

    `shares` (P, K, J) are the parts' shares in each mixture, which sum to 1 or are all 0.
    """
    places, count, regions = shares.shape
    shape = places, regions, -1
    means = torch.stack([part.mean for part in parts]).view(shape)
    spreads = torch.stack([part.covariance for part in parts]).view(shape)
    weights = devices.send(torch.from_numpy(shares).to(means.dtype), means.device)
    mean = weights @ means
    shift = (means[:, None] - mean[:, :, None]).flatten(0, 1)
    covariance = (weights @ spreads).view(places * count, *parts[0].covariance.shape)
    covariance.baddbmm_((shift * weights.flatten(0, 1)[:, :, None]).mT, shift)
    return mean[..., None], batch_roots(covariance).view(*mean.shape, -1)


@torch.inference_mode()
def apply_soft(
    content: SoftImage,
    measures: StyleMeasures,
    engine: Engine,
    *,
    alpha: float = 1.0,
    places: Collection[Place] = SOFT_PLACES,
    steady: Steady | None = None,
) -> Tensor:
    """`apply_style` for soft regions; `measures` by content region come from `couple_measures`."""
    image, weights = _pad_soft(content)
    transform = SoftTransform(weights, alpha)
    result = transform_places(image, transform, measures, engine, places, steady, engine.depth)
    return cropped(result, content.image)


def _pad_soft(picture: SoftImage) -> tuple[Tensor, Floats]:
    image, (below, right) = padded(picture.image)
    weights = picture.weights
    if isinstance(weights, Tensor):
        weights = F.pad(weights[None], (0, right, 0, below), mode="reflect")[0]
    else:
        weights = np.pad(weights, ((0, 0), (0, below), (0, right)), mode="reflect")
    return image, weights

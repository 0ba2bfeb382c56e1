"""LRU cache of style statistics.

A style enters the transfer only through its statistics (`StyleMeasures`), at most a few megabytes,
but its pass through the networks is a good part of a request's work. Presets, video frames and
batches reuse the same style many times.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import cast

import numpy as np
import torch
from torch import Tensor

from photoreal.contract import PLACES, Place
from photoreal.pipeline.wct2.measures_file import measures_at, read_measures
from photoreal.transfer.padding import MIN_SIDE
from photoreal.transfer.progressive import (
    Engine,
    LabelledImage,
    StyleMeasures,
    measure_style,
)
from photoreal.transfer.soft_transfer import SoftImage, SoftMeasures, measure_soft
from photoreal.transfer.whitening import Moments, StyleStatistics


class StyleCache:
    """Measures of the most recently used styles, up to `limit` bytes; 0 disables the cache.

    A cache belongs to one engine: the networks' weights are not part of the cache key. `weights`
    returns what identifies them in presets (`photoreal.weights.networks.fingerprint`).
    """

    def __init__(self, limit: int, weights: Callable[[], str] = lambda: "unnamed") -> None:
        self._limit = limit
        self.weights = weights
        self._entries: OrderedDict[bytes, StyleMeasures | SoftMeasures] = OrderedDict()
        self.bytes = 0
        """Total size of the cached measures in bytes."""

    def measure(
        self,
        style: LabelledImage,
        wanted: Collection[int | None],
        engine: Engine,
        places: Collection[Place],
    ) -> tuple[StyleMeasures, bool]:
        """Return the measures of a style, and whether they came from the cache.

        They hold at least the `wanted` regions (None is the whole photo). On a miss every region
        of the style is measured, since the next content may need others.
        """
        present: set[int | None] = set(np.unique(style.labels).tolist())
        wanted = {label for label in wanted if label is None or label in present}
        if not self._limit or not wanted or not places:
            return measure_style(style, wanted, engine, places=places), False
        key = _key(style, places)
        known = cast("StyleMeasures | None", self._entries.get(key))
        if known is not None and _labels(known) >= wanted:
            self._entries.move_to_end(key)
            return known, True
        labels = wanted | present
        if known is not None:
            labels |= _labels(known)
        measures = measure_style(style, labels, engine, places=places)
        self._keep(key, measures)
        return measures, False

    def measure_soft(
        self, style: SoftImage, engine: Engine, places: Collection[Place]
    ) -> tuple[SoftMeasures, bool]:
        """Return the moments of a style's soft regions, and whether they came from the cache."""
        if not self._limit or not places:
            return measure_soft(style, engine, places=places), False
        key, every = _key(style, places), _key(style, PLACES)
        if key in self._entries:
            self._entries.move_to_end(key)
            return cast("SoftMeasures", self._entries[key]), True
        if every in self._entries:  # measured for a preset
            self._entries.move_to_end(every)
            known = cast("SoftMeasures", self._entries[every])
            return measures_at(known, places, engine.depth), True
        measures = measure_soft(style, engine, places=places)
        self._keep(key, measures)
        return measures, False

    def read(self, file: bytes, engine: Engine, places: Collection[Place]) -> SoftMeasures:
        """Return the moments in a preset, which is read once.

        Raises InvalidOption for a damaged preset and one of other weights.
        """
        key = hashlib.blake2b(file, digest_size=32).digest()
        known = cast("SoftMeasures | None", self._entries.get(key))
        if known is None:
            known = read_measures(file, self.weights(), _device(engine), engine.depth)
            self._keep(key, known)
        else:
            self._entries.move_to_end(key)
        return measures_at(known, places, engine.depth)

    def _keep(self, key: bytes, measures: StyleMeasures | SoftMeasures) -> None:
        if key in self._entries:
            self.bytes -= _size(self._entries.pop(key))
        self._entries[key] = measures
        self.bytes += _size(measures)
        while self.bytes > self._limit:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= _size(oldest)


@torch.inference_mode()
def _device(engine: Engine) -> torch.device:
    """Device of the engine's features."""
    return engine.encode(1, torch.zeros(1, 3, MIN_SIDE, MIN_SIDE)).features.device


def _key(style: LabelledImage | SoftImage, places: Collection[Place]) -> bytes:
    """Cache key: everything that the measures depend on except the networks."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(repr((tuple(style.image.shape), sorted(places))).encode())
    if isinstance(style, SoftImage) and style.key:
        digest.update(style.key)
        return digest.digest()
    digest.update(np.ascontiguousarray(style.image.numpy()).data)
    regions = style.labels if isinstance(style, LabelledImage) else style.weights
    digest.update(repr((regions.shape, regions.dtype.str)).encode())
    digest.update(np.ascontiguousarray(regions).data)
    return digest.digest()


def _labels(measures: StyleMeasures) -> set[int | None]:
    """Labels that were measured; those that vanish at deep levels are present at the first."""
    return set().union(*measures.values())


def _size(measures: StyleMeasures | SoftMeasures) -> int:
    return sum(_bytes(found) for regions in measures.values() for found in regions.values())


def _bytes(statistics: StyleStatistics | Moments) -> int:
    return sum(tensor.nbytes for tensor in statistics if isinstance(tensor, Tensor))

"""The multi-level transfer: content and style through the networks, region by region.

WCT2, section 3.2 (progressive stylization, one pass): the content is transformed after each
encoder level, its high-frequency bands before they are unpooled, and the decoder's features
before each decoder level. An `Engine` runs the networks; it may be this process
(`NetworkEngine`) or a server.

The style enters only through the mean and the coloring matrix of each region at each place,
so its feature maps are dropped as soon as those are known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal import regions
from photoreal.contract import BANDS, LEVELS, PADDING_MULTIPLE, PLACES, POOLINGS, Place
from photoreal.errors import InvalidOption
from photoreal.regions import Pair
from photoreal.vgg import Decoder, Encoded, Encoder, Skips
from photoreal.whitening import StyleStatistics, style_statistics, whiten_and_color

MIN_SIDE = 16
"""Below this the deepest feature map is a single pixel wide and has no border to reflect."""

_Place = tuple[str, int]  # ("encoder", 2), ("LH", 1), ("decoder", 4) ...


class Engine(Protocol):
    """Runs the levels of the networks on tensors (1, C, H, W)."""

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""


class NetworkEngine:
    """The networks in this process."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self._encoder = encoder.eval()
        self._decoder = decoder.eval()

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""
        return self._encoder.level(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""
        return self._decoder.level(level, x, skips)


class LabelledImage(NamedTuple):
    """An image (1, 3, H, W) in 0..1 and its label map (H, W) uint8."""

    image: Tensor
    labels: npt.NDArray[np.uint8]


@torch.inference_mode()
def transfer(
    content: LabelledImage,
    style: LabelledImage,
    pairs: Sequence[Pair],
    engine: Engine,
    *,
    alpha: float = 1.0,
    places: Collection[Place] = PLACES,
) -> Tensor:
    """Give the content the style's light and colors; returns (1, 3, H, W), not clipped.

    Content and style may have any two sizes of at least 16 pixels a side; sizes that are no
    multiple of 8 are padded by reflection and cropped back. `pairs` says which content label
    takes which style label; content pixels of other labels keep their own features. `alpha`
    in 0..1 blends the transformed features with the content's own at every place.

    Raises InvalidOption when an image is too small.
    """
    height, width = content.image.shape[-2:]
    content, style = _pad(content), _pad(style)
    statistics = _StylePass(engine, style, pairs, places).statistics
    result = _ContentPass(engine, content, pairs, places, statistics, alpha).result
    return result[..., :height, :width]


class _StylePass:
    """One pass of the style through the networks, no deeper than the places need."""

    def __init__(
        self, engine: Engine, style: LabelledImage, pairs: Iterable[Pair], places: Collection[Place]
    ) -> None:
        self.statistics: dict[tuple[_Place, int | None], StyleStatistics] = {}
        self._labels = style.labels
        self._wanted = sorted(
            {pair.style for pair in pairs}, key=lambda label: (label is None, label)
        )
        if not self._wanted or not places:
            return
        x = style.image
        skips: list[Skips] = []
        poolings = 0
        for level in LEVELS:
            x, skip = engine.encode(level, x)
            if "encoder" in places:
                self._measure(("encoder", level), x)
            if skip is None:
                continue
            poolings += 1
            if "skip" in places:
                for name in BANDS:
                    self._measure((name, poolings), getattr(skip, name))
            if "decoder" in places:
                skips.append(skip)
            elif poolings == len(POOLINGS) and "encoder" not in places:
                break  # the bands were all that was wanted
        if "decoder" in places:
            if "encoder" not in places:
                self._measure(("decoder", 4), x)
            for level in (4, 3, 2):  # level 1 would give the picture, which nobody needs
                x = engine.decode(level, x, skips.pop())
                self._measure(("decoder", level - 1), x)

    def _measure(self, place: _Place, features: Tensor) -> None:
        flat = features[0].flatten(1)
        levels = regions.resize_labels(self._labels, *features.shape[-2:]).ravel()
        for label in self._wanted:
            indices = None if label is None else np.flatnonzero(levels == label)
            if indices is None or indices.size == levels.size:
                self.statistics[place, label] = style_statistics(flat)
            elif indices.size:
                region = flat[:, torch.from_numpy(indices).to(flat.device)]
                self.statistics[place, label] = style_statistics(region)


class _ContentPass:
    """The pass of the content, transformed at every place that is asked for."""

    def __init__(
        self,
        engine: Engine,
        content: LabelledImage,
        pairs: Sequence[Pair],
        places: Collection[Place],
        statistics: dict[tuple[_Place, int | None], StyleStatistics],
        alpha: float,
    ) -> None:
        self._labels, self._pairs = content.labels, pairs
        self._statistics, self._alpha = statistics, alpha
        x = content.image
        skips: list[Skips] = []
        for level in LEVELS:
            x, skip = engine.encode(level, x)
            if "encoder" in places:
                x = self._transform(("encoder", level), x)
            if skip is not None:
                skips.append(skip)
        if "skip" in places:
            skips = [self._transform_bands(number, skip) for number, skip in enumerate(skips, 1)]
        if "decoder" in places and "encoder" not in places:
            x = self._transform(("decoder", 4), x)
        for level in reversed(LEVELS):
            x = engine.decode(level, x, skips.pop() if level > 1 else None)
            if "decoder" in places and level > 1:
                x = self._transform(("decoder", level - 1), x)
        self.result = x

    def _transform_bands(self, number: int, skips: Skips) -> Skips:
        bands = {name: self._transform((name, number), getattr(skips, name)) for name in BANDS}
        return skips._replace(**bands)

    def _transform(self, place: _Place, features: Tensor) -> Tensor:
        flat = features[0].flatten(1)
        labels = regions.resize_labels(self._labels, *features.shape[-2:]).ravel()
        result = flat
        for pair in self._pairs:
            statistics = self._statistics.get((place, pair.style))
            found = np.flatnonzero(labels == pair.content)
            if statistics is None or not found.size:
                continue  # the label has vanished at this size
            if found.size == labels.size:
                return whiten_and_color(flat, statistics, self._alpha).view_as(features)
            if result is flat:
                result = flat.clone()
            indices = torch.from_numpy(found).to(flat.device)
            # Content regions do not overlap: each reads its own pixels only.
            result[:, indices] = whiten_and_color(flat[:, indices], statistics, self._alpha)
        return result.view_as(features)


def _pad(picture: LabelledImage) -> LabelledImage:
    image, labels = picture
    height, width = image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise InvalidOption(
            f"The image is {width}x{height} pixels; the transfer needs at least"
            f" {MIN_SIDE} pixels a side."
        )
    below, right = -height % PADDING_MULTIPLE, -width % PADDING_MULTIPLE
    if not (below or right):
        return picture
    return LabelledImage(
        F.pad(image, (0, right, 0, below), mode="reflect"),
        np.pad(labels, ((0, below), (0, right)), mode="reflect"),
    )

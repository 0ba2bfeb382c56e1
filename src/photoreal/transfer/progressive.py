"""Multi-level transfer: content and style pass through the networks, region by region.

WCT2, section 3.2 (progressive stylization, one pass): the content is transformed after each
encoder level, its high-frequency bands before they are unpooled, and the decoder's features
before each decoder level. An `Engine` runs the networks, in this process (`NetworkEngine`) or on
a server.

The style enters only through the mean and the coloring matrix of each region at each place,
so its feature maps are freed as soon as those are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from photoreal.contract import BANDS, LEVELS, PLACES, Place
from photoreal.networks.vgg import Decoder, Encoded, Encoder, Skips
from photoreal.regions import Pair
from photoreal.transfer.padding import cropped, padded
from photoreal.transfer.region_transform import RegionMeasure, RegionTransform, Target
from photoreal.transfer.whitening import Moments, StyleStatistics, styles_statistics

_Network = TypeVar("_Network", Encoder, Decoder)
_Label = TypeVar("_Label", int, int | None)
LevelPlace = tuple[str, int]
"""A place at one level: ("encoder", 2), ("LH", 1), ("decoder", 4) ..."""


class Engine(Protocol):
    """Runs the levels of the networks on tensors (1, C, H, W).

    `depth` is the deepest level that matters to the result (`photoreal.networks.vgg.Decoder`).
    """

    @property
    def depth(self) -> int:
        """Level 1..4."""

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""


class NetworkEngine:
    """Networks in this process, on one device; copied unless they are already there.

    Images may be on any device; level 1 moves them. Features and the result stay on the engine's
    device, in `dtype`. With `channels_last` features use the channels-last memory format, which
    half-precision GPU kernels prefer.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        device: torch.device | str = "cpu",
        *,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
    ) -> None:
        self.depth = decoder.depth
        self._device, self._dtype = torch.device(device), dtype
        self._format = torch.channels_last if channels_last else torch.preserve_format
        self._encoder, self._decoder = encoder.eval(), decoder.eval()
        if self._device.type != "cpu" or dtype != torch.float32 or channels_last:
            self._encoder, self._decoder = self._moved(encoder), self._moved(decoder)

    def _moved(self, network: _Network) -> _Network:
        moved: _Network = deepcopy(network).to(self._device, self._dtype)
        if self._format == torch.channels_last:
            for weights in (*moved.parameters(), *moved.buffers()):
                if weights.ndim == 4:
                    weights.data = weights.data.contiguous(memory_format=self._format)
        return moved

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""
        if level == 1:
            x = x.to(self._device, self._dtype, memory_format=self._format)
        return self._encoder.level(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""
        return self._decoder.level(level, x, skips)


class LabelledImage(NamedTuple):
    """An image (1, 3, H, W) in 0..1 and its label map (H, W) uint8."""

    image: Tensor
    labels: npt.NDArray[np.uint8]


StyleMeasures = dict[LevelPlace, dict[int | None, StyleStatistics]]
"""Statistics of the style's regions by place; the label None is the whole photo."""

Steady = Callable[[LevelPlace, int, Moments], Moments]
"""Maps a place, a content label and its moments in this frame to the moments to use."""


@torch.inference_mode()
def transfer(
    content: LabelledImage,
    style: LabelledImage,
    pairs: Sequence[Pair],
    engine: Engine,
    *,
    alpha: float = 1.0,
    places: Collection[Place] = PLACES,
    blend: int = 0,
) -> Tensor:
    """Transfer the style's light and colors to the content; returns (1, 3, H, W), not clipped.

    Content and style may differ in size; each side must be at least 16 pixels. Sizes that are not
    multiples of 8 are padded by reflection and cropped back. `pairs` maps content labels to style
    labels; content pixels of other labels keep their own features. `alpha` in 0..1 blends the
    transformed features with the content's own at every place. `blend` is the distance in pixels
    from a region's border within which neighboring regions mix.

    Raises InvalidOption when an image is too small.
    """
    measures = measure_style(style, {pair.style for pair in pairs}, engine, places=places)
    return apply_style(content, measures, pairs, engine, alpha=alpha, places=places, blend=blend)


@torch.inference_mode()
def measure_style(
    style: LabelledImage,
    wanted: Collection[int | None],
    engine: Engine,
    *,
    places: Collection[Place] = PLACES,
) -> StyleMeasures:
    """Measure a style for the transfer, in one pass no deeper than the places require.

    `wanted` are the labels of the regions to measure, None for the whole photo. Raises
    InvalidOption when the image is too small.
    """
    if not wanted or not places:
        return {}
    image, labels = _pad(style)
    regions = RegionMeasure(labels, sorted(wanted, key=lambda label: (label is None, label)))
    return places_statistics(measure_places(image, regions, engine, places, LEVELS[-1]))


def measure_places(
    x: Tensor,
    measure_regions: Callable[..., list[dict[_Label, Moments]]],
    engine: Engine,
    places: Collection[Place],
    depth: int,
) -> dict[LevelPlace, dict[_Label, Moments]]:
    """Apply `measure_regions`, which takes features of one shape, at every place in one pass.

    The pass ends at the level `depth`, whose features the decoder begins with.
    """
    found: dict[LevelPlace, dict[_Label, Moments]] = {}

    def measure(given: Mapping[LevelPlace, Tensor]) -> None:
        found.update(zip(given, measure_regions(*given.values()), strict=True))

    skips: list[Skips] = []
    poolings = 0
    for level in range(1, depth + 1):
        x, skip = engine.encode(level, x)
        if "encoder" in places:
            measure({("encoder", level): x})
        if skip is None:
            continue
        poolings += 1
        if "skip" in places:
            measure({(name, poolings): getattr(skip, name) for name in BANDS})
        if "decoder" in places:
            skips.append(skip)
        elif poolings == depth - 1 and "encoder" not in places:
            return found  # nothing but the bands was requested
    if "decoder" in places:
        if "encoder" not in places:
            measure({("decoder", depth): x})
        for level in range(depth, 1, -1):  # level 1 produces the image, which is not needed
            x = engine.decode(level, x, skips.pop())
            measure({("decoder", level - 1): x})
    return found


def places_statistics(found: Mapping[LevelPlace, Mapping[_Label, Moments]]) -> StyleMeasures:
    """Compute statistics from moments in one batch, which is faster on a GPU."""
    regions = [region for at_place in found.values() for region in at_place.values()]
    statistics = iter(styles_statistics(regions))
    return {
        place: dict(zip(at_place, islice(statistics, len(at_place)), strict=True))
        for place, at_place in found.items()
    }


@torch.inference_mode()
def apply_style(
    content: LabelledImage,
    measures: StyleMeasures,
    pairs: Sequence[Pair],
    engine: Engine,
    *,
    alpha: float = 1.0,
    places: Collection[Place] = PLACES,
    blend: int = 0,
    steady: Steady | None = None,
) -> Tensor:
    """Run the content through the networks and transform its features at the given places.

    `measures` come from `measure_style` with the same places. Other arguments, the result and the
    errors are as in `transfer`.
    """
    image, labels = _pad(content)
    regions = RegionTransform(labels, pairs, alpha, blend)
    result = transform_places(image, regions, measures, engine, places, steady, LEVELS[-1])
    return cropped(result, content.image)


def transform_places(
    x: Tensor,
    transform_regions: Callable[..., list[Tensor]],
    measures: StyleMeasures,
    engine: Engine,
    places: Collection[Place],
    steady: Steady | None,
    depth: int,
) -> Tensor:
    """Run an image through the networks with a transform at every place; returns (1, 3, H, W).

    `transform_regions` takes one or more `Target`s and returns their new features. The decoder
    begins with the features of the level `depth`.
    """

    def transform(*given: tuple[LevelPlace, Tensor]) -> list[Tensor]:
        targets = (
            Target(
                features,
                measures.get(place, {}),
                partial(steady, place) if steady is not None else None,
            )
            for place, features in given
        )
        return transform_regions(*targets)

    skips: list[Skips] = []
    for level in range(1, depth + 1):
        x, skip = engine.encode(level, x)
        if "encoder" in places:
            (x,) = transform((("encoder", level), x))
        if skip is None:
            continue
        if "skip" in places:
            number = len(skips) + 1
            bands = transform(*(((name, number), getattr(skip, name)) for name in BANDS))
            skip = skip._replace(**dict(zip(BANDS, bands, strict=True)))
        skips.append(skip)
    if "decoder" in places and "encoder" not in places:
        (x,) = transform((("decoder", depth), x))
    for level in range(depth, 0, -1):
        x = engine.decode(level, x, skips.pop() if level > 1 else None)
        if "decoder" in places and level > 1:
            (x,) = transform((("decoder", level - 1), x))
    return x


def _pad(picture: LabelledImage) -> LabelledImage:
    image, (below, right) = padded(picture.image)
    return LabelledImage(image, np.pad(picture.labels, ((0, below), (0, right)), mode="reflect"))

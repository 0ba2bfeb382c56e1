"""The multi-level transfer: content and style through the networks, region by region.

WCT2, section 3.2 (progressive stylization, one pass): the content is transformed after each
encoder level, its high-frequency bands before they are unpooled, and the decoder's features
before each decoder level. An `Engine` runs the networks; it may be this process
(`NetworkEngine`) or a server.

The style enters only through the mean and the coloring matrix of each region at each place,
so its feature maps are dropped as soon as those are known.
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
from torch.nn import functional as F

from photoreal.contract import BANDS, LEVELS, PADDING_MULTIPLE, PLACES, POOLINGS, Place
from photoreal.errors import InvalidOption
from photoreal.networks.vgg import Decoder, Encoded, Encoder, Skips
from photoreal.regions import Pair
from photoreal.transfer.region_transform import RegionMeasure, RegionTransform, Target
from photoreal.transfer.whitening import Moments, StyleStatistics, styles_statistics

MIN_SIDE = 16
"""Below this the deepest feature map is a single pixel wide and has no border to reflect."""

_Network = TypeVar("_Network", Encoder, Decoder)
_Label = TypeVar("_Label", int, int | None)
LevelPlace = tuple[str, int]
"""A place at one level: ("encoder", 2), ("LH", 1), ("decoder", 4) ..."""


class Engine(Protocol):
    """Runs the levels of the networks on tensors (1, C, H, W)."""

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""


class NetworkEngine:
    """The networks in this process, on one device; elsewhere than here they are copied.

    Pictures may come from anywhere, level 1 takes them there; features and the result stay there,
    in `dtype`. With `channels_last` features lie pixel by pixel in memory, as a GPU's kernels for
    half precision want them.
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
"""For each place the statistics of the style's regions; None is the whole photo."""

Steady = Callable[[LevelPlace, int, Moments], Moments]
"""Gives the moments to use for a content label at a place, from those that were found there."""


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
    """Give the content the style's light and colors; returns (1, 3, H, W), not clipped.

    Content and style may have any two sizes of at least 16 pixels a side; sizes that are no
    multiple of 8 are padded by reflection and cropped back. `pairs` says which content label
    takes which style label; content pixels of other labels keep their own features. `alpha`
    in 0..1 blends the transformed features with the content's own at every place. `blend` is
    the distance in pixels from a region's border up to which neighboring regions mix.

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
    """All that the transfer needs of a style: one pass, no deeper than the places need.

    `wanted` are the labels of the regions to measure, None for the whole photo. Raises
    InvalidOption when the image is too small.
    """
    if not wanted or not places:
        return {}
    image, labels = _pad(style)
    regions = RegionMeasure(labels, sorted(wanted, key=lambda label: (label is None, label)))
    return places_statistics(measure_places(image, regions, engine, places))


def measure_places(
    x: Tensor,
    measure_regions: Callable[[Tensor], dict[_Label, Moments]],
    engine: Engine,
    places: Collection[Place],
) -> dict[LevelPlace, dict[_Label, Moments]]:
    """What `measure_regions` finds in the features (1, C, h, w) at every place, in one pass."""
    found: dict[LevelPlace, dict[_Label, Moments]] = {}

    def measure(place: LevelPlace, features: Tensor) -> None:
        found[place] = measure_regions(features)

    skips: list[Skips] = []
    poolings = 0
    for level in LEVELS:
        x, skip = engine.encode(level, x)
        if "encoder" in places:
            measure(("encoder", level), x)
        if skip is None:
            continue
        poolings += 1
        if "skip" in places:
            for name in BANDS:
                measure((name, poolings), getattr(skip, name))
        if "decoder" in places:
            skips.append(skip)
        elif poolings == len(POOLINGS) and "encoder" not in places:
            return found  # the bands were all that was wanted
    if "decoder" in places:
        if "encoder" not in places:
            measure(("decoder", 4), x)
        for level in (4, 3, 2):  # level 1 would give the picture, which nobody needs
            x = engine.decode(level, x, skips.pop())
            measure(("decoder", level - 1), x)
    return found


def places_statistics(found: Mapping[LevelPlace, Mapping[_Label, Moments]]) -> StyleMeasures:
    """Statistics from moments, all at once, which is faster on a GPU."""
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
    """The content's pass through the networks, transformed at every place that is asked for.

    `measures` come from `measure_style` with the same places. Other arguments, result and
    errors are those of `transfer`.
    """
    image, labels = _pad(content)
    regions = RegionTransform(labels, pairs, alpha, blend)
    result = transform_places(image, regions, measures, engine, places, steady)
    return cropped(result, content.image)


def transform_places(
    x: Tensor,
    transform_regions: Callable[..., list[Tensor]],
    measures: StyleMeasures,
    engine: Engine,
    places: Collection[Place],
    steady: Steady | None,
) -> Tensor:
    """The picture (1, 3, H, W) after one pass through the networks, transformed at every place.

    `transform_regions` takes one `Target` or several and gives their new features.
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
    for level in LEVELS:
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
        (x,) = transform((("decoder", 4), x))
    for level in reversed(LEVELS):
        x = engine.decode(level, x, skips.pop() if level > 1 else None)
        if "decoder" in places and level > 1:
            (x,) = transform((("decoder", level - 1), x))
    return x


def cropped(result: Tensor, image: Tensor) -> Tensor:
    """A result without the pixels that were added to the image."""
    height, width = image.shape[-2:]
    return result[..., :height, :width]


def check_side(image: Tensor) -> None:
    """Raise InvalidOption when an image (1, 3, H, W) is too small for the networks."""
    height, width = image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise InvalidOption(
            f"The image is {width}x{height} pixels; the transfer needs at least"
            f" {MIN_SIDE} pixels a side."
        )


def _pad(picture: LabelledImage) -> LabelledImage:
    image, (below, right) = padded(picture.image)
    return LabelledImage(image, np.pad(picture.labels, ((0, below), (0, right)), mode="reflect"))


def padded(image: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """An image of sides that the networks can pool, and the pixels added below and right.

    Raises InvalidOption when the image is too small.
    """
    check_side(image)
    height, width = image.shape[-2:]
    below, right = -height % PADDING_MULTIPLE, -width % PADDING_MULTIPLE
    if below or right:
        image = F.pad(image, (0, right, 0, below), mode="reflect")
    return image, (below, right)

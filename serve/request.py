"""A request to the `stylize` model and its answer, and the models that serve it.

The models are handed in as functions (`Models`), so the adapter inside Triton wires them to
server calls and a test to the networks themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from photoreal.contract import DEFAULT_ALPHA, DEFAULT_SIZE, DEFAULT_TRANSFER_AT, Place
from photoreal.regions import LabelMap, Pair

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
    full_resolution: bool = False


@dataclass(frozen=True)
class StylizeResponse:
    """The stylized photo as PNG, the label maps that were used, and a report as JSON.

    The photo has the working size, or with `full_resolution` that of the content; label maps
    are gray PNGs at the size of their photos.
    """

    image: bytes
    content_labels: bytes
    style_labels: bytes
    report: str


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

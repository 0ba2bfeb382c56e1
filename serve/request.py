"""A request to the `stylize` model and its answer, and the models that serve it.

The models are handed in as functions (`Models`), so the adapter inside Triton wires them to
server calls and a test to the networks themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from photoreal.contract import DEFAULT_ALPHA, DEFAULT_SIZE, DEFAULT_TRANSFER_AT, Place
from photoreal.regions import LabelMap, Pair

if TYPE_CHECKING:  # Python 3.10 lacks them
    from typing import NotRequired, Unpack

FloatImage = npt.NDArray[np.float32]  # (3, H, W) in 0..1


@dataclass(frozen=True)
class StylizeRequest:
    """One request as it arrives; images are encoded files.

    `style` and `style_mask` are one or several, `style_weights` the shares of several styles,
    equal unless given. `sequence` is the id of the shot of a video that the content is the next
    frame of, and `steady` the share (0..0.99) that the frames before have in its regions and
    statistics. `pairs` are rows of a content label and the style label that it takes, -1 for the
    whole style photo.
    """

    content: bytes
    style: bytes | Sequence[bytes]
    content_mask: bytes | None = None
    style_mask: bytes | Sequence[bytes] | None = None
    alpha: float = DEFAULT_ALPHA
    size: int = DEFAULT_SIZE
    transfer_at: str = DEFAULT_TRANSFER_AT
    segment: bool = True
    match: str | None = None
    blend: int | None = None
    style_weights: Sequence[float] | None = None
    sequence: bytes | None = None
    steady: float | None = None
    full_resolution: bool = False
    pairs: Sequence[Sequence[int]] | None = None
    regions_only: bool = False

    @property
    def styles(self) -> list[bytes]:
        """The style photos, in order."""
        return _several(self.style)

    @property
    def style_masks(self) -> list[bytes] | None:
        """The masks of the styles, in order, or None for a request without any."""
        return None if self.style_mask is None else _several(self.style_mask)


def _several(data: bytes | Sequence[bytes]) -> list[bytes]:
    return [data] if isinstance(data, bytes) else list(data)


@dataclass(frozen=True)
class StylizeResponse:
    """The stylized photo as PNG, the label maps that were used, and a report as JSON.

    The photo has the working size, or with `full_resolution` that of the content; label maps
    are gray PNGs at the size of their photos, one for each style. A request for the regions
    alone gets an empty photo, and no transfer is made for it. `seconds` are those of the report,
    by stage.
    """

    image: bytes
    content_labels: bytes
    style_labels: Sequence[bytes]
    report: str
    seconds: dict[str, float]


class StyleInput(NamedTuple):
    """A style (3, H, W), its label map (H, W), who takes what of it, and its share of the mix."""

    image: FloatImage
    labels: LabelMap
    pairs: Sequence[Pair]
    weight: float = 1.0


class Shot(NamedTuple):
    """The shot of a video that a content is a frame of, and the share of the frames before."""

    sequence: bytes
    steady: float


class Transferred(NamedTuple):
    """The stylized content (3, H, W), and whether every style was known from before."""

    image: FloatImage
    style_cached: bool = False


class TransferOptions(TypedDict):
    """How to transfer.

    `alpha` in 0..1 is the strength, `places` say where in the networks it happens, and `blend` is
    the distance in pixels from a region's border up to which its neighbors mix.
    """

    alpha: float
    places: Collection[Place]
    blend: int
    shot: NotRequired[Shot | None]


class Transfer(Protocol):
    """The `wct2` model."""

    def __call__(
        self,
        content: FloatImage,
        content_labels: LabelMap,
        styles: Sequence[StyleInput],
        **options: Unpack[TransferOptions],
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

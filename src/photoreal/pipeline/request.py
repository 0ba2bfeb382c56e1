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

from photoreal.errors import InvalidOption
from photoreal.options import DEFAULT_STEADY, Place, StylizeOptions
from photoreal.regions import LabelMap, Pair
from photoreal.regions.coupling import Matrix

if TYPE_CHECKING:  # Python 3.10 lacks them
    from typing import NotRequired, Unpack

FloatImage = npt.NDArray[np.float32]  # (3, H, W) in 0..1


@dataclass(frozen=True)
class StylizeRequest(StylizeOptions):
    """One request as it arrives, with its options; images are encoded files.

    `style` and `style_mask` are one or several. With `regions_only` no transfer is made.
    """

    content: bytes
    style: bytes | Sequence[bytes]
    content_mask: bytes | None = None
    style_mask: bytes | Sequence[bytes] | None = None
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
    """The stylized photo as a file, the label maps that were used, and a report as JSON.

    Label maps are gray PNGs at the size of their photos, one for each style. A request for the
    regions alone gets an empty photo, and no transfer is made for it. `seconds` are those of the
    report, by stage.
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


class SoftStyle(NamedTuple):
    """A style (3, H, W), the weights (J, H, W) in 0..255 of its regions, and its share of the mix.

    `coupling` (K, J) says how much of each of its regions is in each content region's mix.
    """

    image: FloatImage
    regions: npt.NDArray[np.uint8]
    coupling: Matrix
    weight: float = 1.0


class Shot(NamedTuple):
    """The shot of a video that a content is a frame of, and the share of the frames before."""

    sequence: bytes
    steady: float


def shot_of(options: StylizeOptions) -> Shot | None:
    """The shot that checked options name; raises InvalidOption for `steady` without one."""
    if options.sequence is None:
        if options.steady is not None:
            raise InvalidOption("steady is given without a sequence; expected both or none.")
        return None
    name = options.sequence
    return Shot(
        name.encode() if isinstance(name, str) else name,
        DEFAULT_STEADY if options.steady is None else options.steady,
    )


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


class SoftTransfer(Protocol):
    """The `wct2` model with soft regions."""

    def __call__(
        self,
        content: FloatImage,
        regions: npt.NDArray[np.uint8],
        styles: Sequence[SoftStyle],
        *,
        places: Collection[Place],
        shot: Shot | None = None,
    ) -> Transferred:
        """Stylize the content, whose regions have weights (K, H, W) in 0..255."""


@dataclass(frozen=True)
class Models:
    """The models that a request needs; without a segmenter, photos are one region each.

    `transfer` is for label maps, `transfer_soft` for soft regions; `segment` gives the
    probabilities (classes, h, w) of an image, coarser than it.
    """

    transfer: Transfer
    segment: Callable[[FloatImage], FloatImage] | None = None
    segmenter_classes: tuple[str, ...] = ()
    transfer_soft: SoftTransfer | None = None

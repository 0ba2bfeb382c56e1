"""Request and response of the `stylize` model, and the models it calls.

The models are injected as functions (`Models`): the Triton adapter passes server calls, a test
passes the networks directly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats
from photoreal.errors import InvalidOption
from photoreal.options import DEFAULT_STEADY, Place, StylizeOptions
from photoreal.regions import LabelMap, Pair
from photoreal.regions.coupling import Matrix

FloatImage = npt.NDArray[np.float32]  # (3, H, W) in 0..1


@dataclass(frozen=True)
class StylizeRequest(StylizeOptions):
    """A request as received, with its options; images are encoded files.

    `style` and `style_mask` hold one file or several; a style is a photo or a preset. With
    `regions_only` the transfer is skipped, with `measures_style` everything but the measuring of
    the styles, and the content is not read. Label maps are encoded only if `content_labels` and
    `style_labels` say so.
    """

    content: bytes
    style: bytes | Sequence[bytes]
    content_mask: bytes | None = None
    style_mask: bytes | Sequence[bytes] | None = None
    regions_only: bool = False
    measures_style: bool = False
    content_labels: bool = True
    style_labels: bool = True

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
    """The stylized photo as an encoded file, the label maps used, and a JSON report.

    Label maps are gray PNGs at the size of their photos, one for each style; empty for a preset, or
    if they were not requested.
    With `regions_only` the photo is empty; `preset` holds a file for each style with
    `measures_style`. `seconds` holds the stage times of the report by stage name.
    """

    image: bytes
    content_labels: bytes
    style_labels: Sequence[bytes]
    report: str
    seconds: dict[str, float]
    preset: Sequence[bytes] = (b"",)


class StyleInput(NamedTuple):
    """A style (3, H, W), its label map (H, W), its region pairs, and its weight in the mix."""

    image: FloatImage
    labels: LabelMap
    pairs: Sequence[Pair]
    weight: float = 1.0


class SoftStyle(NamedTuple):
    """A style (3, H, W), the weights (J, H, W) in 0..255 of its regions, and its weight in the mix.

    `coupling` (K, J) is the share of each style region in each content region's mix. `key`
    identifies image and regions in a cache.
    """

    image: Floats
    regions: Any
    coupling: Matrix
    weight: float = 1.0
    key: bytes = b""


class MeasuredStyle(NamedTuple):
    """A style in a preset's `file`, with `coupling` and `weight` as in `SoftStyle`."""

    file: bytes
    coupling: Matrix
    weight: float = 1.0


class Shot(NamedTuple):
    """The video shot that a content frame belongs to, and the weight of the previous frames."""

    sequence: bytes
    steady: float


def shot_of(options: StylizeOptions) -> Shot | None:
    """The shot named in validated options; raises InvalidOption for `steady` without a shot."""
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
    """The stylized content (3, H, W), and whether every style was a cache hit."""

    image: Floats
    style_cached: bool = False


class TransferOptions(TypedDict):
    """Options of the transfer.

    `alpha` in 0..1 is the strength, `places` select where in the networks features are
    transformed, and `blend` is the distance in pixels from a border within which neighboring
    regions mix.
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
        content: Floats,
        regions: Any,
        styles: Sequence[SoftStyle | MeasuredStyle],
        *,
        places: Collection[Place],
        shot: Shot | None = None,
    ) -> Transferred:
        """Stylize the content; `regions` are its region weights (K, H, W) in 0..255."""


class MeasureStyle(Protocol):
    """The `wct2` model, which measures a style without a transfer."""

    def __call__(self, image: Floats, regions: Any, key: bytes) -> bytes:
        """Return the moments of a style's soft regions (J, H, W) as a file.

        `key` identifies image and regions in a cache.
        """


@dataclass(frozen=True)
class Models:
    """The models that a request needs; without a segmenter, each photo is a single region.

    `transfer` takes label maps, `transfer_soft` takes soft regions; `segment` returns the
    probabilities (classes, h, w) of an image at a lower resolution. `device` moves an array to the
    GPU on which the pixels of a request with soft regions are computed; None is this CPU.
    `measure` is for presets. `segments_elsewhere` says that `segment` computes in another process
    and numpy in this one with a single thread, so that both can work at a time.
    """

    transfer: Transfer
    segment: Callable[[FloatImage], FloatImage] | None = None
    segmenter_classes: tuple[str, ...] = ()
    transfer_soft: SoftTransfer | None = None
    device: Callable[[npt.NDArray[Any]], Floats] | None = None
    measure: MeasureStyle | None = None
    segments_elsewhere: bool = False

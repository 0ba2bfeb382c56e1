"""Style transfers as the server makes them, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from quality_pairs import InvalidPair, PhotoPair
from serving import in_process

from photoreal.errors import InvalidRequest
from photoreal.preprocess import Limits
from photoreal.segmenter import Segmenter
from photoreal.serve.request import FloatImage, Models, StylizeRequest
from photoreal.serve.stylize import stylize
from photoreal.transfer import Engine

_LIMITS = Limits()


@dataclass(frozen=True)
class Variant:
    """One way to stylize a pair: a row of the table, the request's options, masks or not."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    masks: bool = False


VARIANTS = (
    Variant("photoreal, the default"),
    Variant("photoreal, drawn masks", masks=True),
    Variant("photoreal, whole photo", {"segment": False}),
)
"""The rows of photoreal; the options are those of `StylizeRequest`."""


@dataclass(frozen=True)
class Stylizer:
    """The server's work with the networks in this process."""

    engine: Engine
    segmenter: Segmenter | None = None
    classes: tuple[str, ...] = ()

    def stylize(self, pair: PhotoPair, variant: Variant) -> Image.Image | None:
        """The result that a client would get; None where the pair lacks the variant's masks.

        Raises InvalidPair when the pair cannot be stylized so.
        """
        if variant.masks and not pair.has_masks:
            return None
        request = StylizeRequest(
            pair.content,
            pair.style,
            pair.content_mask if variant.masks else None,
            pair.style_mask if variant.masks else None,
            **variant.options,
        )
        segment = None if self.segmenter is None else prober(self.segmenter)
        models = Models(in_process(self.engine), segment, self.classes)
        try:
            response = stylize(request, models, _LIMITS)
        except InvalidRequest as error:
            raise InvalidPair(f"Pair {pair.name!r}: {error}") from None
        return Image.open(BytesIO(response.image))


def prober(segmenter: Segmenter) -> Callable[[FloatImage], FloatImage]:
    """The segmenter as a function of arrays: (3, H, W) to probabilities (classes, h, w)."""

    @torch.inference_mode()
    def probabilities(image: FloatImage) -> FloatImage:
        found = segmenter.labels_and_probabilities(torch.from_numpy(image[None]))[1]
        planes: FloatImage = found[0].numpy()
        return planes

    return probabilities

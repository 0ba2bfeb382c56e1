"""Variants of the server's style transfer, run in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pictures import LIMITS
from PIL import Image

from judging.pairs import PhotoPair
from photoreal.networks.segmenter import Segmenter
from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.request import StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.transfer.progressive import Engine


@dataclass(frozen=True)
class Variant:
    """One variant: its row in the table, the options of the request, and whether masks are used."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    masks: bool = False


VARIANTS = (
    Variant("photoreal, the default"),
    Variant("photoreal, colors alone", {"method": "color"}),
    Variant("photoreal, whole photo", {"segment": False}),
    Variant("photoreal, drawn masks", masks=True),
    Variant("photoreal, colors alone, drawn masks", {"method": "color"}, masks=True),
    Variant("WCT2 as published, regions found", {"method": "published"}),
    Variant("WCT2 as published, drawn masks", {"method": "published"}, masks=True),
)
"""Photoreal's rows of the table; the options are those of `StylizeRequest`."""


@dataclass(frozen=True)
class Stylizer:
    """Runs the server's transfer in this process."""

    engine: Engine
    segmenter: Segmenter | None = None
    classes: tuple[str, ...] = ()

    def stylize(self, pair: PhotoPair, variant: Variant) -> Image.Image | None:
        """Return the result that a client would get; None if the pair lacks the variant's masks.

        Raises InvalidPair when the pair cannot be stylized this way.
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
        models = in_process_models(self.engine, self.segmenter, self.classes)
        with pair.named():
            response = stylize(request, models, LIMITS)
        return Image.open(BytesIO(response.image))

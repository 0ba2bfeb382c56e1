"""Methods to measure: photoreal's variants in this process, and the pictures of other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pictures import LIMITS
from PIL import Image

from judging.pairs import PhotoPair
from photoreal import Pipeline
from photoreal.errors import InvalidOption
from photoreal.preprocess import decode_photo

Method = Callable[[PhotoPair], Image.Image | None]
"""Makes the result of a pair; None if the method has none for it."""


@dataclass(frozen=True)
class Variant:
    """One variant: its row in the table, the options of the request, and whether masks are used."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    masks: bool = False

    def method(self, pipeline: Pipeline) -> Method:
        """The method that gives what a client would get; None for a pair without the masks.

        It raises InvalidPair when a pair cannot be stylized this way.
        """

        def stylize(pair: PhotoPair) -> Image.Image | None:
            if self.masks and not pair.has_masks:
                return None
            given: dict[str, Any] = {"format": "png", **self.options}  # without loss
            if self.masks:
                given |= {"content_mask": pair.content_mask, "style_mask": pair.style_mask}
            with pair.named():
                return pipeline.stylize(pair.content, pair.style, **given).image

        return stylize


VARIANTS = (
    Variant("photoreal, the default"),
    Variant("photoreal, colors alone", {"method": "color"}),
    Variant("photoreal, whole photo", {"segment": False}),
    Variant("photoreal, drawn masks", masks=True),
    Variant("photoreal, colors alone, drawn masks", {"method": "color"}, masks=True),
    Variant("WCT2 as published, regions found", {"method": "published"}),
    Variant("WCT2 as published, drawn masks", {"method": "published"}, masks=True),
)
"""Photoreal's rows of the table; the options are those of `Pipeline.stylize`."""


def copy(pair: PhotoPair) -> Image.Image:
    """The content itself, the reference for every other row."""
    return Image.fromarray(pair.photos()[0])


def folder_peer(option: str) -> tuple[str, Method]:
    """Name and method of an option NAME=PATTERN, a path in which {pair} is the pair's name.

    Raises InvalidOption for an option that is not of this form.
    """
    name, _, pattern = option.partition("=")
    if not name or "{pair}" not in pattern:
        raise InvalidOption(
            f"The peer is {option!r}; expected NAME=PATTERN, a file's path with {{pair}} for the"
            " name of the pair."
        )

    def read(pair: PhotoPair) -> Image.Image | None:
        file = Path(pattern.replace("{pair}", pair.name))
        if not file.exists():
            return None
        with pair.named():
            return Image.fromarray(decode_photo(file.read_bytes(), f"result of {name}", LIMITS))

    return name, read

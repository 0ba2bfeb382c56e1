"""The example pair that the benchmarks stylize, as files and as inputs of the transfer.

Its regions are drawn (sky, trees, the rest), so that a run needs only the model repository.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from photoreal import regions
from photoreal.pipeline.request import FloatImage, Models, StyleInput, StylizeRequest, Transferred
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import Limits
from photoreal.regions import LabelMap, Pair

PAIR = "pagoda-dusk"
EXAMPLES = Path(__file__).parents[1] / "examples"
LIMITS = Limits()

_REGIONS = {"blue": 0, "green": 1}
_REST = 2


@dataclass(frozen=True)
class Files:
    """Encoded image files of the example pair."""

    content: bytes
    style: bytes
    content_mask: bytes | None
    style_mask: bytes | None

    def request(self, size: int) -> StylizeRequest:
        """The request for their transfer as published, at a working size."""
        return StylizeRequest(
            self.content,
            self.style,
            self.content_mask,
            self.style_mask,
            size=size,
            method="published",
        )


class Inputs(NamedTuple):
    """Inputs of the transfer: pictures (3, H, W) in 0..1 at working size, and label maps."""

    content: FloatImage
    style: FloatImage
    content_labels: LabelMap
    style_labels: LabelMap
    pairs: Sequence[Pair]


def example_files() -> Files:
    """The photos of the pair, and gray masks of its three regions."""
    named = pair_files(PAIR)
    roles = ("content", "style", "content_mask", "style_mask")
    found = Files(*((EXAMPLES / named[role]).read_bytes() for role in roles))
    masks = (found.content_mask, found.style_mask)
    content, style = (_three_regions(mask or b"") for mask in masks)
    return replace(found, content_mask=content, style_mask=style)


def pair_files(name: str) -> dict[str, str]:
    """File names of an example pair by role."""
    listed: list[dict[str, str]] = json.loads((EXAMPLES / "pairs.json").read_text())
    return next(one for one in listed if one["name"] == name)


def _three_regions(mask: bytes) -> bytes:
    """Convert a color mask to a gray one with three regions."""
    merged = np.array([_REGIONS.get(color, _REST) for color in regions.MASK_COLORS], np.uint8)
    with Image.open(io.BytesIO(mask)) as opened:
        labels = merged[regions.labels_from_colors(np.asarray(opened.convert("RGB")))]
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, format="PNG")
    return stream.getvalue()


def transfer_inputs(files: Files, size: int) -> Inputs:
    """The inputs that the server makes from these files at a working size."""
    seen: list[Inputs] = []

    def capture(
        content: FloatImage, content_labels: LabelMap, styles: Sequence[StyleInput], **_: Any
    ) -> Transferred:
        (style,) = styles
        seen.append(Inputs(content, style.image, content_labels, style.labels, style.pairs))
        return Transferred(content)

    stylize(files.request(size), Models(capture), LIMITS)
    return seen[0]


def square_inputs(size: int) -> Inputs:
    """The pair, each photo scaled to size x size pixels, with three slanted regions."""
    files = example_files()
    content, style = (_square(photo, size) for photo in (files.content, files.style))
    pairs = [Pair(label, label) for label in range(3)]
    return Inputs(content, style, _slanted(size, 0.3), _slanted(size, -0.2), pairs)


def _square(photo: bytes, size: int) -> FloatImage:
    with Image.open(io.BytesIO(photo)) as opened:
        scaled = opened.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(scaled).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels.astype(np.float32) / 255)


def _slanted(size: int, slant: float) -> LabelMap:
    rows, columns = np.mgrid[:size, :size] / size
    found: LabelMap = np.clip(3 * (rows + slant * (columns - 0.5)), 0, 2).astype(np.uint8)
    return found

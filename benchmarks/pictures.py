"""The example pair that the benchmarks stylize, as files and as inputs of the transfer.

Its drawn regions are merged to three: sky, trees, the rest.
"""

from __future__ import annotations

import io
import itertools
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
ASPECT = 1.5

_GRAIN = 2.0  # deviation in 8-bit levels: an enlarged photo is smoother than one from a camera
_TILE = 1024
_numbers = itertools.count()
_REGIONS = {"blue": 0, "green": 1}
_REST = 2


@dataclass(frozen=True)
class Files:
    """Encoded image files of the example pair."""

    content: bytes
    style: bytes
    content_mask: bytes | None = None
    style_mask: bytes | None = None

    def request(self, **options: Any) -> StylizeRequest:
        """The request for their transfer."""
        return StylizeRequest(**vars(self), **options)

    def without_masks(self) -> Files:
        """The photos alone, whose regions are to be found."""
        return Files(self.content, self.style)

    def with_new_style(self) -> Files:
        """The same with a style that no server has seen, by some bytes after the file's end."""
        return replace(self, style=self.style + next(_numbers).to_bytes(8, "big"))


class Inputs(NamedTuple):
    """Inputs of the transfer: pictures (3, H, W) in 0..1 at working size, and label maps."""

    content: FloatImage
    style: FloatImage
    content_labels: LabelMap
    style_labels: LabelMap
    pairs: Sequence[Pair]


def example_files(side: int, aspect: float = ASPECT) -> Files:
    """The photos of the pair with a shorter side in pixels, and gray masks of three regions."""
    size = round(aspect * side), side
    masks = (_three_regions(_opened(f"{role}_mask"), size) for role in ("content", "style"))
    return Files(photo("content", size), photo("style", size), *masks)


def large_files(megapixels: float) -> Files:
    """The photos of the pair with a number of pixels, and grain."""
    side = round((megapixels * 1e6 / ASPECT) ** 0.5)
    size = round(ASPECT * side), side
    return Files(photo("content", size, _GRAIN), photo("style", size, _GRAIN))


def pair_files(name: str) -> dict[str, str]:
    """File names of an example pair by role."""
    listed: list[dict[str, str]] = json.loads((EXAMPLES / "pairs.json").read_text())
    return next(one for one in listed if one["name"] == name)


def _opened(role: str) -> Image.Image:
    with Image.open(EXAMPLES / pair_files(PAIR)[role]) as opened:
        return opened.convert("RGB")


def photo(role: str, size: tuple[int, int], grain: float = 0.0) -> bytes:
    """A photo of the pair as a JPEG of a size (width, height)."""
    image = _opened(role).resize(size, Image.Resampling.LANCZOS)
    if grain:
        noise = grain * np.random.default_rng(0).standard_normal((_TILE, _TILE, 3))
        tiles = -(-size[1] // _TILE), -(-size[0] // _TILE), 1
        added = np.tile(np.rint(noise).astype(np.int16), tiles)[: size[1], : size[0]]
        added += np.asarray(image)
        image = Image.fromarray(np.clip(added, 0, 255).astype(np.uint8))
    return encoded(image, "JPEG", quality=92)


def _three_regions(mask: Image.Image, size: tuple[int, int]) -> bytes:
    """Convert a color mask to a gray one of a size (width, height) with three regions."""
    merged = np.array([_REGIONS.get(color, _REST) for color in regions.MASK_COLORS], np.uint8)
    labels = Image.fromarray(merged[regions.labels_from_colors(np.asarray(mask))])
    return encoded(labels.resize(size, Image.Resampling.NEAREST), "PNG")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an image file."""
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def transfer_inputs(files: Files, size: int) -> Inputs:
    """The inputs that the server makes from these files for the published method at a size."""
    seen: list[Inputs] = []

    def capture(
        content: FloatImage, content_labels: LabelMap, styles: Sequence[StyleInput], **_: Any
    ) -> Transferred:
        (style,) = styles
        seen.append(Inputs(content, style.image, content_labels, style.labels, style.pairs))
        return Transferred(content)

    stylize(files.request(size=size, method="published"), Models(capture), LIMITS)
    return seen[0]


def square_inputs(size: int) -> Inputs:
    """The inputs of the pair scaled to size x size pixels."""
    return transfer_inputs(example_files(size, aspect=1.0), size)

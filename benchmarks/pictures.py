"""Inputs of the transfer in the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from photoreal.pipeline.request import FloatImage
from photoreal.regions import LabelMap, Pair

PAIR = "pagoda-dusk"
EXAMPLES = Path(__file__).parents[1] / "examples"


class Inputs(NamedTuple):
    """Inputs of the transfer: pictures (3, H, W) in 0..1 at working size, and label maps."""

    content: FloatImage
    style: FloatImage
    content_labels: LabelMap
    style_labels: LabelMap
    pairs: Sequence[Pair]


def square_inputs(size: int) -> Inputs:
    """The example pair, each photo scaled to size x size pixels, with three slanted regions."""
    files = pair_files(PAIR)
    content, style = (_square(EXAMPLES / files[role], size) for role in ("content", "style"))
    pairs = [Pair(label, label) for label in range(3)]
    return Inputs(content, style, _regions(size, 0.3), _regions(size, -0.2), pairs)


def pair_files(name: str) -> dict[str, str]:
    """File names of an example pair by role."""
    listed: list[dict[str, str]] = json.loads((EXAMPLES / "pairs.json").read_text())
    return next(one for one in listed if one["name"] == name)


def _square(file: Path, size: int) -> FloatImage:
    with Image.open(file) as photo:
        scaled = photo.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(scaled).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels.astype(np.float32) / 255)


def _regions(size: int, slant: float) -> LabelMap:
    rows, columns = np.mgrid[:size, :size] / size
    found: LabelMap = np.clip(3 * (rows + slant * (columns - 0.5)), 0, 2).astype(np.uint8)
    return found

"""Pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image


def side_by_side(pictures: Sequence[Image.Image], height: int) -> Image.Image:
    """Scale RGB pictures to one height in pixels and join them, from left to right."""
    scaled = [one.resize((round(one.width * height / one.height), height)) for one in pictures]
    canvas = Image.new("RGB", (sum(one.width for one in scaled), height))
    left = 0
    for one in scaled:
        canvas.paste(one, (left, 0))
        left += one.width
    return canvas

"""Colored pictures of label maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Twenty easily distinguished colors; label n has color n modulo 20.
PALETTE: NDArray[np.uint8] = np.array(
    [
        (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
        (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
        (174, 199, 232), (255, 187, 120), (152, 223, 138), (255, 152, 150), (197, 176, 213),
        (196, 156, 148), (247, 182, 210), (199, 199, 199), (219, 219, 141), (158, 218, 229),
    ],
    dtype=np.uint8,
)  # fmt: skip


def color_regions(labels: NDArray[np.uint8]) -> Image.Image:
    """Paint a label map, uint8 (H, W), as an RGB picture: each label in its own color."""
    return Image.fromarray(PALETTE[labels % len(PALETTE)])

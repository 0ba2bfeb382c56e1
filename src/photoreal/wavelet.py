"""Haar wavelet pooling and unpooling (WCT2, section 3.1).

The four filters are the outer products of the low pass (1, 1)/sqrt(2) and the high pass
(-1, 1)/sqrt(2): in a band's name the first letter stands for the vertical direction and the
second for the horizontal one. The transform is orthonormal, so the sum of the four unpooled
bands is its exact inverse.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

FILTERS: dict[str, tuple[float, float, float, float]] = {
    "LL": (0.5, 0.5, 0.5, 0.5),
    "LH": (-0.5, 0.5, -0.5, 0.5),
    "HL": (-0.5, -0.5, 0.5, 0.5),
    "HH": (0.5, -0.5, -0.5, 0.5),
}
"""The 2x2 filters, row by row."""


class Bands(NamedTuple):
    """The four Haar bands of a feature map, each (N, C, H/2, W/2)."""

    LL: Tensor
    LH: Tensor
    HL: Tensor
    HH: Tensor


def pool(features: Tensor) -> Bands:
    """Split features (N, C, H, W), H and W even, into their four Haar bands."""
    top_left, top_right = features[..., 0::2, 0::2], features[..., 0::2, 1::2]
    bottom_left, bottom_right = features[..., 1::2, 0::2], features[..., 1::2, 1::2]
    # A butterfly: sums and differences along rows, then along columns.
    top_sum, bottom_sum = top_left + top_right, bottom_left + bottom_right
    top_difference, bottom_difference = top_right - top_left, bottom_right - bottom_left
    return Bands(
        LL=(top_sum + bottom_sum) * 0.5,
        LH=(top_difference + bottom_difference) * 0.5,
        HL=(bottom_sum - top_sum) * 0.5,
        HH=(bottom_difference - top_difference) * 0.5,
    )


def unpool_band(name: str, band: Tensor) -> Tensor:
    """Unpool one band (N, C, H, W) to its share (N, C, 2H, 2W) of the full picture."""
    n, c, h, w = band.shape
    if name == "LL":
        return F.interpolate(band * 0.5, scale_factor=2.0, mode="nearest")
    cell = torch.stack([band * tap for tap in FILTERS[name]], dim=2)
    return F.pixel_shuffle(cell.reshape(n, c * 4, h, w), 2)


def unpool(bands: Bands) -> Tensor:
    """Join four bands, each (N, C, H, W), to features (N, C, 2H, 2W); the inverse of `pool`."""
    low, horizontal, vertical, diagonal = bands
    n, c, h, w = low.shape
    left_top, left_bottom = low - horizontal, low + horizontal
    cell = torch.stack(
        [
            left_top - vertical + diagonal,
            left_bottom - vertical - diagonal,
            left_top + vertical - diagonal,
            left_bottom + vertical + diagonal,
        ],
        dim=2,
    )
    return F.pixel_shuffle(cell.reshape(n, c * 4, h, w) * 0.5, 2)

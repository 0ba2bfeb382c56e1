"""Degradation of training pictures: noise, blur and compression.

Every function maps pictures (N, 3, H, W) float32 in 0..1 to other ones, with randomness from the
generator alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from photoreal.devices import send

_BLOCK = 8
_TO_YCC = np.array(  # of JFIF 1.02
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


def on(device: torch.device, values: npt.NDArray[Any]) -> Tensor:
    """Values on a device, in float32 unless they are integers or bools.

    Unlike a plain copy, this does not wait for the work that a GPU has been given before.
    """
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
    return send(torch.from_numpy(np.ascontiguousarray(values)), device)


def normal(size: tuple[int, ...], device: torch.device, random: Generator) -> Tensor:
    """Normal values of variance 1, drawn on the device."""
    generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
    return torch.randn(size, device=device, generator=generator)


def add_noise(pictures: Tensor, random: Generator) -> Tensor:
    """Add normal noise to every value."""
    device = pictures.device
    amounts = on(device, random.uniform(0.01, 0.06, (len(pictures), 1, 1, 1)))
    return (pictures + amounts * normal(pictures.shape, device, random)).clamp(0.0, 1.0)


def blur(pictures: Tensor, random: Generator) -> Tensor:
    """Blur by a Gaussian, all pictures by the same."""
    sigma, reach = random.uniform(0.4, 1.6), 4
    places = torch.arange(-reach, reach + 1, device=pictures.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(pictures.flatten(0, 1)[:, None], (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1)).view(pictures.shape)


def compress(pictures: Tensor, random: Generator) -> Tensor:
    """Compress as JPEG does (ITU-T T.81): rounded cosine coefficients of blocks of 8 x 8 pixels.

    Sides are multiples of 8. Steps grow evenly with the frequency, by the same for brightness and
    color, whose planes keep their size.
    """
    count, _, height, width = pictures.shape
    device = pictures.device
    basis = _cosines(device)
    colors, back = on(device, _TO_YCC), on(device, np.linalg.inv(_TO_YCC))
    planes = torch.einsum("ij,njhw->nihw", colors, 255.0 * pictures - 128.0)
    blocks = planes.reshape(count, 3, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    values = torch.einsum("ua,ncyaxb,vb->ncyuxv", basis, blocks, basis)
    order = torch.arange(_BLOCK, device=device)
    finest = 8.0 + 4.0 * (order[:, None] + order)
    coarse = on(device, np.exp(random.uniform(-0.5, 1.2, (count, 1, 1, 1, 1, 1))))
    steps = coarse * finest.view(1, 1, 1, _BLOCK, 1, _BLOCK)
    values = torch.round(values / steps) * steps
    planes = torch.einsum("ua,ncyuxv,vb->ncyaxb", basis, values, basis).reshape(planes.shape)
    found = torch.einsum("ij,njhw->nihw", back, planes)
    return ((found + 128.0) / 255.0).clamp(0.0, 1.0)


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of 8 values, (8, 8): row u is frequency u."""
    order = torch.arange(_BLOCK, dtype=torch.float32, device=device)
    waves = torch.cos((2.0 * order + 1.0) * order[:, None] * torch.pi / (2 * _BLOCK))
    waves[0] *= 0.5**0.5
    return 0.5 * waves

"""Haar wavelet pooling and unpooling (WCT2, section 3.1).

The four filters are the outer products of the low pass (1, 1)/sqrt(2) and the high pass
(-1, 1)/sqrt(2). In a band's name the first letter is the vertical direction, the second the
horizontal one. The transform is orthonormal, so the sum of the four unpooled bands is its exact
inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.networks.fast import kernels
from photoreal.threads import parallel

_BLOCK_BYTES = 2 << 20  # of features that a thread splits or joins at once

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
    if not kernels.computes(features, features):
        return Bands(*_split(features))
    n, channels, height, width = features.shape
    bands = Bands(
        *(kernels.like(features, (n, channels, height // 2, width // 2)) for _ in range(4))
    )

    def split(block: slice) -> None:
        _split(features[:, block], [band[:, block] for band in bands])

    parallel(split, _channel_blocks(features), features.device)
    return bands


def _split(features: Tensor, out: Sequence[Tensor | None] = (None,) * 4) -> list[Tensor]:
    """Compute the four bands, in the buffers of `out` where given."""
    # Butterfly: first sums and differences of whole rows, which are read sequentially.
    top, bottom = features[..., 0::2, :], features[..., 1::2, :]
    sums, differences = (top + bottom).mul_(0.5), (bottom - top).mul_(0.5)
    low, horizontal, vertical, diagonal = out
    return [
        torch.add(sums[..., 0::2], sums[..., 1::2], out=low),
        torch.sub(sums[..., 1::2], sums[..., 0::2], out=horizontal),
        torch.add(differences[..., 0::2], differences[..., 1::2], out=vertical),
        torch.sub(differences[..., 1::2], differences[..., 0::2], out=diagonal),
    ]


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


def fold_unpooling(weight: Tensor) -> Tensor:
    """Fold unpooling into 3x3 filters (O, 4, C, 3, 3): the kernel of `convolve_unpooled`.

    An unpooled band is constant or alternating inside each 2x2 cell, and of the three rows that a
    filter covers two always lie in one cell. So for every position inside the cell (the phase)
    two rows and two columns of the band suffice: 16 products instead of 36. Returns
    (4 O, 4 C, 2, 2), with the output channels ordered by filter, then phase.
    """
    outputs, _, channels = weight.shape[:3]
    # rows[phase, tap, filter row, row in the cell]: the band row that a filter row reads.
    rows = weight.new_zeros(2, 2, 3, 2)
    for phase in range(2):
        for row in range(3):
            cell, inside = divmod(phase + row - 1, 2)
            rows[phase, cell - phase + 1, row, inside] = 1.0
    signs = weight.new_tensor([FILTERS[name] for name in Bands._fields]).view(4, 2, 2)
    kernel = torch.einsum("aryp,bsxq,npq,onixy->oabnirs", rows, rows, signs, weight.mT)
    return kernel.reshape(4 * outputs, 4 * channels, 2, 2)


def convolve_unpooled(bands: Bands, kernel: Tensor) -> Tensor:
    """Unpool the bands, each (N, C, H, W), and convolve their concatenation in one step.

    Equals a 3x3 convolution of the four unpooled bands with reflection padding; `kernel` comes
    from `fold_unpooling`. Replication padding of a band equals reflection padding after unpooling.
    Returns (N, O, 2H, 2W).
    """
    height, width = bands.LL.shape[-2:]
    stacked = kernels.pad(torch.cat(bands, dim=1), reflect=False)
    phases = F.conv2d(stacked, kernel)
    windows = [
        phases[:, 2 * a + b :: 4, a : a + height, b : b + width] for a in range(2) for b in range(2)
    ]
    return F.pixel_shuffle(torch.stack(windows, dim=2).flatten(1, 2), 2)


def convolve_joined(
    bands: Bands, original: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Join bands, each (N, C, H, W), and original features (N, C, 2H, 2W) in one convolution.

    Returns the ReLU of the sum of `convolve_unpooled` of the bands with `kernel` and the 3x3
    convolution of `original` with `weight` (O, C, 3, 3) and `bias` (O,): (N, O, 2H, 2W). Raises
    ServeError like `photoreal.networks.fast.kernels.convolve`.
    """
    out = kernels.convolve(original, weight, bias)
    return F.relu(out + convolve_unpooled(bands, kernel))


def join_scaled(
    bands: Bands, original: Tensor, gains: Sequence[float], bias: Tensor | None
) -> Tensor:
    """`convolve_joined` for filters that only sum the bands and the original, scaled by `gains`.

    The five gains are those of the bands in order, then of the original features.
    """
    *own, share = gains
    out = torch.empty_like(original)

    def join(channels: slice) -> None:
        place, before = out[:, channels], original[:, channels]
        low, horizontal, vertical, diagonal = (
            band[:, channels] * (0.5 * gain) for band, gain in zip(bands, own, strict=True)
        )
        tops = low - vertical, horizontal - diagonal
        bottoms = low + vertical, horizontal + diagonal
        for row, halves in enumerate((tops, bottoms)):
            _join_row(place[..., row::2, :], before[..., row::2, :], share, *halves)
        if bias is not None:
            place += bias[channels, None, None]
        place.clamp_min_(0.0)

    parallel(join, _channel_blocks(original), original.device)
    return out


def _join_row(row: Tensor, before: Tensor, share: float, low: Tensor, high: Tensor) -> None:
    """Write rows (N, C, H, 2W): the inverse horizontal transform plus a share of those before."""
    if row.device.type == "cpu" and row.dtype in (torch.float32, torch.float64):
        # A complex number is a pair of neighbors: on a CPU the fastest way to interleave.
        cells = torch.view_as_real(torch.complex(low - high, low + high)).flatten(-2)
        torch.add(cells, before, alpha=share, out=row)
    else:
        torch.add(low - high, before[..., 0::2], alpha=share, out=row[..., 0::2])
        torch.add(low + high, before[..., 1::2], alpha=share, out=row[..., 1::2])


def _channel_blocks(features: Tensor) -> list[slice]:
    """Blocks of channels: all at once, or on a CPU as many as fit in its cache."""
    channels = features.shape[1]
    step = channels
    if features.device.type == "cpu":
        step = max(_BLOCK_BYTES // (features[:, 0].nbytes or 1), 1)
    return [slice(first, first + step) for first in range(0, channels, step)]


def convolve_joined_by_winograd(
    bands: Bands, original: Tensor, aligned: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """`convolve_joined` by Winograd; requires `photoreal.networks.fast.kernels.uses_winograd`.

    `aligned` comes from `align_phases` of the folded kernel.
    """
    n, channels, height, width = bands.LL.shape
    outputs = weight.shape[0]
    out = original.new_empty(n, outputs, 2 * height, 2 * width)
    for item in range(n):
        # Block by block, so that no temporary is as large as the result.
        for first, last in kernels.row_blocks(height, width, 4 * channels, 4 * outputs):
            parts = [band[item, None] for band in bands]
            rows = kernels.padded_rows(parts, first, last, reflect=False)
            phases = kernels.winograd(rows, aligned, None)
            parts = [original[item, None]]
            rows = kernels.padded_rows(parts, 2 * first, 2 * last, reflect=True)
            block = kernels.winograd(rows, weight, bias)
            # Depth to space and the sum in one pass; pixel_shuffle would need a separate one.
            cells = block.view(1, outputs, last - first, 2, width, 2)
            cells += phases.view(1, outputs, 2, 2, last - first, width).permute(0, 1, 4, 2, 5, 3)
            kernels.store(block, out[item, None, :, 2 * first : 2 * last], relu=True)
    return out


def align_phases(kernel: Tensor) -> Tensor:
    """Convert the folded kernel (4 O, 4 C, 2, 2) to the 3x3 filters required by Winograd.

    Each phase's taps are placed at the start of its window, so that no cropping is needed.
    """
    aligned = kernel.new_zeros(*kernel.shape[:2], 3, 3)
    for a in range(2):
        for b in range(2):
            phase = 2 * a + b
            aligned[phase::4, :, a : a + 2, b : b + 2] = kernel[phase::4]
    return aligned

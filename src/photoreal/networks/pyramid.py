"""Pyramid pooling: features averaged over a few cells, and enlarged again to be convolved.

Zhao et al., "Pyramid Scene Parsing Network" (CVPR 2017), section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOL_SIZES = (1, 2, 3, 6)


def pooling_matrix(cells: int, length: Tensor) -> Tensor:
    """Matrix (cells, length) that averages a line of `length` values into `cells` cells.

    Cell i covers floor(i * length / cells) to ceil((i + 1) * length / cells), as in adaptive
    average pooling; unlike the latter, it can be exported to ONNX with a dynamic length. `length`
    is the index tensor 0, 1, ... of the line, whose size may be unknown.
    """
    index = torch.arange(cells, device=length.device).unsqueeze(1)
    size = length.shape[0]
    start = (index * size) // cells
    end = ((index + 1) * size + cells - 1) // cells
    inside = (length >= start) & (length < end)
    return inside.float() / (end - start).float()


class PyramidPool(nn.Module):
    """Average pooling to a grid of `cells` x `cells`, exact for any size."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, cells, cells)."""
        if self.training:  # the same, in less time with gradients on a GPU
            return F.adaptive_avg_pool2d(x, self.cells)
        rows = pooling_matrix(self.cells, torch.arange(x.shape[2], device=x.device)).to(x.dtype)
        columns = pooling_matrix(self.cells, torch.arange(x.shape[3], device=x.device)).to(x.dtype)
        return rows @ x @ columns.T


def enlarged_and_convolved(cells: Tensor, weight: Tensor, like: Tensor) -> Tensor:
    """Enlarge cells (N, C, cells, cells) to the size of `like` and convolve them with 3x3 taps.

    The same as bilinear interpolation and a convolution with `weight` (D, C, 3, 3), padded with a
    pixel of zeros: both are linear, and the first is the same in every channel. So the channels of
    each tap are mixed while there are few cells, and the taps are enlarged and added as matrix
    products. Returns (N, D, H, W).
    """
    count, channels = cells.shape[2], weight.shape[0]
    taps = F.conv2d(cells, weight.permute(2, 3, 0, 1).reshape(9 * channels, -1, 1, 1))
    taps = taps.reshape(-1, 3, 3, channels, count, count).permute(0, 3, 1, 4, 2, 5)
    taps = taps.reshape(-1, channels, 3 * count, 3 * count)
    rows, columns = (
        enlarging_matrix(count, torch.arange(like.shape[axis], device=like.device)).to(like.dtype)
        for axis in (2, 3)
    )
    return rows.T @ taps @ columns


def enlarging_matrix(cells: int, length: Tensor) -> Tensor:
    """Matrix (3 cells, length) from the cells under the three taps of a convolution to a line.

    The rows of a tap interpolate `cells` values linearly at the pixel before, at or after each
    pixel; beyond the line they are zero. `length` is as for `pooling_matrix`.
    """
    index = torch.arange(cells, device=length.device).unsqueeze(1)
    place = ((length.float() + 0.5) * (cells / length.shape[0]) - 0.5).clamp(0, cells - 1)
    share = F.pad((1 - (place - index).abs()).clamp(min=0), (1, 1))
    return torch.cat([share[:, :-2], share[:, 1:-1], share[:, 2:]])

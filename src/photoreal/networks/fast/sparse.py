"""Convolutions with mostly zero filters, replaced by copies and matrix products.

The built-in weights pass their image through most layers unchanged: all taps of such a filter are
zero except one at its center, so the output is a scaled copy. A filter with taps only at its
center is a row of a matrix. Only the remaining filters are convolved. The results equal those of
`photoreal.networks.fast.kernels.convolve` up to rounding; weights without such filters, such as
trained ones, are convolved there as a whole.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from photoreal.networks.fast import kernels

MOST_RUNS = 4
"""Maximum number of runs; filters with more are convolved as a whole."""


class Run(NamedTuple):
    """Outputs from `first` to `last`, exclusive, whose filters are of one kind.

    "copy": output `first` + k is `gain` times channel `source` + k; "point": taps only at the
    center; "full": any other filter.
    """

    kind: Literal["copy", "point", "full"]
    first: int
    last: int
    source: int = 0
    gain: float = 1.0


class Layer(NamedTuple):
    """Structure of a layer's filters: their runs, and whether any bias is nonzero."""

    runs: tuple[Run, ...]
    biased: bool


def examine(weight: Tensor, bias: Tensor | None) -> Layer | None:
    """Find the runs of filters (O, C, 3, 3) with biases (O,); None when they save nothing."""
    runs = _runs(weight.detach().cpu())
    if len(runs) > MOST_RUNS or all(run.kind == "full" for run in runs):
        return None
    return Layer(tuple(runs), bias is not None and bool(bias.detach().any()))


def _runs(weight: Tensor) -> list[Run]:
    center = weight[:, :, 1, 1]
    taps = weight.flatten(1).count_nonzero(dim=1).tolist()
    central = center.count_nonzero(dim=1).tolist()
    sources = center.abs().argmax(dim=1)
    gains = center.gather(1, sources[:, None])[:, 0].tolist()
    runs: list[Run] = []
    for output, source in enumerate(sources.tolist()):
        one = Run("full", output, output + 1)
        if taps[output] == central[output]:
            one = one._replace(kind="point")
            if central[output] == 1:
                one = one._replace(kind="copy", source=source, gain=gains[output])
        if runs and (_continues(runs[-1], one) or (not taps[output] and runs[-1].kind != "copy")):
            runs[-1] = runs[-1]._replace(last=output + 1)
        else:
            runs.append(one)
    return runs


def _continues(run: Run, one: Run) -> bool:
    if run.kind != one.kind or run.gain != one.gain:
        return False
    return run.kind != "copy" or run.source - run.first == one.source - one.first


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    layer: Layer | None,
    *,
    relu: bool = False,
    rectified: bool = False,
) -> Tensor:
    """`photoreal.networks.fast.kernels.convolve` using the structure found by `examine`.

    Returns `x` itself if it is `rectified`, the result of a ReLU, and the filters copy it. Without
    real data, as in an export, the filters are convolved as a whole. Raises ServeError like that
    function.
    """
    if layer is None or not kernels.computes(x, weight):
        return kernels.convolve(x, weight, bias, relu=relu)
    if rectified and not layer.biased and layer.runs == (Run("copy", 0, x.shape[1]),):
        return x
    n, _, height, width = x.shape
    out = kernels.like(x, (n, len(weight), height, width))
    for run in layer.runs:
        place, rows = out[:, run.first : run.last], weight[run.first : run.last]
        added = bias[run.first : run.last] if bias is not None and layer.biased else None
        if run.kind == "full":
            kernels.convolve(x, rows, added, relu=relu, out=place)
        elif run.kind == "point":
            kernels.store(_product(rows[:, :, 1, 1], x, added), place, relu=relu)
        else:
            copied = x[:, run.source : run.source + run.last - run.first]
            _copy(copied, run.gain, added, place, relu=relu)
    return out


def _product(matrix: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply a matrix (O, C) with the features of each pixel of (N, C, H, W)."""
    n, _, height, width = x.shape
    found = torch.matmul(matrix, x.flatten(2)).view(n, len(matrix), height, width)
    return found if bias is None else found.add_(bias[:, None, None])


def _copy(x: Tensor, gain: float, bias: Tensor | None, out: Tensor, *, relu: bool) -> None:
    if gain == 1.0 and bias is None:
        kernels.store(x, out, relu=relu)
        return
    torch.mul(x, gain, out=out)
    if bias is not None:
        out.add_(bias[:, None, None])
    if relu:
        out.clamp_min_(0.0)


def join_gains(weight: Tensor) -> tuple[float, ...] | None:
    """Gains of filters (O, P, C, 3, 3) that only compute a weighted sum of P parts.

    Returns one gain per part, where each output reads the channel of the same index; None for any
    other filters.
    """
    found = [_gain(part) for part in weight.detach().cpu().unbind(1)]
    gains = tuple(gain for gain in found if gain is not None)
    return gains if len(gains) == len(found) else None


def _gain(weight: Tensor) -> float | None:
    if not weight.any():
        return 0.0
    run, *others = _runs(weight)
    alone = not others and run.kind == "copy" and run.source == 0
    return run.gain if alone and weight.shape[0] == weight.shape[1] else None

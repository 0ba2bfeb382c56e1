"""3x3 convolution with reflection padding, by the fastest kernel available on this machine.

On a CPU, PyTorch's `conv2d` needs 9 multiplications per result of a 3x3 filter. Winograd's minimal
filtering (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4)
needs 64 for 36 results; NNPACK, bundled with PyTorch, computes it in float32 with errors around
1e-6 of the largest value. Everything else uses `conv2d`: other devices and dtypes, gradients,
tracing and export, and convolutions of a few channels.

Which of the two is faster depends on the CPU, so each process runs a benchmark of a quarter of a
second at the first convolution. PHOTOREAL_CONVOLUTION overrides it: "winograd" or "direct" ("auto",
the default, runs the benchmark).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.errors import ServeError

CONVOLUTION_VARIABLE = "PHOTOREAL_CONVOLUTION"
"""Environment variable that selects the kernel."""
CHOICES = ("auto", "winograd", "direct")

MIN_CHANNELS = 16
"""Minimum input channels: with fewer, the transforms cost more than the products they save."""
WORKSPACE = 64 * 2**20
"""Maximum NNPACK workspace in bytes for a block of rows; more is not faster."""

_MARGIN = 1.2  # a sample that fits into a cache, timed during startup, favors conv2d
_TILE = 6  # results per side of a tile; its transform has 8 x 8 values
_TILE_BYTES = 8 * 8 * 4
_INPUTS_AT_ONCE = 128  # NNPACK transforms this many input channels, then reuses the buffer


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    relu: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Convolve (N, C, H, W) with filters (O, C, 3, 3) and a bias (O,), with reflection padding.

    H and W are at least 2. Returns (N, O, H, W), after a ReLU with `relu`; `out` is an optional
    output buffer. Raises ServeError when the environment variable selects a kernel that is not
    available.
    """
    if uses_winograd(x, weight):
        return _by_winograd(x, weight, bias, relu=relu, out=out)
    return _directly(x, weight, bias, relu=relu, out=out)


def _directly(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, relu: bool, out: Tensor | None = None
) -> Tensor:
    found = F.conv2d(pad(x, reflect=True), weight, bias)
    if out is None:
        return F.relu(found) if relu else found
    store(found, out, relu=relu)
    return out


def _by_winograd(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, relu: bool, out: Tensor | None = None
) -> Tensor:
    n, channels, height, width = x.shape
    if min(height, width) < 2:
        raise ValueError(f"{height}x{width} pixels have no border to reflect; expected 2 a side.")
    if out is None:
        out = x.new_empty(n, weight.shape[0], height, width)
    for item in range(n):
        for first, last in row_blocks(height, width, channels, weight.shape[0]):
            rows = padded_rows([x[item, None]], first, last, reflect=True)
            block = winograd(rows, weight, bias)
            store(block, out[item, None, :, first:last], relu=relu)
    return out


def pad(x: Tensor, *, reflect: bool) -> Tensor:
    """Pad (N, C, H, W) by one pixel on all sides, by reflection or else by replication.

    The channels-last memory format is kept: PyTorch's own padding makes a GPU convert features to
    the other format and back around each convolution.
    """
    if type(x) is not Tensor or x.device.type == "cpu" or not is_channels_last(x):
        return F.pad(x, (1, 1, 1, 1), mode="reflect" if reflect else "replicate")
    return pad_channels_last(x, reflect=reflect)


def pad_channels_last(x: Tensor, *, reflect: bool) -> Tensor:
    """`pad` into a tensor in channels-last memory format."""
    n, channels, height, width = x.shape
    out = x.new_empty(n, height + 2, width + 2, channels).permute(0, 3, 1, 2)
    edge = 1 if reflect else 0
    out[:, :, 1:-1, 1:-1] = x
    out[:, :, 0, 1:-1], out[:, :, -1, 1:-1] = x[:, :, edge], x[:, :, -1 - edge]
    out[..., 0], out[..., -1] = out[..., 1 + edge], out[..., -2 - edge]
    return out


def is_channels_last(x: Tensor) -> bool:
    """Whether features are in channels-last memory format."""
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def like(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Allocate features of a shape (N, C, H, W) in the memory format of `x`."""
    n, channels, height, width = shape
    if is_channels_last(x):
        return x.new_empty(n, height, width, channels).permute(0, 3, 1, 2)
    return x.new_empty(tuple(shape))


def computes(x: Tensor, weight: Tensor) -> bool:
    """Whether this is plain eager computation on real data.

    False for the fake tensors of an export, in tracing and compilation, and with gradients.
    """
    return not (
        type(x) is not Tensor
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
    )


def uses_winograd(x: Tensor, weight: Tensor) -> bool:
    """Whether `convolve` uses Winograd for these features and filters.

    Features so wide that a row of tiles exceeds `WORKSPACE` are convolved directly.

    Raises ServeError when the environment variable selects a kernel that is not available.
    """
    if (
        not computes(x, weight)
        or not x.dtype == weight.dtype == torch.float32
        or not x.device.type == weight.device.type == "cpu"
        or weight.shape[1] < MIN_CHANNELS
        or _row_bytes(x.shape[3], weight.shape[1], weight.shape[0]) > WORKSPACE
    ):
        return False
    return prepare()


def prepare() -> bool:
    """Select the kernel, with a benchmark if necessary; returns whether it is Winograd.

    Raises ServeError when the environment variable selects a kernel that is not available. NNPACK
    keeps PyTorch's thread count at the time of this call.
    """
    choice = os.environ.get(CONVOLUTION_VARIABLE, CHOICES[0])
    if choice not in CHOICES:
        raise ServeError(
            f"{CONVOLUTION_VARIABLE} is {choice!r}; expected {', '.join(CHOICES[:-1])} or"
            f" {CHOICES[-1]}."
        )
    if choice == "winograd" and not has_winograd():
        raise ServeError(
            f"{CONVOLUTION_VARIABLE} is winograd, but PyTorch has no NNPACK for this"
            " machine; use auto or direct."
        )
    return choice == "winograd" or (choice == "auto" and has_winograd() and _winograd_is_faster())


def winograd(padded: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve (1, C, H + 2, W + 2) with (O, C, 3, 3) by NNPACK; returns (1, O, H, W)."""
    return torch._nnpack_spatial_convolution(padded, weight, bias, padding=[0, 0], stride=[1, 1])


def row_blocks(height: int, width: int, inputs: int, outputs: int) -> Iterator[tuple[int, int]]:
    """Yield first and last (exclusive) row of blocks whose transforms fit into `WORKSPACE`.

    NNPACK keeps the largest workspace that it ever allocated, so this bounds its memory use.
    """
    rows = max(WORKSPACE // _row_bytes(width, inputs, outputs), 1) * _TILE
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _row_bytes(width: int, inputs: int, outputs: int) -> int:
    """Size of the transforms of a row of tiles."""
    return (min(inputs, _INPUTS_AT_ONCE) + outputs) * _TILE_BYTES * -(-width // _TILE)


def padded_rows(parts: Sequence[Tensor], first: int, last: int, *, reflect: bool) -> Tensor:
    """Concatenate rows first..last - 1 of parts (1, C, H, W), with one pixel more on each side.

    Returns (1, sum of C, last - first + 2, W + 2). Beyond the image borders the padding is by
    reflection with `reflect` (H and W at least 2), else by replication.
    """
    height, width = parts[0].shape[-2:]
    channels = sum(part.shape[1] for part in parts)
    out = parts[0].new_empty(1, channels, last - first + 2, width + 2)
    # A single copy: padding a slice would first make it contiguous.
    top, bottom = max(first - 1, 0), min(last + 1, height)
    edge = 1 if reflect else 0
    places = torch.split(out, [part.shape[1] for part in parts], dim=1)
    for part, place in zip(parts, places, strict=True):
        inner = place[..., 1:-1]
        inner[:, :, top - first + 1 : bottom - first + 1] = part[:, :, top:bottom]
        if first == 0:
            inner[:, :, 0] = part[:, :, edge]
        if last == height:
            inner[:, :, -1] = part[:, :, height - 1 - edge]
    out[..., 0], out[..., -1] = out[..., 1 + edge], out[..., width - edge]
    return out


def store(block: Tensor, out: Tensor, *, relu: bool) -> None:
    """Write a block of results to `out`, after a ReLU with `relu`."""
    if relu:
        torch.clamp_min(block, 0.0, out=out)
    else:
        out.copy_(block)


@cache
def has_winograd() -> bool:
    """Whether this PyTorch has NNPACK, and NNPACK works here and gives correct results."""
    # This check also initializes NNPACK, without which its convolution fails.
    if not torch.backends.nnpack.is_available():  # type: ignore[no-untyped-call]
        return False
    padded, weight, bias = _sample(MIN_CHANNELS, 14, 20)
    try:
        found = winograd(padded, weight, bias)
    except (AttributeError, RuntimeError, TypeError):  # a private PyTorch API, which may change
        return False
    return torch.allclose(found, F.conv2d(padded, weight, bias), rtol=0, atol=1e-3)


@cache
def _winograd_is_faster() -> bool:
    sample = _sample(128, 96, 192)
    with torch.no_grad():
        # Time them with padding and ReLU, which can cost as much as Winograd saves.
        ways = (lambda: _by_winograd(*sample, relu=True), lambda: _directly(*sample, relu=True))
        # Alternate and keep the best of each, so that other load affects both equally.
        times = [[_seconds(way) for way in ways] for _ in range(4)]
    return min(row[0] for row in times) < _MARGIN * min(row[1] for row in times)


def _sample(channels: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((1, channels, height, width), generator=generator)
    weight = torch.rand((channels, channels, 3, 3), generator=generator) / (9 * channels)
    return x, weight, torch.rand(channels, generator=generator)


def _seconds(way: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start

"""Square roots and inverse square roots of covariances plus the identity.

On a CPU by eigen-decomposition. A GPU is slow at those, one by one all the more, and has the
host wait for each: there all matrices of one size go at once through the coupled Newton-Schulz
iteration (Higham, "Functions of Matrices", 2008, section 6.3), which is products alone. Its first
steps are scaled as Chen & Chow do ("A Stable Scaling of Newton-Schulz for Improving the Sign
Function Computation of a Hermitian Matrix", 2014), from the bound that the identity gives: no
eigenvalue is below 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from photoreal import devices
from photoreal.contract import CHANNELS
from photoreal.errors import NumericalError

STEPS = 14
"""Of the iteration: enough for eigenvalues up to 10^8. More could only add up rounding errors."""
_DecompositionFailed = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # it is public
_LEAST = 1e-2
"""Scaling for values below it would cost the largest ones their last digits."""


def _scales() -> list[float]:
    """Scale of each step: all singular values of what tends to the identity are up to 1.

    The least of them is at `_LEAST`, or what is below gets no scaling of its own. A bound by each
    matrix's norm would be better for small ones, and cost a dozen launches a step.
    """
    low, scales = _LEAST, []
    for _ in range(STEPS):
        scales.append(math.sqrt(3.0 / (1.0 + low + low * low)))
        low *= 0.5 * scales[-1] * (3.0 - (scales[-1] * low) ** 2)
    return scales


_SCALES = _scales()
_PREPARED = (1, 2, 4, 8, 16)  # matrices: three bands of five regions
_LARGEST = _PREPARED[-1]  # more come in several batches: a graph and its memory are never freed
_PREPARED_ROWS = 4096  # where there are most channels there are no bands


def roots(covariances: Sequence[Tensor]) -> list[Tensor]:
    """The symmetric root of each covariance (C, C) plus the identity; raises NumericalError."""
    if covariances and devices.is_queued(covariances[0].device):
        return _by_size(covariances, lambda batch: _iterated(batch)[0])
    return [_power(covariance, Tensor.sqrt) for covariance in covariances]


def inverse_roots(covariances: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of the symmetric root of each covariance (C, C) plus the identity.

    Raises NumericalError.
    """
    if covariances and devices.is_queued(covariances[0].device):
        return _by_size(covariances, lambda batch: _iterated(batch)[1])
    return [_power(covariance, Tensor.rsqrt) for covariance in covariances]


def prepare(device: torch.device) -> None:
    """Do beforehand what the first requests on a GPU would take longer for."""
    if device.type == "cuda":
        found = torch.empty(0, device=device).device  # with its number
        for channels in CHANNELS.values():
            for count in _PREPARED:
                if count * channels <= _PREPARED_ROWS:
                    _captured(count, channels, found)


def _by_size(covariances: Sequence[Tensor], function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """A function of batches (N, C, C), each of all matrices that have one size."""
    found: dict[int, Tensor] = {}
    for channels in {len(covariance) for covariance in covariances}:
        places = [k for k, covariance in enumerate(covariances) if len(covariance) == channels]
        results = function(torch.stack([covariances[k] for k in places]))
        found |= dict(zip(places, results, strict=True))
    return [found[k] for k in range(len(covariances))]


def _iterated(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """`newton_schulz`; on a GPU its launches come as one.

    Each would take the host as long as the GPU takes for the product.
    """
    if not _has_graphs(covariances):
        return newton_schulz(covariances)
    replayed = [_replayed(part) for part in torch.split(covariances, _LARGEST)]
    found, inverses = (torch.cat(parts) for parts in zip(*replayed, strict=True))
    return found, inverses


def _has_graphs(covariances: Tensor) -> bool:
    return covariances.device.type == "cuda" and covariances.dtype == torch.float32


def _replayed(covariances: Tensor) -> tuple[Tensor, Tensor]:
    count, channels, _ = covariances.shape
    room = 1 << (count - 1).bit_length()  # few sizes: each is captured once
    captured = _captured(room, channels, covariances.device)
    captured.given[:count] = covariances
    captured.graph.replay()
    return captured.root[:count].clone(), captured.inverse[:count].clone()


class _Captured(NamedTuple):
    """The iteration as a graph of launches, from and to memory of its own."""

    graph: torch.cuda.CUDAGraph
    given: Tensor
    root: Tensor
    inverse: Tensor


@cache
@torch.inference_mode(False)
@torch.no_grad()
def _captured(count: int, channels: int, device: torch.device) -> _Captured:
    given = torch.zeros(count, channels, channels, device=device)
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        newton_schulz(given)  # libraries make room at their first call, which cannot be captured
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_memory()):
        root, inverse = newton_schulz(given)
    return _Captured(graph, given, root, inverse)


@cache
def _memory() -> Any:
    """Graphs share it: what one leaves there is copied before another runs."""
    return torch.cuda.graph_pool_handle()


def newton_schulz(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Roots and inverse roots of a batch (N, C, C) of covariances plus the identity.

    Products of matrices alone; nothing is read back from the device. In float32 the results are
    as good as those of an eigen-decomposition in float32: to about 1e-7 times the largest
    eigenvalue, relative to the largest entry.
    """
    identity = torch.eye(covariances.shape[-1], dtype=covariances.dtype, device=covariances.device)
    matrices = covariances + identity
    norm = torch.linalg.matrix_norm(matrices, keepdim=True)
    root, inverse = matrices / norm, identity.expand_as(matrices)
    for scale in _SCALES:
        step = torch.baddbmm(identity, inverse, root, beta=1.5 * scale, alpha=-0.5 * scale**3)
        root, inverse = root @ step, step @ inverse
    size = norm.sqrt()
    return root * size, inverse / size


def _power(covariance: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of the eigenvalues of a covariance plus the identity."""
    values, vectors = _eigenvalues(
        covariance + torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    )
    # Rounding may leave an eigenvalue of a flat region just below the 1 that it is.
    power: Tensor = (vectors * function(values.clamp_(min=1.0))) @ vectors.T
    return power


def _eigenvalues(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors, found in double precision where LAPACK fails in single."""
    with suppress(_DecompositionFailed):
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    try:
        values, vectors = torch.linalg.eigh(matrix.double())
    except _DecompositionFailed:
        raise NumericalError(
            "the covariance of a region has no eigen-decomposition, since its features are not"
            " finite or too large; weights other than the built-in ones may not fit the photo."
        ) from None
    return values.to(matrix.dtype), vectors.to(matrix.dtype)

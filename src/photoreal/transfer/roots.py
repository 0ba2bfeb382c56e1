"""Square roots and inverse square roots of covariances plus the identity.

On a CPU they are computed by eigendecomposition. On a GPU that is slow, especially one matrix at
a time, and blocks the host. There all matrices of one size go through the coupled Newton-Schulz
iteration in one batch (Higham, "Functions of Matrices", 2008, section 6.3), which consists of
matrix products only. Its first steps are scaled as in Chen & Chow ("A Stable Scaling of
Newton-Schulz for Improving the Sign Function Computation of a Hermitian Matrix", 2014), using the
lower bound of 1 on the eigenvalues that the identity guarantees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from photoreal import devices
from photoreal.contract import CHANNELS
from photoreal.errors import NumericalError
from photoreal.threads import parallel

STEPS = 14
"""Iteration steps: enough for eigenvalues up to 10^8. More would only add rounding errors."""
_DecompositionFailed = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # it is public
_LEAST = 1e-2
"""Lower bound for scaling: a smaller one would cost the largest values precision."""


def _scales() -> list[float]:
    """Scale of each step, for singular values in `_LEAST`..1 of the matrix that tends to identity.

    Smaller singular values are not scaled separately. A bound from each matrix's norm would suit
    small matrices better, but cost a dozen launches per step.
    """
    low, scales = _LEAST, []
    for _ in range(STEPS):
        scales.append(math.sqrt(3.0 / (1.0 + low + low * low)))
        low *= 0.5 * scales[-1] * (3.0 - (scales[-1] * low) ** 2)
    return scales


_SCALES = _scales()
_PREPARED = (1, 2, 4, 8, 16)  # matrices: three bands of five regions
_LARGEST = _PREPARED[-1]  # larger batches are split: a graph and its memory are never freed
_PREPARED_ROWS = 4096  # the level with the most channels has no bands


def roots(covariances: Sequence[Tensor]) -> list[Tensor]:
    """Symmetric root of each covariance (C, C) plus the identity; raises NumericalError."""
    if covariances and devices.is_queued(covariances[0].device):
        return _by_size(covariances, batch_roots)
    return _powers(covariances, Tensor.sqrt)


def inverse_roots(covariances: Sequence[Tensor]) -> list[Tensor]:
    """Inverse of the symmetric root of each covariance (C, C) plus the identity.

    Raises NumericalError.
    """
    if covariances and devices.is_queued(covariances[0].device):
        return _by_size(covariances, batch_inverse_roots)
    return _powers(covariances, Tensor.rsqrt)


def prepare(device: torch.device) -> None:
    """Warm up a GPU: do the one-time work that would slow down the first requests."""
    if device.type == "cuda":
        found = torch.empty(0, device=device).device  # with its index
        for channels in CHANNELS.values():
            for count in _PREPARED:
                if count * channels <= _PREPARED_ROWS:
                    _captured(count, channels, found)


def _by_size(covariances: Sequence[Tensor], function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Apply a function of batches (N, C, C) to the matrices, one batch per size."""
    found: dict[int, Tensor] = {}
    for channels in {len(covariance) for covariance in covariances}:
        places = [k for k, covariance in enumerate(covariances) if len(covariance) == channels]
        results = function(torch.stack([covariances[k] for k in places]))
        found |= dict(zip(places, results, strict=True))
    return [found[k] for k in range(len(covariances))]


def batch_roots(covariances: Tensor) -> Tensor:
    """`roots` of a batch (N, C, C) on a GPU."""
    return _iterated(covariances, inverse=False)


def batch_inverse_roots(covariances: Tensor) -> Tensor:
    """`inverse_roots` of a batch (N, C, C) on a GPU."""
    return _iterated(covariances, inverse=True)


def _iterated(covariances: Tensor, *, inverse: bool) -> Tensor:
    """A result of `newton_schulz`, replayed as a CUDA graph on a GPU.

    Launching each product separately takes the host as long as the product takes the GPU.
    """
    if not _has_graphs(covariances):
        return newton_schulz(covariances)[inverse]
    replayed = [_replayed(part, inverse=inverse) for part in torch.split(covariances, _LARGEST)]
    return replayed[0] if len(replayed) == 1 else torch.cat(replayed)


def _has_graphs(covariances: Tensor) -> bool:
    return covariances.device.type == "cuda" and covariances.dtype == torch.float32


def _replayed(covariances: Tensor, *, inverse: bool) -> Tensor:
    count, channels, _ = covariances.shape
    room = 1 << (count - 1).bit_length()  # powers of two: few sizes to capture
    captured = _captured(room, channels, covariances.device)
    captured.given[:count] = covariances
    captured.graph.replay()
    return (captured.inverse if inverse else captured.root)[:count].clone()


class _Captured(NamedTuple):
    """The iteration as a captured CUDA graph with its own input and output buffers."""

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
        newton_schulz(given)  # libraries allocate at their first call, which cannot be captured
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_memory()):
        root, inverse = newton_schulz(given)
    return _Captured(graph, given, root, inverse)


@cache
def _memory() -> Any:
    """Memory pool shared by all graphs: a graph's outputs are copied before another one runs."""
    return torch.cuda.graph_pool_handle()


def newton_schulz(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Roots and inverse roots of a batch (N, C, C) of covariances plus the identity.

    Uses only matrix products; nothing is read back from the device. In float32 the results are as
    accurate as those of a float32 eigendecomposition: to about 1e-7 times the largest eigenvalue,
    relative to the largest entry.
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


def _powers(covariances: Sequence[Tensor], function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    if not covariances:
        return []
    power = partial(_power, function=function)
    return parallel(power, covariances, covariances[0].device)


def _power(covariance: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function to the eigenvalues of a covariance plus the identity."""
    values, vectors = _eigenvalues(
        covariance + torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    )
    # Rounding may put an eigenvalue of a flat region just below its exact value of 1.
    power: Tensor = (vectors * function(values.clamp_(min=1.0))) @ vectors.T
    return power


def _eigenvalues(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors; falls back to double precision if LAPACK fails in single."""
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

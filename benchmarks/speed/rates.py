"""How much of the machine's arithmetic the networks use: their rate against a matrix product's.

Multiply-adds are counted from the layers as published. A network that reaches its result with
fewer (unpooling folded into a convolution, Winograd) shows as a higher rate, even above the matrix
product's: the rate says how fast the published work is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from serving import networks
from tables import Cell, Column, Part, Spread
from torch import Tensor

from photoreal.contract import LEVELS
from photoreal.networks.vgg import Skips
from photoreal.transfer.progressive import NetworkEngine
from speed.dense import dense_networks
from speed.work import multiply_adds

MATRIX_SIDE = 3072

_SPARING = "whole pass, the repository's weights"
_Result = TypeVar("_Result")

_COLUMNS = {
    "what": Column("what"),
    "gmac": Column("10^9 multiply-adds", 1),
    "seconds": Column("s", 3),
    "gflops": Column("GFLOP/s", 0),
    "share": Column("share of the matrix product's rate", 2),
}


@torch.inference_mode()
def measure_rates(repository: Path, height: int, width: int, rounds: int) -> Part:
    """Time network passes and matrix products in turns; sides are multiples of 8."""
    encoder, decoder = networks(repository)
    sparing = NetworkEngine(encoder, decoder)
    engine = NetworkEngine(*dense_networks((encoder, decoder)))
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    matrix = torch.rand(MATRIX_SIDE, MATRIX_SIDE, generator=torch.Generator().manual_seed(1)).sub_(
        0.5
    )
    product = torch.empty_like(matrix)
    counts = {
        "encoder": multiply_adds(encoder, height, width),
        "decoder": multiply_adds(decoder, height, width),
    }
    counts["whole pass"] = counts["encoder"] + counts["decoder"]
    counts[_SPARING] = counts["whole pass"]
    counts["matrix product"] = MATRIX_SIDE**3
    seconds: dict[str, list[float]] = {name: [] for name in counts}
    for turn in range(rounds + 1):
        encode_s, (features, skips) = _timed(partial(_encode, engine, image))
        decode_s, _ = _timed(partial(_decode, engine, features, skips))
        sparing_s, _ = _timed(lambda: _decode(sparing, *_encode(sparing, image)))
        product_s, _ = _timed(partial(torch.mm, matrix, matrix, out=product))
        if turn:  # the first one makes room in memory
            seconds["encoder"].append(encode_s)
            seconds["decoder"].append(decode_s)
            seconds["whole pass"].append(encode_s + decode_s)
            seconds[_SPARING].append(sparing_s)
            seconds["matrix product"].append(product_s)
    rates = {
        name: [2e-9 * counts[name] / value for value in values] for name, values in seconds.items()
    }
    rows: list[dict[str, Cell]] = [
        {
            "what": name,
            "gmac": count / 1e9,
            "seconds": Spread.of(seconds[name]),
            "gflops": Spread.of(rates[name]),
            "share": Spread.of(
                own / best for own, best in zip(rates[name], rates["matrix product"], strict=True)
            ),
        }
        for name, count in counts.items()
    ]
    note = (
        f"One pass over {width}x{height} pixels; the product is of float32 matrices of"
        f" {MATRIX_SIDE}x{MATRIX_SIDE}. Work is counted as published, so saved work raises a rate:"
        " dense weights have every product computed, the repository's own may not."
    )
    return Part("Arithmetic", _COLUMNS, rows, [note])


def _timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _encode(engine: NetworkEngine, x: Tensor) -> tuple[Tensor, list[Skips]]:
    skips = []
    for level in LEVELS:
        x, skip = engine.encode(level, x)
        if skip is not None:
            skips.append(skip)
    return x, skips


def _decode(engine: NetworkEngine, x: Tensor, skips: list[Skips]) -> Tensor:
    left = list(skips)
    for level in reversed(LEVELS):
        x = engine.decode(level, x, left.pop() if level > LEVELS[0] else None)
    return x

"""Times on an asynchronous device: the transfer, plain PyTorch, a matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import torch
from pictures import Inputs, square_inputs
from tables import Cell, Spread
from torch import Tensor

from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer.progressive import LabelledImage, NetworkEngine, apply_style, measure_style
from speed.baseline import Baseline
from speed.dense import dense_networks
from speed.work import multiply_adds

PLAIN = "plain PyTorch"
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
MATRIX_SIDES = {"cuda": 8192, "cpu": 512}

_Network = TypeVar("_Network", Encoder, Decoder)


@dataclass(frozen=True)
class Clock:
    """Times work until the device has finished it, after one warm-up run."""

    device: torch.device
    repeats: int

    def time(
        self, work: Callable[[], object], repeats: int | None = None
    ) -> tuple[list[float], int | None]:
        """Return the seconds of each run, and the peak memory of tensors on a GPU in bytes."""
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = []
        for _ in range((repeats or self.repeats) + 1):
            self._wait()
            started = time.perf_counter()
            work()
            self._wait()
            seconds.append(time.perf_counter() - started)
        return seconds[1:], torch.cuda.max_memory_allocated(self.device) if on_gpu else None

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def matrix_rates(clock: Clock) -> dict[str, float]:
    """Operations per second of a large matrix product, by precision."""
    side = MATRIX_SIDES[clock.device.type]
    rates = {}
    for name, dtype in DTYPES.items():
        matrix = torch.rand(side, side, device=clock.device).sub_(0.5).to(dtype)
        out = torch.empty_like(matrix)

        def product(matrix: Tensor = matrix, out: Tensor = out) -> None:
            torch.mm(matrix, matrix, out=out)

        rates[name] = 2 * side**3 / median(clock.time(product)[0])
    return rates


@dataclass(frozen=True)
class Way:
    """One way to run the networks."""

    name: str
    dtype: torch.dtype
    channels_last: bool
    dense: bool = False


WAYS = (
    Way("fp16, channels last", torch.float16, channels_last=True),
    Way("fp16", torch.float16, channels_last=False),
    Way("fp32", torch.float32, channels_last=False),
    Way("fp16, channels last, dense weights", torch.float16, channels_last=True, dense=True),
)


class Timing:
    """Times the transfer at one size on one device."""

    def __init__(
        self, networks: tuple[Encoder, Decoder], clock: Clock, size: int, rates: dict[str, float]
    ) -> None:
        self._networks, self._clock, self._size, self._rates = networks, clock, size, rates
        self._inputs = square_inputs(size)
        self._passes = sum(multiply_adds(network, size, size) for network in networks)

    def rows(self) -> list[dict[str, Cell]]:
        """Rows for plain PyTorch, then for every way with a new and a cached style."""
        encoder, decoder = self._networks
        device = self._clock.device
        plain = Baseline(_on(encoder, device), _on(decoder, device))
        rows = [self._row(PLAIN, "new", 2, lambda: plain.transfer(self._inputs).cpu())]
        (basis,) = (row["ms"] for row in rows)
        for way in WAYS:
            rows += self._of_way(way)
        for row in rows:
            if isinstance(basis, Spread) and isinstance(row["ms"], Spread):
                row["ratio"] = basis.median / row["ms"].median
        return rows

    def _of_way(self, way: Way) -> list[dict[str, Cell]]:
        networks = dense_networks(self._networks) if way.dense else self._networks
        engine = NetworkEngine(
            *networks,
            self._clock.device,
            dtype=way.dtype,
            channels_last=way.channels_last,
        )
        content, style = labelled(self._inputs)
        labels = {pair.style for pair in self._inputs.pairs}
        known = measure_style(style, labels, engine)

        def apply() -> Tensor:
            return apply_style(content, known, self._inputs.pairs, engine)[0].float().cpu()

        def uncached() -> Tensor:
            measures = measure_style(style, labels, engine)
            return apply_style(content, measures, self._inputs.pairs, engine)[0].float().cpu()

        return [
            self._row(way.name, "new", 2, uncached),
            self._row(way.name, "known", 1, apply),
        ]

    def _row(
        self, engine: str, style: str, passes: int, work: Callable[[], Tensor]
    ) -> dict[str, Cell]:
        precision = "fp16" if engine.startswith("fp16") else "fp32"
        row: dict[str, Cell] = {
            "size": f"{self._size}x{self._size}",
            "engine": engine,
            "style": style,
            "ms": None,
            "floor_ms": 2e3 * passes * self._passes / self._rates[precision],
        }
        try:
            # On a large picture, a run of plain PyTorch takes tens of seconds.
            few = min(self._clock.repeats, 3) if engine == PLAIN else None
            seconds, peak = self._clock.time(work, few)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            row["engine"] = f"{engine} (out of memory)"
            return row
        row["ms"] = Spread.of(1e3 * value for value in seconds)
        row["memory_gb"] = None if peak is None else peak / 1e9
        return row


def labelled(inputs: Inputs) -> tuple[LabelledImage, LabelledImage]:
    """Content and style in the form that the transfer takes."""
    return (
        LabelledImage(torch.from_numpy(inputs.content[None]), inputs.content_labels),
        LabelledImage(torch.from_numpy(inputs.style[None]), inputs.style_labels),
    )


def _on(network: _Network, device: torch.device) -> _Network:
    return deepcopy(network).to(device)

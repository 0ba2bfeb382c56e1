"""Times and precision on an asynchronous device: the transfer beside plain PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from judging.metrics import Floats, psnr
from pictures import Inputs, square_inputs
from tables import Cell, Row, Spread
from torch import Tensor

from photoreal.transfer.progressive import (
    LabelledImage,
    NetworkEngine,
    StyleMeasures,
    apply_style,
    measure_style,
    transfer,
)
from speed.baseline import Baseline
from speed.dense import Networks, dense_networks

PLAIN = "plain PyTorch"
LEAST_PSNR_DB = 40.0
_FEW = 3  # runs of plain PyTorch, which takes tens of seconds for a large picture


class Way(NamedTuple):
    """One way to run the networks; half precision uses the channels-last memory format."""

    name: str
    half: bool
    dense: bool = False


WAYS = (Way("fp16", half=True), Way("fp32", half=False), Way("fp16, dense weights", True, True))


def _engine(networks: Networks, device: torch.device, *, half: bool) -> NetworkEngine:
    dtype = torch.float16 if half else torch.float32
    return NetworkEngine(*networks, device, dtype=dtype, channels_last=half)


@torch.inference_mode()
def check(networks: Networks, device: torch.device, size: int) -> Row:
    """Check half precision against float32 at a size; see also tests/unit/transfer/test_gpu.py."""
    inputs = square_inputs(size)
    content, style = labelled(inputs)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        engines = (_engine(networks, device, half=half) for half in (True, False))
        halves, floats = (
            transfer(content, style, inputs.pairs, engine).float().clamp(0, 1).cpu().numpy()
            for engine in engines
        )
    return check_row(f"fp16 against fp32 at {size}x{size} pixels", halves, floats, LEAST_PSNR_DB)


def check_row(what: str, picture: Floats, expected: Floats, least: float) -> Row:
    """A check that two pictures in 0..1 agree to a PSNR of at least `least` dB."""
    found = psnr(picture, expected)
    return {
        "check": f"{what}, dB",
        "found": found,
        "allowed": f"from {least:.0f}",
        "passed": "yes" if found >= least else "NO",
    }


@dataclass(frozen=True)
class Timing:
    """Times the transfer at one size on one device, `repeats` times after a warm-up."""

    networks: Networks
    device: torch.device
    size: int
    repeats: int

    def rows(self) -> list[dict[str, Cell]]:
        """Rows for plain PyTorch, then for every way with a new and a cached style."""
        inputs = square_inputs(self.size)
        encoder, decoder = deepcopy(self.networks)
        plain = Baseline(encoder.to(self.device), decoder.to(self.device))
        few = min(self.repeats, _FEW)
        rows = [self.row(PLAIN, "new", few, lambda: plain.transfer(inputs).cpu())]
        for way in WAYS:
            rows += self._of_way(way, inputs)
        basis = rows[0].get("ms")
        for row in rows:
            if isinstance(basis, Spread) and isinstance(own := row.get("ms"), Spread):
                row["ratio"] = basis.median / own.median
        return rows

    def _of_way(self, way: Way, inputs: Inputs) -> list[dict[str, Cell]]:
        networks = dense_networks(self.networks) if way.dense else self.networks
        engine = _engine(networks, self.device, half=way.half)
        content, style = labelled(inputs)
        labels = {pair.style for pair in inputs.pairs}
        known = measure_style(style, labels, engine)

        def apply(measures: StyleMeasures) -> Tensor:
            return apply_style(content, measures, inputs.pairs, engine)[0].float().cpu()

        ways = {
            "new": lambda: apply(measure_style(style, labels, engine)),
            "known": lambda: apply(known),
        }
        return [self.row(way.name, age, self.repeats, work) for age, work in ways.items()]

    def row(
        self, engine: str, style: str, repeats: int, work: Callable[[], Tensor]
    ) -> dict[str, Cell]:
        """Time some work, which ends with a copy to the CPU; peak memory is that of a GPU."""
        row: dict[str, Cell] = {
            "size": f"{self.size}x{self.size}",
            "engine": engine,
            "style": style,
        }
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        times = []
        try:
            for _ in range(repeats + 1):
                started = time.perf_counter()
                work()
                times.append(1e3 * (time.perf_counter() - started))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return row | {"engine": f"{engine} (out of memory)"}
        if on_gpu:
            row["memory_gb"] = torch.cuda.max_memory_allocated(self.device) / 1e9
        return row | {"ms": Spread.of(times[1:])}


def labelled(inputs: Inputs) -> tuple[LabelledImage, LabelledImage]:
    """Content and style in the form that the transfer takes."""
    return (
        LabelledImage(torch.from_numpy(inputs.content[None]), inputs.content_labels),
        LabelledImage(torch.from_numpy(inputs.style[None]), inputs.style_labels),
    )

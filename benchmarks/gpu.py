"""Check and time the transfer on a GPU: ``python benchmarks/gpu.py``.

Requires PyTorch with CUDA, numpy, Pillow and this package (``pip install .``), but not Triton. It
checks half precision, then times a new and a cached style against plain PyTorch on the same
device and against the floor (the time of the convolutions' operations at the rate of a large
matrix product), and writes ``gpu.json`` and ``gpu.md``. ``--device cpu --sizes 64`` is a quick
test of the command.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import torch
from entry import HELP, make_main
from machine import machine
from speed.gpu_checks import check
from speed.gpu_timing import PLAIN, Clock, Timing, matrix_rates
from tables import Cell, Column, Part

from photoreal.contract import DEVICES
from photoreal.errors import PhotorealError
from photoreal.weights.networks import load_wct2

OUTPUT = Path(__file__).parent / "results" / "gpu"
SIZES = "512,1024,2048"
GOALS = (
    "Goals on an H200: 1024x1024 with a new style below 100 ms, with a known one below 50 ms, at"
    f" least 20 times as fast as {PLAIN}; 2048x2048 below 400 ms."
)

_COLUMNS = {
    "size": Column("pixels"),
    "engine": Column("engine"),
    "style": Column("style"),
    "ms": Column("ms", 1),
    "ratio": Column(f"times as fast as {PLAIN}", 1),
    "floor_ms": Column("floor, ms", 2),
    "memory_gb": Column("peak memory, GB", 2),
}


@click.command(context_settings=HELP)
@click.option("--device", type=click.Choice(DEVICES), default="cuda", show_default=True)
@click.option("--sizes", default=SIZES, show_default=True, help="Sides in pixels, with commas.")
@click.option("--repeats", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=OUTPUT,
    help="Where to write, without .json and .md.",
)
def gpu(device: str, sizes: str, repeats: int, output: Path) -> None:
    """Check and time the transfer on a device. Exit code 1: no such device, or a check failed."""
    try:
        sides = [int(one) for one in sizes.split(",")]
    except ValueError:
        raise click.BadParameter("expected whole numbers with commas", param_hint="sizes") from None
    if min(sides) < 16 or any(side % 8 for side in sides):
        raise click.BadParameter("expected multiples of 8 from 16 up", param_hint="sizes")
    if device == "cuda" and not torch.cuda.is_available():
        raise PhotorealError(
            "PyTorch cannot use a CUDA device here; run this on a machine with a GPU, or try the"
            " command with: --device cpu --sizes 64"
        )
    clock = Clock(torch.device(device), repeats)
    networks = load_wct2()
    parts = [check(networks, clock.device, min(max(sides), 512))]
    _write(output, clock.device, parts)
    rates = matrix_rates(clock)
    rows: list[dict[str, Cell]] = []
    for side in sides:
        rows += Timing(networks, clock, side, rates).rows()
        _write(output, clock.device, [*parts, _times(rows, rates)])  # a run may be interrupted
    click.echo("\n".join(output.with_suffix(".md").read_text().splitlines()))
    if any(row["passed"] == "NO" for row in parts[0].rows):
        raise PhotorealError("A check failed; the times are not valid.")


def _times(rows: list[dict[str, Cell]], rates: dict[str, float]) -> Part:
    measured = ", ".join(f"{rate / 1e12:.2f} in {name}" for name, rate in rates.items())
    how = (
        "Median (least..most) after one run that is not counted, three regions, content and style"
        " of the same size, from arrays of this process to an array; no files, no server. Dense"
        " weights are the built-in ones with a small random number added to each, so that nothing"
        " is left out, as with trained weights."
    )
    floor = (
        "The floor is the convolutions' operations, as published, at the rate of a large matrix"
        f" product: 10^12 operations a second, {measured}. Unpooling folded into a convolution"
        " saves a quarter of them."
    )
    plain = (
        "The plain path is benchmarks/speed/baseline.py: singular value decompositions, regions one"
        " by one. Convolutions in fp32 are PyTorch's default, TF32 where a GPU has it, in both."
    )
    notes = [how, floor, plain, GOALS]
    return Part("Times", _COLUMNS, rows, notes)


def _write(output: Path, device: torch.device, parts: list[Part]) -> None:
    about: dict[str, Any] = {**machine(), "device": _name(device)}
    lines = ["# The transfer on a GPU", ""] if device.type == "cuda" else ["# The transfer", ""]
    lines += [f"{about['device']}; PyTorch {about['torch']}; commit {about['commit']}.", ""]
    for part in parts:
        lines += part.as_markdown()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".md").write_text("\n".join(lines).rstrip() + "\n")
    content = {"about": about, **{part.title.lower(): part.as_json() for part in parts}}
    output.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GiB, CUDA {torch.version.cuda}"


main = make_main(gpu, __file__)


if __name__ == "__main__":
    sys.exit(main())

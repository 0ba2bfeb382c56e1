"""Check and time the transfer on a GPU: ``python benchmarks/gpu.py``.

Requires PyTorch with CUDA and this package (``pip install ".[local]"``), but not Triton. It checks
half precision against float32 and whole requests against the CPU, times whole requests in one
process with their stages, then the transfer alone against plain PyTorch on the same device, and
writes ``gpu.json`` and ``gpu.md``. ``--device cpu --sizes 64`` is a quick test of the command.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import torch
from entry import HELP, make_main, output_option
from speed.gpu_requests import request_checks, whole_requests
from speed.gpu_timing import PLAIN, Timing, check
from tables import Cell, Column, Part, Report

from photoreal import Pipeline
from photoreal.contract import DEVICES
from photoreal.errors import PhotorealError
from photoreal.weights.networks import load_wct2

_COLUMNS = {
    "size": Column("pixels"),
    "engine": Column("engine"),
    "style": Column("style"),
    "ms": Column("ms", 1),
    "ratio": Column(f"times as fast as {PLAIN}", 1),
    "memory_gb": Column("peak memory, GB", 2),
}
_HOW = (
    "Median (min..max) after one run that is not counted, three regions, content and style of the"
    " same size, from arrays of this process to an array; no files, no server. Dense weights are"
    " the built-in ones with a small random number added to each, so that nothing is left out, as"
    " with trained weights."
)
_PLAIN = (
    "The plain path is benchmarks/speed/baseline.py: singular value decompositions, regions one by"
    " one. Convolutions in fp32 are PyTorch's default, TF32 where a GPU has it, in both."
)


@click.command(context_settings=HELP)
@click.option("--device", type=click.Choice(DEVICES), default="cuda", show_default=True)
@click.option("--sizes", default="512,1024,2048", show_default=True, help="Sides in pixels.")
@click.option("--repeats", type=click.IntRange(min=1), default=10, show_default=True)
@output_option("gpu.json and gpu.md")
def gpu(device: str, sizes: str, repeats: int, output: Path) -> None:
    """Check and time a device. Exit code 1: there is no such device, or a check failed."""
    sides = [int(one) if one.strip().isdecimal() else 0 for one in sizes.split(",")]
    if min(sides) < 16 or any(side % 8 for side in sides):
        raise click.BadParameter(
            "expected multiples of 8 from 16 up, with commas", param_hint="sizes"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise PhotorealError(
            "PyTorch cannot use a CUDA device here; run this on a machine with a GPU, or try the"
            " command with: --device cpu --sizes 64"
        )
    where, networks = torch.device(device), load_wct2()
    settings = {"sizes": sides, "repeats": repeats}
    report = Report(output, "gpu", "The transfer on a device", settings)
    report.facts["device"] = _name(where)
    pipeline = Pipeline(device="cuda" if device == "cuda" else "cpu")
    checks = [
        check(networks, where, min(max(sides), 512)),
        *request_checks(pipeline.stylize, Pipeline(device="cpu").stylize, min(max(sides), 256)),
    ]
    report.add(Part("Checks", {key: Column(key) for key in checks[0]}, checks))
    report.add(whole_requests(pipeline.stylize, sides, repeats, frames=device == "cuda"))
    rows: list[dict[str, Cell]] = []
    for side in sides:
        rows += Timing(networks, where, side, repeats).rows()
        report.add(Part("Times", _COLUMNS, rows, [_HOW, _PLAIN]))  # a run may be interrupted
    click.echo(report.as_markdown())
    if any(row["passed"] == "NO" for row in checks):
        raise PhotorealError("A check failed; the times are not valid.")


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GiB, CUDA {torch.version.cuda}"


main = make_main(gpu, __file__)


if __name__ == "__main__":
    sys.exit(main())

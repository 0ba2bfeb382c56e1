"""Measure the server's speed: numbers with their spread, and a report.

``.venv/bin/python benchmarks/run.py`` takes ten minutes on two cores, ``--quick`` two. It writes
``bench.json`` and ``bench.md``. The machine should be otherwise idle.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import torch
from entry import HELP, make_main, output_option, repository_option, tell
from pictures import PAIR, Files, example_files
from serving import (
    BenchmarkFailed,
    dense_repository,
    running_server,
    server_tunables,
    server_version,
)
from speed.comparison import MASKED, compare
from speed.memory import MEGAPIXELS, measure_growth
from speed.perf_analyzer import LOADS, install, measure_loads
from speed.stages import measure_stages
from tables import Part, Report

from photoreal.cli import FAILED
from photoreal.cores import available_cores
from photoreal.errors import PhotorealError
from photoreal.networks.fast import kernels
from photoreal.serve.backend.heap import keep_freed_memory
from photoreal.serve.launch.repository import models_to_load

AGAINST = "Against plain PyTorch"

_CACHE = Path(sys.prefix) / "perf_analyzer"


@dataclass(frozen=True)
class Settings:
    """How much to measure. Sizes are shorter sides in pixels.

    side, rounds: size of the photos and repetitions of the stages, the comparison and the growth.
    loads: protocols and concurrencies of perf_analyzer's requests.
    megapixels: photo sizes of the growth part.
    dense: whether to compare dense weights as well.
    """

    side: int = 512
    rounds: int = 3
    loads: Sequence[tuple[str, int]] = LOADS
    megapixels: Sequence[float] = MEGAPIXELS
    dense: bool = True


FULL = Settings()
QUICK = Settings(128, 1, LOADS[:1], megapixels=(0.1, 0.5), dense=False)


def run_all(settings: Settings, repository: Path, folder: Path) -> Report:
    """Measure every part and write the report into `folder`; raises PhotorealError."""
    models_to_load(repository, None)  # without a repository, fails now rather than minutes later
    torch.set_num_threads(available_cores())
    files = example_files(settings.side)
    said = {**asdict(settings), "pair": PAIR, "tunables": server_tunables()}
    report = Report(folder, "bench", "Speed: median, and min..max in brackets", said)
    report.facts["convolution"] = "winograd" if kernels.prepare() else "direct"
    tell("stages")
    report.add(measure_stages(repository, files, settings.rounds))
    with tempfile.TemporaryDirectory(prefix="photoreal-bench-") as folder_name:
        scratch = Path(folder_name)
        tell("two servers")
        with running_server(repository, style_cache=0) as cold, running_server(repository) as warm:
            report.facts["tritonserver"] = server_version(warm)
            tell("comparison with plain PyTorch")
            side, rounds = settings.side, settings.rounds
            report.add(compare(AGAINST, repository, (cold, warm), files, side, rounds))
            tell("perf_analyzer")
            try:
                program = install(_CACHE)
            except BenchmarkFailed as error:  # without a network, the other parts still run
                report.add(Part("perf_analyzer", {}, [], [str(error)]))
            else:
                report.add(measure_loads(program, warm, repository, files, settings.loads, scratch))
        if settings.dense:
            tell("the same with dense weights")
            report.add(_compare_dense(repository, scratch, files, settings))
    tell("time and memory by size")
    with running_server(repository) as fresh:
        report.add(measure_growth(fresh, settings.megapixels, rounds))
    return report


def _compare_dense(repository: Path, scratch: Path, files: Files, settings: Settings) -> Part:
    """The comparison with dense weights, none of which can be skipped."""
    dense = dense_repository(repository, scratch / "dense")
    title = f"{AGAINST}, dense weights"
    side, rounds = settings.side, settings.rounds
    with running_server(dense, style_cache=0) as cold, running_server(dense) as warm:
        part = compare(title, dense, (cold, warm), files, side, rounds, [MASKED])
    note = (
        "A small random number is added to every weight: the built-in ones are mostly zero, and"
        " the server leaves out what is multiplied by it. Trained weights cost what these do."
    )
    return replace(part, notes=[*part.notes, note])


@click.command(context_settings=HELP)
@output_option("bench.json and bench.md")
@click.option("--quick", is_flag=True, help="Small sizes and few repetitions.")
@repository_option
def bench(output: Path, quick: bool, repository: Path) -> None:
    """Measure the server's speed and memory on this machine.

    The machine should do nothing else meanwhile. Exit code 1 says that a part could not be
    measured or that its pictures disagree.
    """
    report = run_all(QUICK if quick else FULL, repository, output)
    click.echo(report.as_markdown())
    tell(f"wrote bench.md and bench.json to {output}")


main = make_main(bench, __file__)


def _restart_tuned() -> None:
    """Restart this program with the server's tuning, which takes effect only at startup."""
    try:
        tunables = server_tunables()
    except PhotorealError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(FAILED)
    if any(os.environ.get(name) != value for name, value in tunables.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **tunables})  # noqa: S606


if __name__ == "__main__":
    _restart_tuned()
    keep_freed_memory()  # as in the server's transfer process
    sys.exit(main())

"""Measure the server's speed: numbers with their spread, a report and a chart.

``.venv/bin/python benchmarks/run.py`` takes under ten minutes on two cores, ``--quick`` under
two. It writes ``bench.json``, ``bench.md`` and ``stages.svg``. The machine should be otherwise
idle.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import torch
from entry import HELP, Teller, make_main, output_option, repository_option
from latency import measure_latency
from machine import machine
from pictures import PAIR
from serving import (
    BenchmarkFailed,
    Files,
    dense_repository,
    example_files,
    running_server,
    server_tunables,
    server_version,
)
from speed.chart import bar_chart
from speed.comparison import compare
from speed.memory import MEGAPIXELS, measure_memory
from speed.perf_analyzer import LOADS, PerfAnalyzer, install, measure_loads
from speed.stages import measure_stages
from tables import Part, Spread

from photoreal.cli import FAILED
from photoreal.cores import available_cores
from photoreal.errors import PhotorealError
from photoreal.networks.fast import kernels
from photoreal.serve.backend.heap import keep_freed_memory
from photoreal.serve.launch.repository import models_to_load

CHART = "stages.svg"
AGAINST = "Against plain PyTorch"

_CACHE = Path(sys.prefix) / "perf_analyzer"


@dataclass(frozen=True)
class Settings:
    """How much to measure. Sizes are shorter sides in pixels.

    size, rounds: size and repetitions of the stages and the comparison.
    latency_size, latency_requests, latency_rounds: size and counts of the latency part.
    loads: protocols and concurrencies of perf_analyzer's requests.
    megapixels: picture sizes of the memory part, which is skipped if there are none.
    dense: whether to compare dense weights as well.
    """

    size: int = 512
    rounds: int = 3
    latency_size: int = 256
    latency_requests: int = 50
    latency_rounds: int = 5
    loads: Sequence[tuple[str, int]] = LOADS
    megapixels: Sequence[float] = MEGAPIXELS
    dense: bool = True


FULL = Settings()
QUICK = Settings(256, 2, 128, 10, 1, LOADS[:1], megapixels=(), dense=False)


@dataclass
class Report:
    """Results so far, written to disk after every part."""

    folder: Path
    settings: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=machine)
    parts: dict[str, Part] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def add(self, name: str, part: Part) -> None:
        """Add a part, and write the files."""
        self.parts[name] = part
        self.folder.mkdir(parents=True, exist_ok=True)
        found = {
            "settings": self.settings,
            "machine": self.facts,
            "elapsed_s": round(self.elapsed_s, 1),
            "parts": {key: one.as_json() for key, one in self.parts.items()},
        }
        text = json.dumps(found, indent=1, allow_nan=False)
        (self.folder / "bench.json").write_text(f"{text}\n", encoding="utf-8")
        (self.folder / "bench.md").write_text(self.as_markdown(), encoding="utf-8")

    def as_markdown(self) -> str:
        """The report as Markdown: the machine, then a section per part."""
        facts = ", ".join(
            f"{name} {value}" for name, value in self.facts.items() if value is not None
        )
        lines = [
            "# Speed",
            "",
            "Median, and min..max in brackets.",
            "",
            f"Machine and versions: {facts}.",
            "",
        ]
        for part in self.parts.values():
            lines += part.as_markdown()
        return "\n".join(lines)


def run_all(
    settings: Settings, repository: Path, folder: Path, tell: Callable[[str], None]
) -> Report:
    """Measure every part and write the report into `folder`; raises PhotorealError."""
    models_to_load(repository, None)  # without a repository, fails now rather than minutes later
    torch.set_num_threads(available_cores())
    files = example_files()
    said = {**asdict(settings), "pair": PAIR, "tunables": server_tunables()}
    report = Report(folder, said)
    report.facts["convolution"] = "winograd" if kernels.prepare() else "direct"
    program, lacking = _perf_analyzer()
    tell(lacking or "perf_analyzer is there")
    tell("stages")
    stages = measure_stages(repository, files, settings.size, settings.rounds)
    report.add("stages", _with_chart(stages, folder))
    with ExitStack() as stack:
        tell("two servers")
        cold = stack.enter_context(running_server(repository, keep_styles=False))
        with running_server(repository, keep_styles=True) as warm:
            report.facts["tritonserver"] = server_version(warm)
            tell("comparison with plain PyTorch")
            part = compare(AGAINST, repository, cold, warm, files, settings.size, settings.rounds)
            report.add("comparison", part)
            tell("latency")
            part = measure_latency(
                warm,
                files,
                settings.latency_size,
                settings.latency_requests,
                settings.latency_rounds,
            )
            report.add("latency", part)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="photoreal-bench-")))
        if settings.dense:
            tell("the same with dense weights")
            report.add("dense", _compare_dense(repository, scratch, files, settings))
        if settings.megapixels:
            tell("memory")
            with running_server(repository, keep_styles=True) as fresh:
                report.add("memory", measure_memory(fresh, files, settings.megapixels))
        if program is None:
            report.add("perf_analyzer", Part("perf_analyzer", {}, [], [lacking]))
            return report
        tell("perf_analyzer")
        part = measure_loads(program, cold, repository, files, settings.loads, scratch)
        report.add("perf_analyzer", part)
    return report


def _compare_dense(repository: Path, scratch: Path, files: Files, settings: Settings) -> Part:
    """The comparison with dense weights, none of which can be skipped."""
    dense = dense_repository(repository, scratch / "dense")
    title = f"{AGAINST}, dense weights"
    with (
        running_server(dense, keep_styles=False) as cold,
        running_server(dense, keep_styles=True) as warm,
    ):
        part = compare(title, dense, cold, warm, files, settings.size, settings.rounds)
    note = (
        "A small random number is added to every weight: the built-in ones are mostly zero, and"
        " the server leaves out what is multiplied by it. Trained weights cost what these do."
    )
    return replace(part, notes=[*part.notes, note])


def _perf_analyzer() -> tuple[PerfAnalyzer | None, str]:
    """perf_analyzer, or why it is missing: without a network, the other parts still run."""
    try:
        return install(_CACHE), ""
    except BenchmarkFailed as error:
        return None, str(error)


def _with_chart(stages: Part, folder: Path) -> Part:
    """Write the chart beside the report; return the stages with a reference to it."""
    bars = [
        (str(row["stage"]), value)
        for row in stages.rows
        if isinstance(value := row["seconds"], Spread)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    drawing = bar_chart("Seconds of one request by stage", bars, "s")
    (folder / CHART).write_text(drawing, encoding="utf-8")
    return Part(stages.title, stages.columns, stages.rows, stages.notes, CHART)


@click.command(context_settings=HELP)
@output_option("bench.json, bench.md and the chart")
@click.option("--quick", is_flag=True, help="Small sizes and few repetitions.")
@repository_option
def bench(output: Path, quick: bool, repository: Path) -> None:
    """Measure the server's speed, memory and evenness on this machine.

    The machine should do nothing else meanwhile. Exit code 1 says that a part could not be
    measured or that its pictures disagree.
    """
    tell = Teller()
    report = run_all(QUICK if quick else FULL, repository, output, tell)
    click.echo(report.as_markdown())
    tell(f"wrote bench.md, bench.json and {CHART} to {output}")


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

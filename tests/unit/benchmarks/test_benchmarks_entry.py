"""Commands, reports and the description of the machine."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import click
import entry
import machine
import pytest
from tables import Cell, Column, Part, Report, Spread

from photoreal.serve.launch.settings import DEFAULT_REPOSITORY
from tests.kinds import Capture


@click.command(context_settings=entry.HELP)
@entry.output_option("found.md")
@entry.repository_option
def show(output: Path, repository: Path) -> None:
    """Show the options."""
    if output.name == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    entry.tell("measured")
    click.echo(f"{output} {repository}")


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        ([], 0, f"{entry.LATEST} {DEFAULT_REPOSITORY}\n", " s  measured\n"),
        (["-o", "out", "--repository", "models"], 0, "out models\n", " s  measured\n"),
        (["-h"], 0, "Folder for found.md.", ""),
        (["-o", "full"], 1, "", "cannot be written or read (No space left on device).\n"),
        (["--other"], 2, "", "--other"),
    ],
)
def test_commands(arguments: list[str], code: int, out: str, err: str, capsys: Capture) -> None:
    assert entry.make_main(show, "/somewhere/show.py")(arguments) == code
    printed = capsys.readouterr()
    assert out in printed.out
    assert err in printed.err


def test_report_as_json_and_markdown(tmp_path: Path) -> None:
    columns = {"what": Column("what"), "s": Column("s", 2), "n": Column("requests")}
    rows: list[dict[str, Cell]] = [
        {"what": "a", "s": Spread.of([3.0, 1.0, 2.5]), "n": "3", "hidden": 1 / 3},
        {"what": "b", "s": 0.125, "met": None},
    ]
    report = Report(tmp_path / "new", "bench", "Speed", {"size": 8}, {"cpus": 2, "torch": "2"})
    report.add(Part("Times", columns, rows, ["A note."]), Part("Why", {}, [], ["No network."]))
    report.add(Part("Hidden", {}, rows))
    assert (tmp_path / "new" / "bench.md").read_text().splitlines() == [
        "# Speed",
        "",
        "Settings: size 8.",
        "",
        "Machine and versions: cpus 2, torch 2.",
        "",
        "## Times",
        "",
        "| what | s | requests |",
        "| --- | --- | --- |",
        "| a | 2.50 (1.00..3.00) | 3 |",
        "| b | 0.12 |  |",
        "",
        "- A note.",
        "",
        "## Why",
        "",
        "- No network.",
    ]
    found = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert (found["settings"], found["machine"]) == ({"size": 8}, {"cpus": 2, "torch": "2"})
    row = found["parts"]["Times"]["rows"][0]
    assert row["s"] == {"median": 2.5, "min": 1.0, "max": 3.0, "repeats": 3}
    assert row["hidden"] == 0.333333
    assert found["parts"]["Hidden"]["rows"] == found["parts"]["Times"]["rows"]


def test_spread() -> None:
    assert Spread.of(range(11), tail=10) == (5, 1, 9, 11)
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_machine(tmp_path: Path) -> None:
    found = machine.machine()
    assert found["cpus"] == os.cpu_count()
    assert {"cpu", "memory_gib", *machine.PACKAGES} <= set(found)
    json.dumps(found, allow_nan=False)
    assert machine.commit(tmp_path) is None

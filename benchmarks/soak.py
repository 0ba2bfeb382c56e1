"""Soak test: invalid inputs, faults and load on one real server.

``make soak`` takes about ten minutes, ``make soak MINUTES=3`` three. It prints one table and
writes ``soak.json`` and ``soak.md``. Everything but the timing is reproducible with ``SEED``.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from entry import HELP, Teller, make_main, output_option, repository_option
from hardening import faults, fuzz, growth, load
from machine import machine
from serving import running_server, server_version
from tables import Column, Part

from photoreal.errors import PhotorealError
from photoreal.serve.launch.launcher import Server

STYLE_CACHE = 8 << 20
"""Bytes that hold one or two styles, so that the cache is full at once and cannot grow later."""

KEEP_MEMORY_S = 5
"""Idle seconds after which the server releases memory, so that its usage can be compared."""

CLIENTS = 8
WARM_UP = 50
INPUTS_A_MINUTE = 200
_INPUTS_SHARE, _LOAD_SHARE = 0.5, 0.15

_COLUMNS = {
    "what": Column("what"),
    "figures": Column("figures"),
    "wrong": Column("wrong", 0),
}


@dataclass
class Soak:
    """The steps done so far, and everything that went wrong."""

    tell: Callable[[str], None]
    rows: list[dict[str, str | float]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def add(self, what: str, figures: object, complaints: Iterable[str]) -> None:
        """Add a row to the table, and print what went wrong."""
        found = list(complaints)
        self.rows.append({"what": what, "figures": str(figures), "wrong": float(len(found))})
        self.complaints += found
        self.tell(f"{what}: {figures}")
        for one in found:
            self.tell(f"  wrong: {one}")

    def part(self, seed: int) -> Part:
        """The results as a table."""
        verdict = "Nothing was lost." if not self.complaints else "Something was lost."
        notes = [f"Seed {seed}. {verdict}", *self.complaints]
        return Part("What was tried", _COLUMNS, self.rows, notes)


def soak(repository: Path, minutes: float, seed: int, tell: Callable[[str], None]) -> Soak:
    """Run every step for about `minutes` minutes; raises ServeError when no server starts."""
    report, seconds = Soak(tell), 60 * minutes
    started = time.monotonic()
    jobs = load.make_jobs(CLIENTS)
    with running_server(repository, style_cache=STYLE_CACHE, keep_memory_s=KEEP_MEMORY_S) as server:
        tell(f"tritonserver {server_version(server)}")
        expected = load.solo(server, jobs)
        _inputs(report, server, seed, minutes, started + _INPUTS_SHARE * seconds)
        _load(report, server, jobs, expected, _LOAD_SHARE * seconds)
        for abruptly in (False, True) * max(1, int(minutes // 5)):
            fault = faults.restart(server, jobs, expected, abruptly=abruptly)
            report.add(fault.name, fault.figures, fault.complaints)
    for fault in (
        faults.stop_under_load(repository, jobs, expected),
        faults.stop_with_idle_connection(repository),
    ):
        report.add(fault.name, fault.figures, fault.complaints)
    return report


def _inputs(report: Soak, server: Server, seed: int, minutes: float, end: float) -> None:
    """Send invalid inputs until `end`, and at least as many as belong to `minutes`."""
    growth.fill(server)
    warm_up = fuzz.try_inputs(server, seed, range(WARM_UP))
    before = growth.measure_at_rest(server)
    least = WARM_UP + int(INPUTS_A_MINUTE * minutes)
    outcome = fuzz.try_inputs(server, seed, range(WARM_UP, least))
    at = least
    while time.monotonic() < end:
        outcome += fuzz.try_inputs(server, seed, range(at, at + WARM_UP))
        at += WARM_UP
    after = growth.measure_at_rest(server)
    report.add("bad inputs", outcome, warm_up.complaints + outcome.complaints)
    report.add(
        f"memory after {WARM_UP} inputs and after {at}",
        growth.compare(before, after),
        growth.complaints(before, after),
    )


def _load(
    report: Soak,
    server: Server,
    jobs: Sequence[load.Job],
    expected: Sequence[bytes],
    seconds: float,
) -> None:
    """Run all clients concurrently for `seconds`."""
    clients = load.Load(server, jobs, expected, retries=0)
    with load.running(clients):
        time.sleep(seconds)
    tally = clients.tally
    report.add(
        "load held",
        f"{tally.pictures} pictures for {len(jobs)} clients at once,"
        f" {60 * tally.pictures / seconds:.0f} a minute, each compared with the one made alone",
        clients.complaints(),
    )


def write(report: Soak, seed: int, minutes: float, folder: Path) -> str:
    """Write ``soak.json`` and ``soak.md``; return the text of the latter."""
    part, facts = report.part(seed), machine()
    found = {"seed": seed, "minutes": minutes, "machine": facts, **part.as_json()}
    words = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    text = "\n".join(["# Soak", "", *part.as_markdown(), f"Machine and versions: {words}.", ""])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")
    (folder / "soak.md").write_text(text, encoding="utf-8")
    return text


@click.command(context_settings=HELP)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.5),
    default=10.0,
    show_default=True,
    help="About how long; the faults alone take one.",
)
@click.option("--seed", type=int, help="Seed of the inputs.  [default: random]")
@output_option("soak.json and soak.md")
@repository_option
def command(minutes: float, seed: int | None, output: Path, repository: Path) -> None:
    """Try bad inputs, faults and load on a real server, and tell whether anything was lost.

    Exit code 1 says that something was.
    """
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    tell = Teller()
    tell(f"seed {seed}, about {minutes:g} minutes")
    report = soak(repository, minutes, seed, tell)
    click.echo(write(report, seed, minutes, output))
    if report.complaints:
        raise PhotorealError(f"{len(report.complaints)} things went wrong; see the table.")


main = make_main(command, __file__)


if __name__ == "__main__":
    sys.exit(main())

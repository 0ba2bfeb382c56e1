"""Soak test: invalid inputs, faults and load on one real server.

``make soak`` takes about ten minutes, ``make soak MINUTES=3`` three. It prints one table and
writes ``soak.json`` and ``soak.md``. Everything but the timing is reproducible with ``SEED``.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click
from entry import HELP, make_main, output_option, repository_option, tell
from hardening import faults, fuzz, growth, load
from serving import running_server, server_version
from tables import Cell, Column, Part, Report

from photoreal.errors import PhotorealError
from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE
from photoreal.serve.launch.launcher import Server

STYLE_CACHE = 8 << 20
"""Bytes that hold one or two styles, so that the cache is full at once and cannot grow later."""

KEEP_MEMORY_S = 5
"""Idle seconds after which the server releases memory, so that its usage can be compared."""

CLIENTS = 8
WARM_UP = 50
_INPUTS_SHARE, _LOAD_SHARE = 0.4, 0.15

_COLUMNS = {"what": Column("what"), "figures": Column("figures"), "wrong": Column("wrong", 0)}


@dataclass
class Soak:
    """The steps done so far, and everything that went wrong."""

    rows: list[dict[str, Cell]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def add(self, what: str, figures: object, complaints: Iterable[str]) -> None:
        """Add a row to the table, and print what went wrong."""
        found = list(complaints)
        self.rows.append({"what": what, "figures": str(figures), "wrong": float(len(found))})
        self.complaints += found
        tell("\n  wrong: ".join([f"{what}: {figures}", *found]))


def soak(repository: Path, minutes: float, seed: int) -> Soak:
    """Run every step for about `minutes` minutes; raises ServeError when no server starts."""
    found, seconds = Soak(), 60 * minutes
    jobs = load.make_jobs(CLIENTS)
    with running_server(repository, style_cache=STYLE_CACHE, keep_memory_s=KEEP_MEMORY_S) as server:
        tell(f"tritonserver {server_version(server)}")
        urls = server.http_url, server.grpc_url
        expected = load.solo(urls, jobs)
        _inputs(found, server, seed, _INPUTS_SHARE * seconds)
        clients = load.Load(urls, jobs, expected, retries=0)
        with clients.running():
            time.sleep(_LOAD_SHARE * seconds)
        figures = (
            f"{clients.pictures} pictures for {CLIENTS} clients at once,"
            f" {clients.pictures / _LOAD_SHARE / minutes:.0f} a minute, each compared with the one"
            " made alone"
        )
        found.add("load held", figures, clients.complaints())
        for abruptly in (False, True) * max(1, int(minutes // 5)):
            found.add(*faults.restart(server, jobs, expected, abruptly=abruptly))
    found.add(*faults.stop_under_load(repository, jobs, expected))
    return found


def _inputs(found: Soak, server: Server, seed: int, seconds: float) -> None:
    """Send invalid inputs for some seconds; the server's memory must not grow."""
    growth.fill(server)
    warm_up = fuzz.try_inputs(server, seed, range(WARM_UP))
    before = growth.measure(server, at_rest=True)
    end = time.monotonic() + seconds
    later = fuzz.try_inputs(server, seed, itertools.count(WARM_UP), end)
    after = growth.measure(server, at_rest=True)
    found.add("first bad inputs", warm_up, warm_up.complaints)
    found.add("bad inputs", later, later.complaints)
    tried = warm_up.tried + later.tried
    found.add(f"memory after {WARM_UP} and {tried} inputs", *growth.compare(before, after))


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
    tell(f"seed {seed}, about {minutes:g} minutes")
    os.environ.setdefault(CONVOLUTION_VARIABLE, "winograd")  # not by timing: servers are compared
    found = soak(repository, minutes, seed)
    report = Report(output, "soak", "Soak", {"seed": seed, "minutes": minutes})
    verdict = "Something was lost." if found.complaints else "Nothing was lost."
    report.add(Part("What was tried", _COLUMNS, found.rows, [verdict, *found.complaints]))
    click.echo(report.as_markdown())
    if found.complaints:
        raise PhotorealError(f"{len(found.complaints)} things went wrong; see the table.")


main = make_main(command, __file__)


if __name__ == "__main__":
    sys.exit(main())

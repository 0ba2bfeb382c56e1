"""Latency jitter of a server, and the cost of concurrent clients.

``.venv/bin/python benchmarks/latency.py`` prints both at 256 pixels in about three minutes on two
cores. The machine should be otherwise idle.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
from entry import HELP, make_main, repository_option
from serving import Files, example_files, knows_style, running_server, timed_request
from tables import Column, Part, Spread

from photoreal.serve.launch.launcher import Server

SIZE = 256
REQUESTS = 50
ROUNDS = 10

CLIENTS = 4
GOAL_UNEVENNESS = 1.3
GOAL_CROWDING = 1.05

_COLUMNS = {
    "what": Column("what"),
    "value": Column("median (min..max)", 3),
    "goal": Column("goal"),
    "met": Column("met"),
}


def measure_latency(server: Server, files: Files, size: int, requests: int, rounds: int) -> Part:
    """Time identical sequential requests, then four concurrent ones against four in sequence.

    Times `requests` requests of a `size` after a warm-up; compares four concurrent ones `rounds`
    times.
    """
    for _ in range(2):
        timed_request(server, files, size)
    timed = [timed_request(server, files, size) for _ in range(requests)]
    spread = Spread.of(seconds for seconds, _ in timed)
    crowding = Spread.of(_crowding(server, files, size, number % 2) for number in range(rounds))
    unevenness = spread.max / spread.median
    style = "known to the server" if knows_style(timed[-1][1]) else "measured for every request"
    return Part(
        "Latency",
        _COLUMNS,
        [
            {"what": f"s a request, {requests} identical ones of size {size}", "value": spread},
            {
                "what": "slowest over median",
                "value": unevenness,
                "goal": f"at most {GOAL_UNEVENNESS}",
                "met": _verdict(unevenness, GOAL_UNEVENNESS),
            },
            {
                "what": f"{CLIENTS} clients at once over one after the other, size {size}",
                "value": crowding,
                "goal": f"at most {GOAL_CROWDING}",
                "met": _verdict(crowding.median, GOAL_CROWDING),
            },
        ],
        [f"Over HTTP, the style {style}; {rounds} rounds of {CLIENTS} clients, total times."],
    )


def _crowding(server: Server, files: Files, size: int, crowd_first: int) -> float:
    """Total time of concurrent clients, divided by that of as many sequential requests."""

    def in_turn() -> None:
        for _ in range(CLIENTS):
            timed_request(server, files, size)

    def at_once() -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda _: timed_request(server, files, size), range(CLIENTS)))

    seconds = {}
    for work in (at_once, in_turn) if crowd_first else (in_turn, at_once):
        started = time.perf_counter()
        work()
        seconds[work] = time.perf_counter() - started
    return seconds[at_once] / seconds[in_turn]


def _verdict(value: float, goal: float) -> str:
    return "yes" if value <= goal else "no"


@click.command(context_settings=HELP)
@click.option("--size", type=click.IntRange(min=16), default=SIZE, show_default=True)
@click.option("--requests", type=click.IntRange(min=1), default=REQUESTS, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=ROUNDS, show_default=True)
@repository_option
def command(size: int, requests: int, rounds: int, repository: Path) -> None:
    """Measure how even the answers are and what four clients at once cost."""
    with running_server(repository) as server:
        part = measure_latency(server, example_files(), size, requests, rounds)
    click.echo("\n".join(part.as_markdown()))


main = make_main(command, __file__)


if __name__ == "__main__":
    sys.exit(main())

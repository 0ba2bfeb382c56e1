"""Latency jitter of a server, and the cost of concurrent clients."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from pictures import Files
from serving import knows_style, timed_request
from tables import Cell, Column, Part, Spread

from photoreal.serve.launch.launcher import Server

CLIENTS = 4

_COLUMNS = {
    "what": Column("what"),
    "value": Column("median (min..max)", 3),
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
    style = "known to the server" if knows_style(timed[-1][1]) else "measured for every request"
    rows: list[dict[str, Cell]] = [
        {"what": f"s a request, {requests} identical ones of size {size}", "value": spread},
        {"what": "slowest over median", "value": spread.max / spread.median},
        {"what": f"{CLIENTS} clients at once over one after the other", "value": crowding},
    ]
    note = f"Over HTTP, the style {style}; {rounds} rounds of {CLIENTS} clients, total times."
    return Part("Latency", _COLUMNS, rows, [note])


def _crowding(server: Server, files: Files, size: int, crowd_first: int) -> float:
    """Total time of concurrent clients, divided by that of as many sequential requests."""
    seconds = {}
    for clients in (CLIENTS, 1) if crowd_first else (1, CLIENTS):
        with ThreadPoolExecutor(clients) as pool:
            started = time.perf_counter()
            list(pool.map(lambda _: timed_request(server, files, size), range(CLIENTS)))
            seconds[clients] = time.perf_counter() - started
    return seconds[CLIENTS] / seconds[1]

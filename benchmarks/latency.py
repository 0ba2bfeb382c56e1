"""How even a server's answers are, and what clients cost that come at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from serving import Files, knows_style, timed_request
from tables import Column, Part, Spread

from photoreal.serve.launcher import Server

CLIENTS = 4
GOAL_UNEVENNESS = 1.3
GOAL_CROWDING = 1.1

_COLUMNS = {
    "what": Column("what"),
    "value": Column("median (min..max)", 3),
    "goal": Column("goal"),
    "met": Column("met"),
}


def measure_latency(server: Server, files: Files, size: int, requests: int, rounds: int) -> Part:
    """Identical requests one after the other, then four at once against four in turn.

    `requests` are timed after a warm-up; `rounds` is how often four at once are compared.
    """
    for _ in range(2):
        timed_request(server, files, size)
    timed = [timed_request(server, files, size) for _ in range(requests)]
    spread = Spread.of(seconds for seconds, _ in timed)
    crowding = Spread.of(_crowding(server, files, size) for _ in range(rounds))
    unevenness = spread.max / spread.median
    style = "known to the server" if knows_style(timed[-1][1]) else "measured for every request"
    return Part(
        "Latency",
        _COLUMNS,
        [
            {"what": f"s a request, {requests} identical requests", "value": spread},
            {
                "what": "slowest over median",
                "value": unevenness,
                "goal": f"at most {GOAL_UNEVENNESS}",
                "met": _verdict(unevenness, GOAL_UNEVENNESS),
            },
            {
                "what": f"{CLIENTS} clients at once over one after the other, total time",
                "value": crowding,
                "goal": f"at most {GOAL_CROWDING}",
                "met": _verdict(crowding.median, GOAL_CROWDING),
            },
        ],
        [f"Size {size}, over HTTP, the style {style}; {rounds} rounds of {CLIENTS} clients."],
    )


def _crowding(server: Server, files: Files, size: int) -> float:
    """Total time of the clients at once, over the total of as many requests in turn."""
    started = time.perf_counter()
    for _ in range(CLIENTS):
        timed_request(server, files, size)
    in_turn = time.perf_counter() - started
    with ThreadPoolExecutor(CLIENTS) as pool:
        started = time.perf_counter()
        list(pool.map(lambda _: timed_request(server, files, size), range(CLIENTS)))
        return (time.perf_counter() - started) / in_turn


def _verdict(value: float, goal: float) -> str:
    return "yes" if value <= goal else "no"

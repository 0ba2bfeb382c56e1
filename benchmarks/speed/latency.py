"""How even a server's answers are, and what clients cost that come at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from serving import Files, knows_style, timed_request
from tables import Column, Part, Spread

from photoreal.serve.launch.launcher import Server

CLIENTS = 4
GOAL_UNEVENNESS = 1.3
GOAL_CROWDING = 1.1

_COLUMNS = {
    "what": Column("what"),
    "value": Column("median (min..max)", 3),
    "goal": Column("goal"),
    "met": Column("met"),
}


def measure_latency(
    server: Server, files: Files, size: int, requests: int, crowd_size: int, rounds: int
) -> Part:
    """Identical requests one after the other, then four at once against four in turn.

    `requests` of a `size` are timed after a warm-up; four at once, of `crowd_size`, are compared
    `rounds` times.
    """
    for _ in range(2):
        timed_request(server, files, size)
    timed = [timed_request(server, files, size) for _ in range(requests)]
    spread = Spread.of(seconds for seconds, _ in timed)
    timed_request(server, files, crowd_size)
    crowding = Spread.of(_crowding(server, files, crowd_size) for _ in range(rounds))
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
                "what": f"{CLIENTS} clients at once over one after the other, size {crowd_size}",
                "value": crowding,
                "goal": f"at most {GOAL_CROWDING}",
                "met": _verdict(crowding.median, GOAL_CROWDING),
            },
        ],
        [f"Over HTTP, the style {style}; {rounds} rounds of {CLIENTS} clients, total times."],
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

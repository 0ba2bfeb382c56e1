"""Clients at once, over both protocols: every picture is the one that the client gets alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hardening import load

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

ROUNDS = 2


def _check(server: Server, jobs: Sequence[load.Job], expected: list[bytes]) -> None:
    clients = load.Load(server, jobs, expected, retries=0)
    with load.running(clients):
        clients.await_pictures(ROUNDS * len(jobs))
    print(f"{clients.tally.pictures} pictures for {len(jobs)} clients at once")
    assert clients.complaints() == []


def test_with_a_cache_whose_styles_push_each_other_out(
    server: Server, jobs: Sequence[load.Job], expected: list[bytes]
) -> None:
    assert len(set(expected)) == len(jobs) == 8
    _check(server, jobs, expected)


@pytest.mark.long
def test_without_a_cache(
    start: Callable[[int], Server], jobs: Sequence[load.Job], expected: list[bytes]
) -> None:
    _check(start(0), jobs, expected)

"""Bad inputs, clients at once and faults from outside; thousands more are in `make soak`.

Figures are in the output (-rP shows them).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hardening import faults, fuzz, growth, load
from hardening.cases import make_case
from hardening.wire import Answer
from serving import running_server

from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import DEFAULT_REPOSITORY

pytestmark = pytest.mark.server

REPOSITORY = Path(__file__).parents[3] / DEFAULT_REPOSITORY
SMALL_CACHE = 8 << 20
"""Bytes that hold one or two styles, so that they push each other out."""
ROUNDS = 2
SEED = 20
WARM_UP, INPUTS = 200, 300  # until all kinds of requests have been served
EXIT_TIMEOUT_S, ENDING_S = 2, 10


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a small cache, which every test leaves in order."""
    os.environ[CONVOLUTION_VARIABLE] = "winograd"  # not by timing: servers are compared
    with running_server(REPOSITORY, style_cache=SMALL_CACHE) as running:
        yield running
    del os.environ[CONVOLUTION_VARIABLE]


@pytest.fixture(scope="module")
def jobs() -> Sequence[load.Job]:
    """Eight different requests."""
    return load.make_jobs(8)


@pytest.fixture(scope="module")
def expected(server: Server, jobs: Sequence[load.Job]) -> list[bytes]:
    """Their pictures, made one after the other."""
    return load.solo((server.http_url, server.grpc_url), jobs)


def _check_load(server: Server, jobs: Sequence[load.Job], expected: list[bytes]) -> None:
    clients = load.Load((server.http_url, server.grpc_url), jobs, expected, retries=0)
    with clients.running():
        clients.await_pictures(ROUNDS * len(jobs))
    print(f"{clients.pictures} pictures for {len(jobs)} clients at once")
    assert clients.complaints() == []


def _check(fault: faults.Fault) -> None:
    print(fault)
    assert fault.complaints == []


def test_inputs_depend_on_seed_and_number_alone() -> None:
    first = [make_case(SEED, number) for number in range(40)]
    assert [make_case(SEED, number) for number in reversed(range(40))] == first[::-1]
    assert make_case(SEED + 1, 0) != first[0]
    assert len({case.name for case in first}) > 20


def test_every_input_gives_a_picture_or_a_sentence_and_memory_stays(server: Server) -> None:
    first = fuzz.try_inputs(server, SEED, range(WARM_UP))
    before = growth.measure(server)
    later = fuzz.try_inputs(server, SEED, range(WARM_UP, INPUTS))
    figures, complaints = growth.compare(before, growth.measure(server))
    print(f"seed {SEED}", first, later, figures, sep="\n")
    assert first.complaints + later.complaints + complaints == []
    assert first.tried + later.tried == INPUTS
    assert min(later.pictures, later.refused) > 20


@pytest.mark.parametrize(
    ("message", "ours", "complaint"),
    [
        ("alpha is 2; expected a number from 0 to 1.", True, ""),
        ("alpha is 2", True, "not in our words"),
        ("unexpected shape for input 'SIZE'", False, ""),
        ("It broke.\nAt: here", False, "not one sentence"),
        ("", True, "not one sentence"),
        ("x" * 500 + ".", True, "not one sentence"),
        ("Traceback of something.", True, "internals"),
        ("model.py failed.", True, "internals"),
    ],
)
def test_what_counts_as_a_sentence(message: str, ours: bool, complaint: str) -> None:
    found = fuzz.judge_sentence(message, ours=ours)
    assert (complaint in found) if complaint else not found


@pytest.mark.parametrize("status", ["500", "INTERNAL"])
def test_a_failure_is_a_complaint(status: str) -> None:
    assert status in fuzz.judge(make_case(SEED, 0), Answer(status, "stylize failed."))


def test_clients_at_once_get_the_pictures_they_get_alone(
    server: Server, jobs: Sequence[load.Job], expected: list[bytes]
) -> None:
    assert len(set(expected)) == len(jobs) == 8
    _check_load(server, jobs, expected)


@pytest.mark.long
def test_clients_at_once_without_a_cache(jobs: Sequence[load.Job], expected: list[bytes]) -> None:
    with running_server(REPOSITORY, style_cache=0) as server:
        _check_load(server, jobs, expected)


@pytest.mark.long
@pytest.mark.parametrize("abruptly", [False, True], ids=["told to stop", "killed"])
def test_a_restart_under_load_loses_nothing(
    server: Server, jobs: Sequence[load.Job], expected: list[bytes], abruptly: bool
) -> None:
    _check(faults.restart(server, jobs[:4], expected[:4], abruptly=abruptly))


def test_every_call_ends_well_or_clearly_when_the_server_is_told_to_stop(
    jobs: Sequence[load.Job], expected: list[bytes]
) -> None:
    _check(faults.stop_under_load(REPOSITORY, jobs[:6], expected[:6]))


def test_an_idle_connection_delays_the_end_as_long_as_it_may() -> None:
    with faults.serve_command(REPOSITORY, f"--exit-timeout={EXIT_TIMEOUT_S}") as command:
        host, _, port = command.urls[0].partition(":")
        with socket.create_connection((host, int(port)), 10) as idle:
            idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in idle.recv(4096)
            code, seconds = command.terminate()
    assert code == 0
    assert seconds < EXIT_TIMEOUT_S + ENDING_S
